/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_outbound.c - turns waiting events into frames.
 *
 * A message is a method frame, a header frame and body frames of at most
 * BODY_PIECE bytes. Between frames the socket is asked for room, so that a
 * large message over a slow line neither blocks the thread nor keeps it from
 * reading confirms, block notices and heartbeats.
 *
 * Invariant: a message is in `confirm` from its first frame on.
 */
#include "rabbitmq/rabbitmq_session.h"

#include "rabbitmq/rabbitmq_conn.h"
#include "rabbitmq/rabbitmq_exchanges.h"

#include <stdio.h>

#define BODY_PIECE     16384
#define BURST_BYTES    262144
#define BURST_MESSAGES 128

static uint64_t body_len(const struct rabbitmq_session *s)
{
    return s->message.body.len;
}

static void refuse_front(struct rabbitmq_session *s, uint32_t outcome,
                         const struct rabbitmq_failure *why)
{
    struct rabbitmq_item item = *rabbitmq_session_front(s);
    rabbitmq_session_pop(s);
    rabbitmq_session_end(s, &item, outcome, why);
}

static void refuse_exchange(struct rabbitmq_session *s, bool exists)
{
    struct rabbitmq_failure why = {
        .cause = exists ? RIDER_CAUSE_AUTH : RIDER_CAUSE_NO_ROUTE,
        .code = exists ? AMQP_ACCESS_REFUSED : AMQP_NOT_FOUND};
    (void)snprintf(why.text, sizeof(why.text),
                   exists ? "no permission to publish to exchange \"%.80s\""
                          : "exchange \"%.80s\" does not exist",
                   s->message.exchange);
    refuse_front(s, RIDER_UNROUTABLE, &why);
}

/** Looks the message's exchange up if it is not known. 1: publish, 0: refused,
 *  -1: lost. */
static int check_exchange(struct rabbitmq_session *s, struct rabbitmq_item *item,
                          struct rabbitmq_failure *why)
{
    const char *name = s->message.exchange;
    size_t len = s->message.exchange_len;
    uint64_t now = rabbitmq_now_ms();
    enum rabbitmq_exchange_state state =
        rabbitmq_exchanges_get(s->exchanges, name, len, now);
    if (state == RABBITMQ_EXCHANGE_UNKNOWN) {
        int found = rabbitmq_conn_has_exchange(s->conn, name, len, why);
        if (found < 0) {
            return -1;
        }
        state = found ? RABBITMQ_EXCHANGE_PRESENT : RABBITMQ_EXCHANGE_MISSING;
        rabbitmq_exchanges_set(s->exchanges, name, len, state, now);
        if (!found) {
            s->host->log(s->host, RIDER_LOG_WARN,
                         "exchange \"%s\" does not exist, parking its events", name);
        }
    }
    if (state == RABBITMQ_EXCHANGE_PROBE) {
        item->flags |= RABBITMQ_ITEM_SOLO;
    } else if (state != RABBITMQ_EXCHANGE_PRESENT) {
        refuse_exchange(s, state == RABBITMQ_EXCHANGE_REFUSED);
        return 0;
    }
    return 1;
}

/** Opens the next message. MORE: a stage is set or an event was refused. */
static enum rabbitmq_next begin_message(struct rabbitmq_session *s,
                                        struct rabbitmq_failure *why)
{
    if (s->closing) {
        return RABBITMQ_MORE;
    }
    if (s->draining || s->blocked || s->solo ||
        !rabbitmq_confirm_has_room(s->confirm)) {
        return RABBITMQ_WAIT_READ;
    }
    struct rabbitmq_item *item = rabbitmq_session_front(s);
    if (!item) {
        return RABBITMQ_WAIT_EVENT;
    }
    struct rabbitmq_refusal refusal;
    if (rabbitmq_message_build(&s->message, s->addressing, item->event,
                               rabbitmq_conn_frame_payload(s->conn), &refusal) != 0) {
        refuse_front(s, refusal.outcome, &refusal.why);
        return RABBITMQ_MORE;
    }
    if (s->too_large > 0 && body_len(s) >= s->too_large) {
        static const struct rabbitmq_failure too_large = {
            .cause = RIDER_CAUSE_TOO_LARGE,
            .code = AMQP_PRECONDITION_FAILED,
            .text = "larger than the broker's maximum message size"};
        refuse_front(s, RIDER_REJECTED, &too_large);
        return RABBITMQ_MORE;
    }
    int rc = check_exchange(s, item, why);
    if (rc <= 0) {
        return rc < 0 ? RABBITMQ_LOST : RABBITMQ_MORE;
    }
    bool solo = s->careful > 0 || (item->flags & RABBITMQ_ITEM_SOLO);
    if (solo && rabbitmq_confirm_open(s->confirm) > 0) {
        return RABBITMQ_WAIT_READ;
    }
    s->solo = solo;
    s->careful -= s->careful > 0;
    item->sent_ms = rabbitmq_now_ms();
    (void)rabbitmq_confirm_add(s->confirm, item);
    rabbitmq_session_pop(s);
    s->stage = RABBITMQ_METHOD;
    return RABBITMQ_MORE;
}

static int send_method(struct rabbitmq_session *s, struct rabbitmq_failure *why)
{
    amqp_basic_publish_t method = {
        .exchange = amqp_view(s->message.exchange, s->message.exchange_len),
        .routing_key = amqp_view(s->message.routing_key, s->message.routing_key_len),
        .mandatory = 1};
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_METHOD,
                          .channel = RABBITMQ_PUBLISH_CHANNEL};
    frame.payload.method.id = AMQP_BASIC_PUBLISH_METHOD;
    frame.payload.method.decoded = &method;
    s->stage = RABBITMQ_HEADER;
    return rabbitmq_conn_send(s->conn, &frame, why);
}

static void message_sent(struct rabbitmq_session *s)
{
    s->stage = RABBITMQ_IDLE;
    atomic_fetch_add_explicit(&s->counters->published, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->counters->bytes, body_len(s), memory_order_relaxed);
}

static int send_header(struct rabbitmq_session *s, struct rabbitmq_failure *why)
{
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_HEADER,
                          .channel = RABBITMQ_PUBLISH_CHANNEL};
    frame.payload.properties.class_id = AMQP_BASIC_CLASS;
    frame.payload.properties.body_size = body_len(s);
    frame.payload.properties.decoded = &s->message.properties;
    s->stage = RABBITMQ_BODY;
    s->body_sent = 0;
    int rc = rabbitmq_conn_send(s->conn, &frame, why);
    if (rc == 0 && body_len(s) == 0) {
        message_sent(s);
    }
    return rc;
}

static int send_body(struct rabbitmq_session *s, size_t *sent,
                     struct rabbitmq_failure *why)
{
    size_t piece = s->message.body.len - s->body_sent;
    size_t limit = rabbitmq_conn_frame_payload(s->conn);
    limit = limit < BODY_PIECE ? limit : BODY_PIECE;
    piece = piece < limit ? piece : limit;
    amqp_frame_t frame = {.frame_type = AMQP_FRAME_BODY,
                          .channel = RABBITMQ_PUBLISH_CHANNEL};
    frame.payload.body_fragment =
        amqp_view((const char *)s->message.body.bytes + s->body_sent, piece);
    int rc = rabbitmq_conn_send(s->conn, &frame, why);
    s->body_sent += piece;
    *sent += piece;
    if (rc == 0 && s->body_sent == s->message.body.len) {
        message_sent(s);
    }
    return rc;
}

/** Sends the next frame of the open message and adds about what it took. */
static int send_stage(struct rabbitmq_session *s, size_t *sent,
                      struct rabbitmq_failure *why)
{
    *sent += 256;
    if (s->stage == RABBITMQ_METHOD) {
        return send_method(s, why);
    }
    return s->stage == RABBITMQ_HEADER ? send_header(s, why) : send_body(s, sent, why);
}

static enum rabbitmq_next send_burst(struct rabbitmq_session *s,
                                     struct rabbitmq_failure *why)
{
    size_t sent = 0;
    size_t asked = 0; /* value of `sent` when the socket was last asked */
    bool room = false;
    for (unsigned messages = 0; messages < BURST_MESSAGES && sent < BURST_BYTES;) {
        if (s->stage == RABBITMQ_IDLE) {
            enum rabbitmq_next next = begin_message(s, why);
            if (next != RABBITMQ_MORE || s->closing) {
                return next;
            }
            messages++;
            continue;
        }
        if (!room || sent - asked >= BODY_PIECE) {
            room = rabbitmq_conn_writable(s->conn);
            asked = sent;
            if (!room) {
                return RABBITMQ_WAIT_WRITE;
            }
            rabbitmq_conn_cork(s->conn);
        }
        if (send_stage(s, &sent, why) != 0) {
            return RABBITMQ_LOST;
        }
    }
    return RABBITMQ_MORE;
}

enum rabbitmq_next rabbitmq_outbound_run(struct rabbitmq_session *s,
                                         struct rabbitmq_failure *why)
{
    enum rabbitmq_next next = send_burst(s, why);
    if (next != RABBITMQ_LOST && rabbitmq_conn_uncork(s->conn, why) != 0) {
        next = RABBITMQ_LOST;
    }
    return next;
}
