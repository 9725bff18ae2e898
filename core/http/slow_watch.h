/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slow_watch.h - cuts off connections whose client is slow.
 *
 * An idle time alone does not help against a client that sends a byte now and then, or
 * takes an answer so. Here the time from the begin of a connection, or the end of the
 * request before, to the last byte of a request counts, and again from the answer to
 * its last byte; what the handler takes is its own affair.
 * Thread: a thread of its own looks each quarter of a second; the functions from any.
 */
#ifndef HTTP_SLOW_WATCH_H
#define HTTP_SLOW_WATCH_H

#include "base/error.h"

#include <stddef.h>

struct slow_watch;
struct slow_entry;

enum slow_state {
    SLOW_RECEIVING, /* the limit runs from now on */
    SLOW_HANDLING,  /* it stands still */
    SLOW_SENDING    /* it runs from now on */
};

/** At most `capacity` connections, each with `limit_s` for either way. */
int slow_watch_create(size_t capacity, unsigned int limit_s, struct slow_watch **ret,
                      struct rider_error *err) RIDER_MUST_CHECK;
/** Joins the thread; every connection must be closed. Accepts NULL. */
void slow_watch_destroy(struct slow_watch *watch);

/** Watches a socket, which stays the caller's and open until slow_watch_close(). NULL
 *  when there is no room: then nothing watches it. */
struct slow_entry *slow_watch_open(struct slow_watch *watch, int fd);
/** Accepts NULL, as does slow_watch_close(). */
void slow_watch_set(struct slow_watch *watch, struct slow_entry *entry,
                    enum slow_state state);
void slow_watch_close(struct slow_watch *watch, struct slow_entry *entry);

#endif
