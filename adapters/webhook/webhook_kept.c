/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_kept.c - sockets by their local port.
 *
 * libcurl tells the ports of a connection, not its socket. Sockets are not taken out
 * when they are closed; whether a number still stands for the port is asked at each use.
 */
#include "webhook/webhook_kept.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PORTS 65536

struct webhook_kept {
    int fds[PORTS]; /* 0: none, which is never a socket of libcurl's */
};

struct webhook_kept *webhook_kept_create(void)
{
    return calloc(1, sizeof(struct webhook_kept));
}

void webhook_kept_destroy(struct webhook_kept *kept)
{
    free(kept);
}

static bool is_bound_to(int fd, int port)
{
    struct sockaddr_storage storage;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    socklen_t len = sizeof(storage);

    if (getsockname(fd, (struct sockaddr *)&storage, &len) != 0) {
        return false;
    }
    if (storage.ss_family == AF_INET) {
        memcpy(&in, &storage, sizeof(in));
        return ntohs(in.sin_port) == port;
    }
    memcpy(&in6, &storage, sizeof(in6));
    return storage.ss_family == AF_INET6 && ntohs(in6.sin6_port) == port;
}

void webhook_kept_add(struct webhook_kept *kept, const int *fds, size_t n,
                      int local_port)
{
    for (size_t i = 0; i < n && local_port > 0 && local_port < PORTS; i++) {
        if (is_bound_to(fds[i], local_port)) {
            kept->fds[local_port] = fds[i];
        }
    }
}

bool webhook_kept_has_input(const struct webhook_kept *kept, int local_port)
{
    int fd = local_port > 0 && local_port < PORTS ? kept->fds[local_port] : 0;
    char byte = 0;

    return fd > 0 && is_bound_to(fd, local_port) &&
           recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}
