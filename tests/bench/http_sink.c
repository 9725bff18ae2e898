/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_sink.c - an HTTP server that answers 200 to everything, as cheaply as it
 * can.
 *
 * usage: http_sink
 *
 * Listens on a free loopback port and prints it, then serves until standard input
 * ends and prints how many requests it answered. One thread, epoll, HTTP/1.1
 * with keep-alive; it understands Content-Length and nothing else.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 8192
#define READY    256

struct client {
    int fd;
    size_t have;      /* of the head */
    size_t body_left; /* of the request under way */
    char head[HEAD_MAX + 1];
};

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

static long answered;

static int listen_somewhere(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
        listen(fd, 1024) != 0 || getsockname(fd, (struct sockaddr *)&at, &len) != 0) {
        return -1;
    }
    (void)printf("{\"port\": %u}\n", ntohs(at.sin_port));
    (void)fflush(stdout);
    return fd;
}

static void drop(struct client *c)
{
    (void)close(c->fd);
    free(c);
}

static void take_client(int listener, int epoll)
{
    const int one = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct client *c = fd >= 0 ? calloc(1, sizeof(*c)) : NULL;

    if (c == NULL) {
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->fd = fd;
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
        drop(c);
    }
}

static size_t content_length(const char *head)
{
    static const char name[] = "\ncontent-length:";
    const char *at = strcasestr(head, name);

    return at == NULL ? 0 : strtoul(at + sizeof(name) - 1, NULL, 10);
}

static bool send_answer(struct client *c)
{
    answered++;
    return send(c->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) ==
           (ssize_t)(sizeof(answer) - 1);
}

/* Serves what the buffer holds; false when the client is to be dropped. */
static bool serve(struct client *c)
{
    for (;;) {
        size_t body = c->body_left < c->have ? c->body_left : c->have;
        if (body > 0) {
            c->body_left -= body;
            c->have -= body;
            memmove(c->head, c->head + body, c->have);
            if (c->body_left == 0 && !send_answer(c)) {
                return false;
            }
        }
        c->head[c->have] = '\0';
        char *end = strstr(c->head, "\r\n\r\n");
        if (c->body_left > 0 || end == NULL) {
            return c->have < HEAD_MAX;
        }
        *end = '\0';
        c->body_left = content_length(c->head);
        size_t used = (size_t)(end - c->head) + 4;
        c->have -= used;
        memmove(c->head, end + 4, c->have);
        if (c->body_left == 0 && !send_answer(c)) {
            return false;
        }
    }
}

static void read_client(struct client *c)
{
    ssize_t got = recv(c->fd, c->head + c->have, HEAD_MAX - c->have, 0);

    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0) {
        drop(c);
        return;
    }
    c->have += (size_t)got;
    if (!serve(c)) {
        drop(c);
    }
}

static int run(int listener, int epoll)
{
    static struct client listening, input; /* only their addresses matter */
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &listening};
    struct epoll_event in = {.events = EPOLLIN, .data.ptr = &input};
    struct epoll_event ready[READY];

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in) != 0) {
        perror("http_sink");
        return EXIT_FAILURE;
    }
    for (;;) {
        int n = epoll_wait(epoll, ready, READY, -1);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.ptr == &input) {
                (void)printf("{\"answered\": %ld}\n", answered);
                return EXIT_SUCCESS;
            }
            if (ready[i].data.ptr == &listening) {
                take_client(listener, epoll);
            } else {
                read_client(ready[i].data.ptr);
            }
        }
    }
}

int main(void)
{
    int listener = listen_somewhere();
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (listener < 0 || epoll < 0) {
        perror("http_sink");
        return EXIT_FAILURE;
    }
    return run(listener, epoll);
}
