/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curl_bare.c - what libcurl's multi interface alone can post: the limit of the
 * webhook adapter.
 *
 * usage: curl_bare URL COUNT SIZE PARALLEL
 *
 * Posts COUNT bodies of SIZE bytes over PARALLEL kept connections, driven by epoll
 * and curl_multi_socket_action(), without signatures.
 */
#include "bench.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>

#define READY 64

struct run {
    CURLM *multi;
    int epoll;
    int64_t timer_ns; /* 0: none */
    long count, started, done, failed;
};

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct run *r = arg;

    (void)multi;
    r->timer_ns = timeout_ms < 0 ? 0 : bench_ns() + timeout_ms * 1000000;
    return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct run *r = arg;
    struct epoll_event ev = {.data.fd = fd};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(r->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    ev.events = ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0u) |
                ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0u);
    (void)epoll_ctl(r->epoll, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
    (void)curl_multi_assign(r->multi, fd, r);
    return 0;
}

static CURL *make_easy(const char *url, const char *body, long size,
                       struct curl_slist *headers)
{
    CURL *easy = curl_easy_init();

    if (easy != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_URL, url);
        (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, size);
    }
    return easy;
}

static void start(struct run *r, CURL *easy)
{
    (void)curl_multi_add_handle(r->multi, easy);
    r->started++;
}

static void take_done(struct run *r)
{
    const CURLMsg *msg = NULL;
    int left = 0;

    while ((msg = curl_multi_info_read(r->multi, &left)) != NULL) {
        CURL *easy = msg->easy_handle;
        long status = 0;

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        r->failed += msg->data.result != CURLE_OK || status != 200;
        r->done++;
        (void)curl_multi_remove_handle(r->multi, easy);
        if (r->started < r->count) {
            start(r, easy);
        }
    }
}

static void turn(struct run *r)
{
    struct epoll_event ready[READY];
    int64_t left = r->timer_ns == 0 ? 1000000000 : r->timer_ns - bench_ns();
    int running = 0;
    int n = epoll_wait(r->epoll, ready, READY,
                       left <= 0 ? 0 : (int)((left + 999999) / 1000000));

    for (int i = 0; i < n; i++) {
        int what =
            ((ready[i].events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
            ((ready[i].events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
            ((ready[i].events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0);
        (void)curl_multi_socket_action(r->multi, ready[i].data.fd, what, &running);
    }
    if (r->timer_ns != 0 && r->timer_ns <= bench_ns()) {
        r->timer_ns = 0;
        (void)curl_multi_socket_action(r->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    take_done(r);
}

static bool open_run(struct run *r, long parallel)
{
    r->multi = curl_multi_init();
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (r->multi == NULL || r->epoll < 0) {
        return false;
    }
    (void)curl_multi_setopt(r->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(r->multi, CURLMOPT_SOCKETDATA, r);
    (void)curl_multi_setopt(r->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(r->multi, CURLMOPT_TIMERDATA, r);
    (void)curl_multi_setopt(r->multi, CURLMOPT_MAXCONNECTS, parallel);
    return true;
}

int main(int argc, char **argv)
{
    struct run r = {0};

    if (argc != 5) {
        (void)fprintf(stderr, "usage: curl_bare URL COUNT SIZE PARALLEL\n");
        return 2;
    }
    r.count = bench_number(argv[2]);
    long size = bench_number(argv[3]);
    long parallel = bench_number(argv[4]);
    char *body = malloc((size_t)size);
    CURL **all = calloc((size_t)parallel, sizeof(CURL *));
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/json");
    if (body == NULL || all == NULL || headers == NULL || !open_run(&r, parallel)) {
        return EXIT_FAILURE;
    }
    memset(body, 'x', (size_t)size);
    int64_t begin = bench_ns();
    for (long i = 0; i < parallel && i < r.count; i++) {
        all[i] = make_easy(argv[1], body, size, headers);
        start(&r, all[i]);
    }
    while (r.done < r.count) {
        turn(&r);
    }
    bench_print(r.done - r.failed, begin);
    for (long i = 0; i < parallel; i++) {
        curl_easy_cleanup(all[i]);
    }
    (void)curl_multi_cleanup(r.multi);
    curl_slist_free_all(headers);
    free(all);
    free(body);
    return r.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
