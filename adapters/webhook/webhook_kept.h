/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_kept.h - what lies in a kept connection before it is used again.
 *
 * Servers end a connection they tire of by an answer that nobody asked for (408), or by
 * a note of TLS. A request sent after that would take it for its own answer: refused,
 * or worse, delivered. libcurl looks before a reuse from version 8 on, not before.
 * Thread: the client's.
 */
#ifndef WEBHOOK_KEPT_H
#define WEBHOOK_KEPT_H

#include <stdbool.h>
#include <stddef.h>

struct webhook_kept;

/** What tells a connection of this host from every other that is open. */
struct webhook_ends {
    const char *peer_ip; /* as inet_ntop() writes it */
    int peer_port, local_port;
};

/** NULL: out of memory. */
struct webhook_kept *webhook_kept_create(void);
void webhook_kept_destroy(struct webhook_kept *kept);

/** Remembers which of `fds` is the connection; others, and those closed meanwhile, are
 *  passed over. */
void webhook_kept_add(struct webhook_kept *kept, const int *fds, size_t n,
                      const struct webhook_ends *ends);

/** Whether the connection is open and has nothing to read. False as well if its socket
 *  is not known, which is rare: it has lost its slot. */
bool webhook_kept_is_clean(const struct webhook_kept *kept,
                           const struct webhook_ends *ends);

#endif
