/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_inbox.h - all that the host's thread and the I/O thread share.
 *
 * A bounded queue of event pointers, the number of open events, the health, and
 * the request to stop. The host's side never blocks but in the two functions
 * that say so. One mutex; nothing is called back under it.
 *
 * state      publish() takes            leaves the state by
 * STARTING   up to the window           first connection, or its failure
 * UP         up to the window           block notice, loss
 * BLOCKED    nothing                    unblock notice, loss
 * DOWN       nothing: it refuses        connection
 */
#ifndef RABBITMQ_INBOX_H
#define RABBITMQ_INBOX_H

#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rabbitmq_state { RABBITMQ_STARTING, RABBITMQ_UP, RABBITMQ_BLOCKED, RABBITMQ_DOWN };

/** Why a connection or an event failed. */
struct rabbitmq_failure {
    uint32_t cause; /* enum rider_cause */
    int32_t code;   /* AMQP reply code, or 0 */
    char text[128]; /* one line, no secret */
};

struct rabbitmq_status {
    enum rabbitmq_state state;
    uint64_t retry_at_ms;            /* DOWN: time of the next attempt, own clock */
    struct rabbitmq_failure failure; /* BLOCKED and DOWN */
};

struct rabbitmq_inbox;

/** Returns 0 or an errno value. */
int rabbitmq_inbox_create(size_t window, struct rabbitmq_inbox **ret);
void rabbitmq_inbox_destroy(struct rabbitmq_inbox *in);

/* The host's thread. */

/** Queues a prefix of `events` and returns its length; wakes the I/O thread. In
 *  state DOWN it is 0 and *ret_down is true. */
size_t rabbitmq_inbox_put(struct rabbitmq_inbox *in,
                          const struct rider_event *const *events, size_t n,
                          bool *ret_down);
/** Blocks until no event is open or the host's clock reaches `deadline_ms`;
 *  returns how many are open. */
size_t rabbitmq_inbox_wait_idle(struct rabbitmq_inbox *in,
                                const struct rider_host *host, uint64_t deadline_ms);
/** Asks the I/O thread to end within `budget_ms`. */
void rabbitmq_inbox_stop(struct rabbitmq_inbox *in, uint64_t budget_ms);
/** Blocks until the I/O thread said finished or the host's clock reaches
 *  `deadline_ms`. True if it finished. */
bool rabbitmq_inbox_wait_finished(struct rabbitmq_inbox *in,
                                  const struct rider_host *host, uint64_t deadline_ms);
/** Gives up on an I/O thread that is stuck in connecting, the one phase that
 *  cannot be interrupted. True: that thread will call the host no more; queued
 *  events are the caller's to complete with take(), then to release(). */
bool rabbitmq_inbox_abandon(struct rabbitmq_inbox *in);
/** After abandon(): the thread may now free everything, this object included. */
void rabbitmq_inbox_release(struct rabbitmq_inbox *in);

/* Either thread. */

void rabbitmq_inbox_status(struct rabbitmq_inbox *in, struct rabbitmq_status *ret);
size_t rabbitmq_inbox_open(struct rabbitmq_inbox *in);
/** Moves up to `max` queued events out, oldest first; they stay open. */
size_t rabbitmq_inbox_take(struct rabbitmq_inbox *in, const struct rider_event **out,
                           size_t max);

/* The I/O thread. */

/** Descriptor that becomes readable by put() and stop(). */
int rabbitmq_inbox_fd(const struct rabbitmq_inbox *in);
/** Announces a sleep on the descriptor. False if there is something to do, or
 *  with `ready` if events are queued; then do not sleep. */
bool rabbitmq_inbox_doze(struct rabbitmq_inbox *in, bool ready);
/** Ends the sleep: drains the descriptor. */
void rabbitmq_inbox_woke(struct rabbitmq_inbox *in);
/** Counts `n` events as completed. True: call the host's writable(). */
bool rabbitmq_inbox_settled(struct rabbitmq_inbox *in, size_t n);
/** Publishes a new state. True: call the host's writable(). */
bool rabbitmq_inbox_set_status(struct rabbitmq_inbox *in,
                               const struct rabbitmq_status *status);
/** True once stop() was called; *ret_until_ms is then the time to end by. */
bool rabbitmq_inbox_stopping(struct rabbitmq_inbox *in, uint64_t *ret_until_ms);
/** Enters or leaves the connecting phase. False: abandoned, and released: free
 *  everything and return. */
bool rabbitmq_inbox_connecting(struct rabbitmq_inbox *in, bool connecting);
/** The last call before the thread ends. */
void rabbitmq_inbox_finished(struct rabbitmq_inbox *in);

/** CLOCK_MONOTONIC in milliseconds: the I/O thread's own clock. */
uint64_t rabbitmq_now_ms(void);

#endif
