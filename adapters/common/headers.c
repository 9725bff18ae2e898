/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headers.c - builds the header list of an event.
 *
 * Values are borrowed from the event; the version, the instant, prefixed names
 * and extras, which it does not hold as text, go into the list's scratch space. A
 * full list or scratch is an error, never a shorter list.
 *
 * Not here: encoding for a transport (percent-encoding, AMQP field types).
 */
#include "common/headers.h"

#include "common/event_time.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static struct rider_bytes text_bytes(const char *text)
{
    return (struct rider_bytes){text, strlen(text)};
}

static bool add(struct headers *h, struct rider_bytes name, struct rider_bytes value)
{
    if (h->n == HEADERS_MAX) {
        return false;
    }
    h->items[h->n++] = (struct rider_header){name, value};
    return true;
}

/* Keeps prefix and tail as one text in the scratch space. */
static bool keep(struct headers *h, const char *prefix, struct rider_bytes tail,
                 struct rider_bytes *ret)
{
    struct rider_bytes head = text_bytes(prefix);
    size_t room = sizeof(h->scratch) - h->scratch_used;
    char *at = h->scratch + h->scratch_used;

    if (tail.len > room || head.len > room - tail.len) {
        return false;
    }
    memcpy(at, head.data, head.len);
    if (tail.len > 0) {
        memcpy(at + head.len, tail.data, tail.len);
    }
    h->scratch_used += head.len + tail.len;
    *ret = (struct rider_bytes){at, head.len + tail.len};
    return true;
}

static bool add_details(struct headers *h, const struct rider_event *event)
{
    char version[16];
    char when[EVENT_TIME_SIZE];
    struct rider_bytes version_text = {0};
    struct rider_bytes when_text = {0};

    (void)snprintf(version, sizeof(version), "%d", (int)event->version);
    (void)event_time_format(event->occurred_at_us, when);
    if (!keep(h, version, (struct rider_bytes){0}, &version_text) ||
        !keep(h, when, (struct rider_bytes){0}, &when_text)) {
        return false;
    }
    return add(h, text_bytes("type"), event->type) &&
           add(h, text_bytes("version"), version_text) &&
           add(h, text_bytes("occurredAt"), when_text) &&
           (event->aggregate_type.len == 0 ||
            add(h, text_bytes("aggregateType"), event->aggregate_type)) &&
           add(h, text_bytes("aggregateId"), event->aggregate_id);
}

static struct rider_bytes id_name(const struct header_style *style)
{
    return text_bytes(style->id_name != NULL ? style->id_name : "eventId");
}

/* A CloudEvent is recognised by its content type. */
static bool add_standard(struct headers *h, const struct rider_event *event,
                         const struct header_style *style)
{
    bool cloudevent = event->envelope == RIDER_ENVELOPE_CE_BINARY ||
                      event->envelope == RIDER_ENVELOPE_CE_STRUCTURED;
    bool with_type =
        style->content_type_name != NULL && (!style->id_only || cloudevent);

    return add(h, id_name(style), event->id) &&
           (style->id_only || add_details(h, event)) &&
           (!with_type ||
            add(h, text_bytes(style->content_type_name), event->content_type));
}

static bool add_attributes(struct headers *h, const struct rider_event *event,
                           const struct header_style *style)
{
    for (size_t i = 0; i < event->n_attributes; i++) {
        struct rider_bytes name = {0};

        if (!keep(h, style->attribute_prefix, event->attributes[i].name, &name) ||
            !add(h, name, event->attributes[i].value)) {
            return false;
        }
    }
    return true;
}

/* An extra whose value turns out empty is left out, like an aggregate type. */
static bool add_extras(struct headers *h, const struct rider_event *event,
                       const struct header_style *style)
{
    char why[128];

    for (size_t i = 0; i < style->n_extras; i++) {
        char *at = h->scratch + h->scratch_used;
        size_t room = sizeof(h->scratch) - h->scratch_used;
        ssize_t len = room == 0 ? -1
                                : template_expand(&style->extras[i].value, event, at,
                                                  room, why, sizeof(why));

        if (len < 0) {
            return false;
        }
        h->scratch_used += (size_t)len;
        if (len > 0 &&
            !add(h, style->extras[i].name, (struct rider_bytes){at, (size_t)len})) {
            return false;
        }
    }
    return true;
}

/* Whether one of the first `n` headers has this name, in any case. */
static bool taken(const struct headers *h, size_t n, struct rider_bytes name)
{
    for (size_t i = 0; i < n; i++) {
        if (h->items[i].name.len == name.len &&
            strncasecmp(h->items[i].name.data, name.data, name.len) == 0) {
            return true;
        }
    }
    return false;
}

static bool add_writers(struct headers *h, const struct rider_event *event)
{
    size_t ours = h->n;

    for (size_t i = 0; i < event->n_headers; i++) {
        const struct rider_header *header = &event->headers[i];

        if (!taken(h, ours, header->name) && !add(h, header->name, header->value)) {
            return false;
        }
    }
    return true;
}

bool headers_are_ours(const struct header_style *style, struct rider_bytes name)
{
    static const char *const details[] = {"type", "version", "occurredAt",
                                          "aggregateType", "aggregateId"};
    struct headers h = {.n = 0};
    size_t prefix = strlen(style->attribute_prefix);

    (void)add(&h, id_name(style), (struct rider_bytes){0});
    if (style->content_type_name != NULL) {
        (void)add(&h, text_bytes(style->content_type_name), (struct rider_bytes){0});
    }
    for (size_t i = 0; !style->id_only && i < sizeof(details) / sizeof(details[0]);
         i++) {
        (void)add(&h, text_bytes(details[i]), (struct rider_bytes){0});
    }
    return taken(&h, h.n, name) ||
           (name.len >= prefix &&
            strncasecmp(name.data, style->attribute_prefix, prefix) == 0);
}

int headers_build(struct headers *h, const struct rider_event *event,
                  const struct header_style *style, char *err, size_t err_size)
{
    h->n = 0;
    h->scratch_used = 0;
    if (add_standard(h, event, style) &&
        (event->envelope != RIDER_ENVELOPE_CE_BINARY ||
         add_attributes(h, event, style)) &&
        add_extras(h, event, style) && add_writers(h, event)) {
        return 0;
    }
    (void)snprintf(err, err_size,
                   "the event has more headers than can be sent, limit %d",
                   HEADERS_MAX);
    return E2BIG;
}
