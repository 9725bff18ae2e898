/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_kept.c - sockets by the ends of their connections.
 *
 * libcurl tells the ends of a connection, not its socket. A local port alone is not
 * enough: the kernel gives one to several connections with different peers. Sockets
 * are not taken out when they are closed; whether a number still stands for the
 * connection is asked at each use, and whether it still belongs into its slot before
 * another one takes it.
 */
#include "webhook/webhook_kept.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SLOTS  65536u
#define PROBES 8u /* slots that a connection may be in, from its own one on */

struct webhook_kept {
    int fds[SLOTS]; /* 0: none, which is never a socket of libcurl's */
};

struct webhook_kept *webhook_kept_create(void)
{
    return calloc(1, sizeof(struct webhook_kept));
}

void webhook_kept_destroy(struct webhook_kept *kept)
{
    free(kept);
}

typedef int name_fn(int fd, struct sockaddr *address, socklen_t *len);

/** The port that `name` tells of, and the address as text; -1: none. */
static int end_of(int fd, name_fn *name, char ip[INET6_ADDRSTRLEN])
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    socklen_t len = sizeof(storage);

    if (name(fd, (struct sockaddr *)&storage, &len) != 0) {
        return -1;
    }
    if (storage.ss_family == AF_INET) {
        memcpy(&in, &storage, sizeof(in));
        (void)inet_ntop(AF_INET, &in.sin_addr, ip, INET6_ADDRSTRLEN);
        return ntohs(in.sin_port);
    }
    memcpy(&in6, &storage, sizeof(in6));
    (void)inet_ntop(AF_INET6, &in6.sin6_addr, ip, INET6_ADDRSTRLEN);
    return storage.ss_family == AF_INET6 ? ntohs(in6.sin6_port) : -1;
}

/** FNV-1a, folded to the number of slots. */
static size_t slot_of(const struct webhook_ends *ends)
{
    const int ports[] = {ends->peer_port, ends->local_port};
    uint32_t hash = 2166136261u;

    for (const char *c = ends->peer_ip; *c != '\0'; c++) {
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    }
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        hash = (hash ^ (unsigned)(ports[i] & 0xff)) * 16777619u;
        hash = (hash ^ (unsigned)(ports[i] >> 8)) * 16777619u;
    }
    return (hash ^ hash >> 16) % SLOTS;
}

static bool has_ends(int fd, const struct webhook_ends *ends)
{
    char ip[INET6_ADDRSTRLEN] = "";

    return end_of(fd, getsockname, ip) == ends->local_port &&
           end_of(fd, getpeername, ip) == ends->peer_port &&
           strcmp(ip, ends->peer_ip) == 0;
}

/** Whether what is in a slot is an open connection that is looked for there. */
static bool belongs(int fd, size_t slot)
{
    char ip[INET6_ADDRSTRLEN] = "";
    struct webhook_ends ends = {.peer_ip = ip};

    if (fd <= 0) {
        return false;
    }
    ends.local_port = end_of(fd, getsockname, ip);
    ends.peer_port = end_of(fd, getpeername, ip);
    return ends.local_port >= 0 && ends.peer_port >= 0 &&
           (slot + SLOTS - slot_of(&ends)) % SLOTS < PROBES;
}

static void put(struct webhook_kept *kept, int fd, size_t home)
{
    size_t slot = home;

    for (size_t i = 0; i < PROBES; i++) {
        size_t next = (home + i) % SLOTS;

        if (kept->fds[next] == fd || !belongs(kept->fds[next], next)) {
            slot = next;
            break;
        }
    }
    kept->fds[slot] = fd;
}

void webhook_kept_add(struct webhook_kept *kept, const int *fds, size_t n,
                      const struct webhook_ends *ends)
{
    for (size_t i = 0; i < n; i++) {
        if (has_ends(fds[i], ends)) {
            put(kept, fds[i], slot_of(ends));
        }
    }
}

bool webhook_kept_is_clean(const struct webhook_kept *kept,
                           const struct webhook_ends *ends)
{
    size_t home = slot_of(ends);
    char byte = 0;

    for (size_t i = 0; i < PROBES; i++) {
        int fd = kept->fds[(home + i) % SLOTS];

        if (fd > 0 && has_ends(fd, ends)) {
            return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
        }
    }
    return false;
}
