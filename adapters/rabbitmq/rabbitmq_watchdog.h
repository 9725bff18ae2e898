/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_watchdog.h - ends a library call that blocks too long.
 *
 * rabbitmq-c 0.11 sends without a deadline. A thread of its own shuts the
 * socket down when a call outlasts its limit, whereupon the call returns with a
 * socket error at once. It works on a duplicate of the descriptor, so that it
 * can never hit a descriptor that was closed and given to somebody else.
 */
#ifndef RABBITMQ_WATCHDOG_H
#define RABBITMQ_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct rabbitmq_watchdog;

/** Starts the thread. Returns 0 or an errno value. */
int rabbitmq_watchdog_create(struct rabbitmq_watchdog **ret);
/** Joins the thread; accepts NULL. */
void rabbitmq_watchdog_destroy(struct rabbitmq_watchdog *w);

/** Watches a duplicate of socket `fd`; -1 ends that. Thread: I/O. Returns 0 or
 *  an errno value. */
int rabbitmq_watchdog_watch(struct rabbitmq_watchdog *w, int fd);
/** Shuts the socket down unless disarm() comes within `limit_ms`. Thread: I/O. */
void rabbitmq_watchdog_arm(struct rabbitmq_watchdog *w, uint64_t limit_ms);
/** Returns true if the socket was shut down since arm(). Thread: I/O. */
bool rabbitmq_watchdog_disarm(struct rabbitmq_watchdog *w);
/** Shuts the watched socket down now. Any thread. */
void rabbitmq_watchdog_bite(struct rabbitmq_watchdog *w);

#endif
