/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_message.c - event to message.
 *
 * All limits of the protocol are checked here, before the first frame: a frame
 * that the library cannot encode after the method frame went out would leave
 * the channel in the middle of a message.
 */
#include "rabbitmq/rabbitmq_message.h"

#include "common/utf8_check.h"

#include <stdio.h>
#include <string.h>

/* Fixed part of a content header frame, three short strings, delivery mode and
 * timestamp, generously. */
#define PROPERTIES_OVERHEAD (3 * 256 + 64)

static int refuse(struct rabbitmq_refusal *ret, uint32_t outcome, uint32_t cause,
                  const char *text)
{
    *ret = (struct rabbitmq_refusal){.outcome = outcome, .why = {.cause = cause}};
    (void)snprintf(ret->why.text, sizeof(ret->why.text), "%s", text);
    return -1;
}

static int expand(const struct template *t, const struct rider_event *event,
                  char out[RABBITMQ_SHORT_MAX + 1], size_t *ret_len, const char *what,
                  struct rabbitmq_refusal *refusal)
{
    char err[96];
    ssize_t len =
        template_expand(t, event, out, RABBITMQ_SHORT_MAX + 1, err, sizeof(err));
    if (len < 0) {
        char text[128];
        (void)snprintf(text, sizeof(text), "%s: %s", what, err);
        return refuse(refusal, RIDER_UNROUTABLE, RIDER_CAUSE_NO_ROUTE, text);
    }
    *ret_len = (size_t)len;
    return 0;
}

/** CC and BCC would route copies elsewhere, and must be arrays besides. */
static bool is_routing_header(struct rider_bytes name)
{
    return (name.len == 2 && memcmp(name.data, "CC", 2) == 0) ||
           (name.len == 3 && memcmp(name.data, "BCC", 3) == 0);
}

static int add_headers(struct rabbitmq_message *m, size_t room,
                       struct rabbitmq_refusal *refusal)
{
    size_t used = PROPERTIES_OVERHEAD;
    for (size_t i = 0; i < m->headers.n; i++) {
        const struct rider_header *h = &m->headers.items[i];
        if (h->name.len > RABBITMQ_SHORT_MAX) {
            return refuse(refusal, RIDER_REJECTED, RIDER_CAUSE_INVALID_PAYLOAD,
                          "a header name is longer than 255 bytes");
        }
        if (is_routing_header(h->name)) {
            return refuse(refusal, RIDER_REJECTED, RIDER_CAUSE_INVALID_PAYLOAD,
                          "headers CC and BCC are routing instructions to RabbitMQ");
        }
        used += h->name.len + h->value.len + 6; /* lengths and kind */
        if (h->value.len > room || used > room) {
            return refuse(refusal, RIDER_REJECTED, RIDER_CAUSE_TOO_LARGE,
                          "the headers do not fit in one frame");
        }
        amqp_table_entry_t *e = &m->entries[i];
        e->key = amqp_view(h->name.data, h->name.len);
        e->value.kind = AMQP_FIELD_KIND_UTF8;
        e->value.value.bytes = amqp_view(h->value.data, h->value.len);
    }
    return 0;
}

static void set_properties(struct rabbitmq_message *m, const struct rider_event *event)
{
    amqp_basic_properties_t *p = &m->properties;
    *p = (amqp_basic_properties_t){
        ._flags = AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
                  AMQP_BASIC_MESSAGE_ID_FLAG,
        .headers = {.num_entries = (int)m->headers.n, .entries = m->entries},
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .message_id = amqp_view(event->id.data, event->id.len)};
    if (event->occurred_at_us >= 0) {
        p->_flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        p->timestamp = (uint64_t)event->occurred_at_us / 1000000;
    }
    /* A longer type is still in the headers. */
    if (event->type.len <= RABBITMQ_SHORT_MAX) {
        p->_flags |= AMQP_BASIC_TYPE_FLAG;
        p->type = amqp_view(event->type.data, event->type.len);
    }
    if (event->content_type.len > 0 && event->content_type.len <= RABBITMQ_SHORT_MAX) {
        p->_flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
        p->content_type = amqp_view(event->content_type.data, event->content_type.len);
    }
}

int rabbitmq_message_build(struct rabbitmq_message *m,
                           const struct rabbitmq_addressing *addressing,
                           const struct rider_event *event, size_t frame_payload,
                           struct rabbitmq_refusal *ret_refusal)
{
    char err[96];
    if (expand(&addressing->exchange, event, m->exchange, &m->exchange_len, "exchange",
               ret_refusal) != 0 ||
        expand(&addressing->routing_key, event, m->routing_key, &m->routing_key_len,
               "routing key", ret_refusal) != 0) {
        return -1;
    }
    struct header_style style = {.attribute_prefix = addressing->attribute_prefix};
    /* RabbitMQ ends the whole connection over such a name in a lookup. */
    if (!utf8_check(m->exchange, m->exchange_len)) {
        return refuse(ret_refusal, RIDER_UNROUTABLE, RIDER_CAUSE_NO_ROUTE,
                      "exchange: the name is not UTF-8");
    }
    if (headers_build(&m->headers, event, &style, err, sizeof(err)) != 0) {
        return refuse(ret_refusal, RIDER_REJECTED, RIDER_CAUSE_TOO_LARGE, err);
    }
    if (event->id.len > RABBITMQ_SHORT_MAX) {
        return refuse(ret_refusal, RIDER_REJECTED, RIDER_CAUSE_INVALID_PAYLOAD,
                      "the event id is longer than 255 bytes");
    }
    if (add_headers(m, frame_payload, ret_refusal) != 0) {
        return -1;
    }
    set_properties(m, event);
    m->body = amqp_view(event->body.data, event->body.len);
    return 0;
}
