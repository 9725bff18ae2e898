/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_loop.h - libcurl's multi interface on epoll.
 *
 * Thread: the client's, but for webhook_loop_wake(), which any thread may call.
 */
#ifndef WEBHOOK_LOOP_H
#define WEBHOOK_LOOP_H

#include <curl/curl.h>
#include <stdbool.h>

struct webhook_loop;

/** Allocates; keeps at most `max_connections` connections. NULL: out of memory or
 *  descriptors, errno is set. */
struct webhook_loop *webhook_loop_create(long max_connections);

/** Closes idle connections. All transfers must have been removed. Accepts NULL. */
void webhook_loop_destroy(struct webhook_loop *loop);

/** Starts and forgets a transfer; never inside a curl callback. */
bool webhook_loop_add(struct webhook_loop *loop, CURL *easy);
void webhook_loop_remove(struct webhook_loop *loop, CURL *easy);

/** Waits at most `timeout_ms` for sockets, timers or a wake-up and serves them. */
void webhook_loop_run(struct webhook_loop *loop, int timeout_ms);

/** Returns the next transfer that ended, NULL when there is none. */
CURL *webhook_loop_next_done(struct webhook_loop *loop, CURLcode *ret_code);

/** Ends the wait of webhook_loop_run(). Async-safe, cheap when repeated. */
void webhook_loop_wake(struct webhook_loop *loop);

#endif
