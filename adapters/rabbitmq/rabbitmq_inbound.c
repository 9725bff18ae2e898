/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_inbound.c - acts on what the broker says.
 *
 * frame                       effect
 * ack, returned before        UNROUTABLE no_route
 * ack                         DELIVERED
 * nack                        RETRY queue_full
 * connection.blocked          nothing more is sent, open messages stay open
 * channel.close 404           open messages are sent again, exchanges looked up
 * channel.close 403           the same, if it names the exchange: that is closed
 * channel.close, else         open messages are sent again one by one; the one
 *                             that closes the channel alone is the culprit
 * connection.close            lost
 *
 * Not here: lookups of exchanges (rabbitmq_outbound.c).
 */
#include "rabbitmq/rabbitmq_session.h"

#include "rabbitmq/rabbitmq_conn.h"
#include "rabbitmq/rabbitmq_exchanges.h"

#include <stdio.h>
#include <string.h>

/* Channel errors without a confirm in between before a 404 is no longer taken
 * for a deleted exchange. */
#define FRUITLESS_MAX 3
/* Frames whose memory the library may hold on to. */
#define RELEASE_EVERY 256
/* A routing key without permission closes a channel each time it is tried. */
#define WARN_EVERY_MS 1000
#define TOPIC_REFUSED "access to topic"

static void on_ack(void *arg, const struct rabbitmq_item *item)
{
    struct rabbitmq_session *s = arg;
    if (s->solo) {
        /* The broker let it in, so an exchange that was refused is open again. */
        rabbitmq_exchanges_set(s->exchanges, s->message.exchange,
                               s->message.exchange_len, RABBITMQ_EXCHANGE_PRESENT,
                               rabbitmq_now_ms());
    }
    if (!(item->flags & RABBITMQ_ITEM_RETURNED)) {
        rabbitmq_session_delivered(s, item);
        return;
    }
    static const struct rabbitmq_failure unroutable = {
        .cause = RIDER_CAUSE_NO_ROUTE,
        .code = AMQP_NO_ROUTE,
        .text = "no queue is bound to the exchange for this routing key"};
    atomic_fetch_add_explicit(&s->counters->returned, 1, memory_order_relaxed);
    rabbitmq_session_end(s, item, RIDER_UNROUTABLE, &unroutable);
}

static void on_nack(void *arg, const struct rabbitmq_item *item)
{
    struct rabbitmq_session *s = arg;
    static const struct rabbitmq_failure refused = {
        .cause = RIDER_CAUSE_QUEUE_FULL,
        .text = "the broker refused the message (nack): its queue is full or failed"};
    atomic_fetch_add_explicit(&s->counters->nacked, 1, memory_order_relaxed);
    rabbitmq_session_end(s, item, RIDER_RETRY, &refused);
}

static int settle(struct rabbitmq_session *s, uint64_t tag, bool multiple,
                  rabbitmq_item_fn *fn, struct rabbitmq_failure *why)
{
    if (rabbitmq_confirm_settle(s->confirm, tag, multiple, fn, s) < 0) {
        *why = (struct rabbitmq_failure){.cause = RIDER_CAUSE_UNKNOWN,
                                         .text =
                                             "the broker confirmed an unknown message"};
        return -1;
    }
    s->confirmed_ms = rabbitmq_now_ms();
    s->fruitless = 0;
    s->solo = s->solo && rabbitmq_confirm_open(s->confirm) > 0;
    return 0;
}

static void set_blocked(struct rabbitmq_session *s, bool blocked, amqp_bytes_t reason)
{
    struct rabbitmq_status status = {.state = blocked ? RABBITMQ_BLOCKED : RABBITMQ_UP};
    if (blocked) {
        status.failure.cause = RIDER_CAUSE_DESTINATION_BLOCKED;
        (void)snprintf(status.failure.text, sizeof(status.failure.text),
                       "the broker blocks publishers: %.*s",
                       (int)(reason.len < 64 ? reason.len : 64),
                       (const char *)reason.bytes);
        s->host->log(s->host, RIDER_LOG_WARN, "%s", status.failure.text);
    } else {
        s->host->log(s->host, RIDER_LOG_INFO, "the broker takes messages again");
    }
    s->blocked = blocked;
    s->unblocked_ms = rabbitmq_now_ms();
    rabbitmq_conn_set_blocked(s->conn, blocked);
    if (rabbitmq_inbox_set_status(s->inbox, &status)) {
        s->host->writable(s->host);
    }
}

/** Ends the message that closed a channel it had for itself. */
static void end_culprit(void *arg, const struct rabbitmq_item *item,
                        const struct rabbitmq_failure *why)
{
    struct rabbitmq_session *s = arg;
    struct rabbitmq_failure verdict = *why;
    uint32_t outcome = RIDER_RETRY;
    if (why->code == AMQP_PRECONDITION_FAILED) {
        bool size = strstr(why->text, "message size") != NULL;
        verdict.cause = size ? RIDER_CAUSE_TOO_LARGE : RIDER_CAUSE_INVALID_PAYLOAD;
        s->too_large = size ? item->event->body.len : s->too_large;
        outcome = RIDER_REJECTED;
    } else if (why->code == AMQP_ACCESS_REFUSED || why->code == AMQP_NOT_FOUND) {
        bool key_only = strstr(why->text, TOPIC_REFUSED) != NULL;
        if (why->code == AMQP_ACCESS_REFUSED && !key_only) {
            rabbitmq_exchanges_set(s->exchanges, s->message.exchange,
                                   s->message.exchange_len, RABBITMQ_EXCHANGE_REFUSED,
                                   rabbitmq_now_ms());
        }
        outcome = RIDER_UNROUTABLE;
    }
    rabbitmq_session_end(s, item, outcome, &verdict);
}

struct replay {
    struct rabbitmq_session *s;
    const struct rabbitmq_failure *why;
    uint32_t flags; /* added to each event */
    bool culprit;   /* the only open message is to blame */
};

static void replay_item(void *arg, const struct rabbitmq_item *item)
{
    struct replay *r = arg;
    if (r->culprit) {
        end_culprit(r->s, item, r->why);
        return;
    }
    struct rabbitmq_item again = {
        .event = item->event, .flags = item->flags | RABBITMQ_ITEM_MAYBE | r->flags};
    again.flags &= ~RABBITMQ_ITEM_RETURNED;
    rabbitmq_session_push_front(r->s, &again);
    atomic_fetch_add_explicit(&r->s->counters->replayed, 1, memory_order_relaxed);
}

/** Remembers the exchange that the broker names as closed to us, so that only its
 *  events wait; without it a window would have to go one by one. True if done. */
static bool mark_refused(struct rabbitmq_session *s)
{
    static const char before[] = "exchange '";
    /* A topic permission closes one routing key, not the exchange. */
    if (s->closed.code != AMQP_ACCESS_REFUSED ||
        strstr(s->closed.text, TOPIC_REFUSED)) {
        return false;
    }
    const char *name = strstr(s->closed.text, before);
    const char *end = name ? strstr(name, "' in vhost") : NULL;
    if (!end) {
        return false;
    }
    name += strlen(before);
    rabbitmq_exchanges_set(s->exchanges, name, (size_t)(end - name),
                           RABBITMQ_EXCHANGE_REFUSED, rabbitmq_now_ms());
    return true;
}

/** Replaces a channel that the broker closed. RabbitMQ takes a close-ok in the
 *  middle of a message for an error of the connection, so this waits for its end. */
static int replace_channel(struct rabbitmq_session *s, struct rabbitmq_failure *why)
{
    uint64_t now = rabbitmq_now_ms();
    if (now - s->warned_ms >= WARN_EVERY_MS) {
        s->warned_ms = now;
        s->host->log(s->host, RIDER_LOG_WARN,
                     "channel closed, %s; sending %zu events again", s->closed.text,
                     rabbitmq_confirm_open(s->confirm));
    }
    atomic_fetch_add_explicit(&s->counters->channel_errors, 1, memory_order_relaxed);
    bool missing = s->closed.code == AMQP_NOT_FOUND;
    bool known = missing || mark_refused(s);
    bool one_by_one = !known || ++s->fruitless > FRUITLESS_MAX;
    struct replay r = {.s = s,
                       .why = &s->closed,
                       .flags = one_by_one ? RABBITMQ_ITEM_SOLO : 0,
                       .culprit = s->solo && rabbitmq_confirm_open(s->confirm) == 1};
    if (missing) {
        rabbitmq_exchanges_doubt(s->exchanges);
    }
    rabbitmq_confirm_reset(s->confirm, replay_item, &r);
    s->solo = false;
    s->returning = false;
    s->closing = false;
    return rabbitmq_conn_reopen(s->conn, why);
}

static int on_connection_close(struct rabbitmq_session *s,
                               const amqp_connection_close_t *m,
                               struct rabbitmq_failure *why)
{
    rabbitmq_conn_explain_close(m->reply_code, m->reply_text, why);
    /* A hard error may be one message's fault. The host offers the same events
     * again: sent one by one, the culprit stands alone. */
    bool ours = m->reply_code >= AMQP_FRAME_ERROR && m->reply_code != AMQP_NOT_ALLOWED;
    if (ours && s->solo && rabbitmq_confirm_open(s->confirm) == 1) {
        struct rabbitmq_failure closed = *why;
        closed.cause = RIDER_CAUSE_INVALID_PAYLOAD;
        closed.code = AMQP_PRECONDITION_FAILED;
        struct replay r = {.s = s, .why = &closed, .culprit = true};
        rabbitmq_confirm_reset(s->confirm, replay_item, &r);
    } else if (ours) {
        s->careful = rabbitmq_inbox_open(s->inbox);
    }
    amqp_connection_close_ok_t ok = {0};
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_METHOD};
    frame.payload.method.id = AMQP_CONNECTION_CLOSE_OK_METHOD;
    frame.payload.method.decoded = &ok;
    struct rabbitmq_failure ignored;
    (void)rabbitmq_conn_send(s->conn, &frame, &ignored);
    return -1;
}

static int on_method(struct rabbitmq_session *s, const amqp_method_t *method,
                     struct rabbitmq_failure *why)
{
    switch (method->id) {
    case AMQP_BASIC_ACK_METHOD: {
        const amqp_basic_ack_t *m = method->decoded;
        return settle(s, m->delivery_tag, m->multiple, on_ack, why);
    }
    case AMQP_BASIC_NACK_METHOD: {
        const amqp_basic_nack_t *m = method->decoded;
        return settle(s, m->delivery_tag, m->multiple, on_nack, why);
    }
    case AMQP_BASIC_RETURN_METHOD:
        s->returning = true;
        return 0;
    case AMQP_CONNECTION_BLOCKED_METHOD: {
        const amqp_connection_blocked_t *m = method->decoded;
        set_blocked(s, true, m->reason);
        return 0;
    }
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        set_blocked(s, false, amqp_empty_bytes);
        return 0;
    case AMQP_CHANNEL_CLOSE_METHOD: {
        const amqp_channel_close_t *m = method->decoded;
        rabbitmq_conn_explain_close(m->reply_code, m->reply_text, &s->closed);
        s->closing = true;
        return 0;
    }
    case AMQP_CONNECTION_CLOSE_METHOD:
        return on_connection_close(s, method->decoded, why);
    default:
        return 0; /* nothing else is addressed to a publisher */
    }
}

static int on_frame(struct rabbitmq_session *s, const amqp_frame_t *frame,
                    struct rabbitmq_failure *why)
{
    if (frame->frame_type == AMQP_FRAME_METHOD) {
        return on_method(s, &frame->payload.method, why);
    }
    if (frame->frame_type == AMQP_FRAME_HEADER && s->returning) {
        /* The content of a return follows as body frames, which say nothing new. */
        const amqp_basic_properties_t *p = frame->payload.properties.decoded;
        struct rider_bytes id = {p->message_id.bytes, p->message_id.len};
        s->returning = false;
        if (!rabbitmq_confirm_returned(s->confirm, id)) {
            s->host->log(s->host, RIDER_LOG_WARN,
                         "the broker returned an unknown message");
        }
    }
    return 0;
}

int rabbitmq_inbound_run(struct rabbitmq_session *s, struct rabbitmq_failure *why)
{
    int rc = 1;
    for (unsigned n = 1; rc > 0; n++) {
        amqp_frame_t frame;
        rc = rabbitmq_conn_read(s->conn, &frame, why);
        if (rc > 0 && on_frame(s, &frame, why) != 0) {
            rc = -1;
        }
        if (rc == 0 || n % RELEASE_EVERY == 0) {
            rabbitmq_conn_release(s->conn);
        }
    }
    if (rc == 0 && s->closing && s->stage == RABBITMQ_IDLE) {
        rc = replace_channel(s, why);
    }
    rabbitmq_session_flush(s);
    return rc;
}
