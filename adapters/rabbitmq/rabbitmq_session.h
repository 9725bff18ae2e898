/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_session.h - the events between publish() and complete(): what waits,
 * what is on the wire, what the broker's answers do to it.
 *
 * All on the I/O thread. rabbitmq_outbound.c sends, rabbitmq_inbound.c reads,
 * rabbitmq_session.c ends events; the three share the struct below and nobody
 * else looks into it.
 *
 *   inbox -> pending -> confirm -> complete()
 *              ^           |
 *              `- replay <-'   a channel error: sent again, oldest first
 */
#ifndef RABBITMQ_SESSION_H
#define RABBITMQ_SESSION_H

#include "rabbitmq/rabbitmq_confirm.h"
#include "rabbitmq/rabbitmq_inbox.h"
#include "rabbitmq/rabbitmq_message.h"

#include <stdatomic.h>

#define RABBITMQ_BATCH 256

struct rabbitmq_conn;
struct rabbitmq_exchanges;

/** Read by stats() on the host's thread. */
struct rabbitmq_counters {
    atomic_ullong published, confirmed, returned, nacked, replayed, channel_errors,
        connects, bytes;
};

/** Events that wait to be sent; a deque in a ring of `size` slots. */
struct rabbitmq_pending {
    struct rabbitmq_item *items;
    size_t size, head, n;
};

enum rabbitmq_stage { RABBITMQ_IDLE, RABBITMQ_METHOD, RABBITMQ_HEADER, RABBITMQ_BODY };

struct rabbitmq_session {
    const struct rider_host *host;
    struct rabbitmq_inbox *inbox; /* borrowed */
    const struct rabbitmq_addressing *addressing;
    struct rabbitmq_counters *counters;
    uint64_t confirm_timeout_ms;

    struct rabbitmq_conn *conn; /* NULL between connections */
    struct rabbitmq_confirm *confirm;
    struct rabbitmq_exchanges *exchanges;
    struct rabbitmq_pending pending;
    bool blocked;
    bool solo;          /* the one open message was sent alone */
    bool draining;      /* stop() was called: send nothing more */
    size_t careful;     /* events still to be sent alone: one of them is poison */
    unsigned fruitless; /* channel errors since the last confirm */
    uint64_t too_large; /* bodies of this size were refused; 0: unknown */
    uint64_t confirmed_ms, unblocked_ms; /* when that happened last */
    uint64_t warned_ms;                  /* of a closed channel; 0: never */

    enum rabbitmq_stage stage; /* of the message being sent */
    size_t body_sent;
    struct rabbitmq_message message;

    bool returning; /* a basic.return waits for its content header */
    bool closing;   /* the broker closed the channel; answered between messages */
    struct rabbitmq_failure closed; /* its reason */

    size_t n_acked, n_settled; /* batch for complete_many() and settled() */
    uint64_t acked[RABBITMQ_BATCH];
};

struct rabbitmq_session_setup {
    const struct rider_host *host;
    struct rabbitmq_inbox *inbox;
    const struct rabbitmq_addressing *addressing;
    struct rabbitmq_counters *counters;
    size_t window;
    uint64_t confirm_timeout_ms;
};

/** Returns 0 or ENOMEM. */
int rabbitmq_session_create(const struct rabbitmq_session_setup *setup,
                            struct rabbitmq_session **ret);
void rabbitmq_session_destroy(struct rabbitmq_session *s);

/** Begins to use a fresh connection, which it borrows. */
void rabbitmq_session_attach(struct rabbitmq_session *s, struct rabbitmq_conn *conn);
/** The connection is gone: completes every event as UNAVAILABLE for `why`, those
 *  that were sent in doubt. */
void rabbitmq_session_detach(struct rabbitmq_session *s,
                             const struct rabbitmq_failure *why,
                             uint64_t retry_after_ms);
/** Completes what was not sent as UNAVAILABLE and sends nothing more. */
void rabbitmq_session_drain(struct rabbitmq_session *s);
/** True if a message has been waiting for its confirm for too long. */
bool rabbitmq_session_overdue(const struct rabbitmq_session *s,
                              struct rabbitmq_failure *why);

/** Ends one event that is in neither pending nor confirm. `flags`: RIDER_RESULT_*. */
void rabbitmq_session_end(struct rabbitmq_session *s, const struct rabbitmq_item *item,
                          uint32_t outcome, const struct rabbitmq_failure *why);
/** Ends one event as delivered; reported by flush(). */
void rabbitmq_session_delivered(struct rabbitmq_session *s,
                                const struct rabbitmq_item *item);
/** Hands the batched completions to the host. */
void rabbitmq_session_flush(struct rabbitmq_session *s);

/** First waiting event, fetched from the inbox if need be, or NULL. */
struct rabbitmq_item *rabbitmq_session_front(struct rabbitmq_session *s);
void rabbitmq_session_pop(struct rabbitmq_session *s);
/** Puts an event before all others. */
void rabbitmq_session_push_front(struct rabbitmq_session *s,
                                 const struct rabbitmq_item *item);

/* rabbitmq_inbound.c: reads and acts on all frames at hand. 0, or -1 if lost. */
int rabbitmq_inbound_run(struct rabbitmq_session *s, struct rabbitmq_failure *why);

/* rabbitmq_outbound.c: sends one burst. What to do next: */
enum rabbitmq_next {
    RABBITMQ_LOST = -1,
    RABBITMQ_MORE,       /* call again */
    RABBITMQ_WAIT_READ,  /* nothing can be sent before the broker says something */
    RABBITMQ_WAIT_EVENT, /* nothing to send */
    RABBITMQ_WAIT_WRITE  /* the socket is full */
};
enum rabbitmq_next rabbitmq_outbound_run(struct rabbitmq_session *s,
                                         struct rabbitmq_failure *why);

#endif
