/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_loop.c - one epoll set for all transfers of a destination.
 *
 * libcurl names the sockets it wants watched and one timer; the loop reports
 * readiness back through curl_multi_socket_action(). An eventfd in the same set
 * ends the wait when another thread has work.
 *
 * Not here: what a transfer is (webhook_transfer.c).
 */
#include "webhook/webhook_loop.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_READY 64

struct webhook_loop {
    CURLM *multi;
    int epoll, wake;
    int64_t timer_at_ms; /* CLOCK_MONOTONIC, -1: none */
};

static int64_t mono_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct webhook_loop *loop = arg;

    (void)multi;
    loop->timer_at_ms = timeout_ms < 0 ? -1 : mono_ms() + timeout_ms;
    return 0;
}

/** `known` is not NULL once the socket is in the set. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct webhook_loop *loop = arg;
    struct epoll_event ev = {.data.fd = fd};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    ev.events = ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0u) |
                ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0u);
    if (epoll_ctl(loop->epoll, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd,
                  &ev) != 0) {
        /* The set may still hold a closed socket of the same number, or lost it. */
        int op = errno == EEXIST ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

        if (epoll_ctl(loop->epoll, op, fd, &ev) != 0) {
            return -1;
        }
    }
    (void)curl_multi_assign(loop->multi, fd, loop);
    return 0;
}

static bool init(struct webhook_loop *loop, long max_connections)
{
    struct epoll_event ev = {.events = EPOLLIN};

    loop->timer_at_ms = -1;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->multi = curl_multi_init();
    if (loop->epoll < 0 || loop->wake < 0 || loop->multi == NULL) {
        return false;
    }
    ev.data.fd = loop->wake;
    (void)curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
    (void)curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
    (void)curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, max_connections);
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &ev) == 0;
}

struct webhook_loop *webhook_loop_create(long max_connections)
{
    struct webhook_loop *loop = calloc(1, sizeof(*loop));

    if (loop == NULL) {
        return NULL;
    }
    if (!init(loop, max_connections)) {
        webhook_loop_destroy(loop);
        return NULL;
    }
    return loop;
}

void webhook_loop_destroy(struct webhook_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    (void)curl_multi_cleanup(loop->multi);
    if (loop->epoll >= 0) {
        (void)close(loop->epoll);
    }
    if (loop->wake >= 0) {
        (void)close(loop->wake);
    }
    free(loop);
}

bool webhook_loop_add(struct webhook_loop *loop, CURL *easy)
{
    return curl_multi_add_handle(loop->multi, easy) == CURLM_OK;
}

void webhook_loop_remove(struct webhook_loop *loop, CURL *easy)
{
    (void)curl_multi_remove_handle(loop->multi, easy);
}

static int wait_ms(const struct webhook_loop *loop, int timeout_ms)
{
    if (loop->timer_at_ms < 0) {
        return timeout_ms;
    }
    int64_t left = loop->timer_at_ms - mono_ms();

    if (left <= 0) {
        return 0;
    }
    return left < timeout_ms ? (int)left : timeout_ms;
}

static int curl_events(uint32_t events)
{
    int flags = (events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0;

    if ((events & EPOLLOUT) != 0) {
        flags |= CURL_CSELECT_OUT;
    }
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        flags |= CURL_CSELECT_ERR;
    }
    return flags;
}

void webhook_loop_run(struct webhook_loop *loop, int timeout_ms)
{
    struct epoll_event ready[MAX_READY];
    int n = epoll_wait(loop->epoll, ready, MAX_READY, wait_ms(loop, timeout_ms));
    int running = 0;

    for (int i = 0; i < n; i++) {
        if (ready[i].data.fd == loop->wake) {
            uint64_t count = 0;
            ssize_t got = read(loop->wake, &count, sizeof(count));

            (void)got; /* a spurious wake-up is harmless */
            continue;
        }
        (void)curl_multi_socket_action(loop->multi, ready[i].data.fd,
                                       curl_events(ready[i].events), &running);
    }
    if (loop->timer_at_ms >= 0 && loop->timer_at_ms <= mono_ms()) {
        loop->timer_at_ms = -1;
        (void)curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
}

CURL *webhook_loop_next_done(struct webhook_loop *loop, CURLcode *ret_code)
{
    const CURLMsg *msg = NULL;
    int left = 0;

    do {
        msg = curl_multi_info_read(loop->multi, &left);
    } while (msg != NULL && msg->msg != CURLMSG_DONE);
    if (msg == NULL) {
        return NULL;
    }
    *ret_code = msg->data.result;
    return msg->easy_handle;
}

void webhook_loop_wake(struct webhook_loop *loop)
{
    const uint64_t one = 1;
    ssize_t put = write(loop->wake, &one, sizeof(one));

    (void)put; /* a full counter is awake already */
}
