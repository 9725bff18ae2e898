/* SPDX-License-Identifier: Apache-2.0 */
/*
 * envelope.c - renders the bytes that a destination receives.
 *
 * The worst case of every field is known (an escaped byte takes six), so the
 * text is written straight into memory reserved once and trimmed afterwards:
 * this runs for every event.
 *
 * Not here: protocol headers (adapters), the choice of an envelope (config).
 */
#include "dispatch/envelope.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdbool.h>
#include <string.h>

#define ESCAPE_MAX  6   /* \u0000 */
#define FIXED_MAX   512 /* keys, braces, id, instant, version */
#define CE_MAX_ATTR 8

static const char json_type[] = "application/json";
static const char cloudevents_type[] = "application/cloudevents+json; charset=UTF-8";

static char *put_bytes(char *p, const void *data, size_t len)
{
    if (len > 0) {
        memcpy(p, data, len);
    }
    return p + len;
}

static char *put(char *p, const char *text)
{
    return put_bytes(p, text, strlen(text));
}

static char *put_escaped_byte(char *p, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";

    if (c == '"' || c == '\\') {
        *p++ = '\\';
        *p++ = (char)c;
        return p;
    }
    p = put(p, "\\u00");
    *p++ = hex[c >> 4];
    *p++ = hex[c & 15];
    return p;
}

/* The database guarantees UTF-8 (client_encoding), so only quotes, backslashes
 * and control characters need an escape. */
static char *put_escaped(char *p, struct rider_bytes s)
{
    const unsigned char *text = s.data;

    for (size_t i = 0; i < s.len; i++) {
        if (text[i] < 0x20 || text[i] == '"' || text[i] == '\\') {
            p = put_escaped_byte(p, text[i]);
        } else {
            *p++ = (char)text[i];
        }
    }
    return p;
}

/* snprintf() takes a twentieth of the time that a whole event takes. */
static char *put_int(char *p, int32_t value)
{
    char digits[10];
    size_t n = 0;
    uint32_t rest = value < 0 ? 0 - (uint32_t)value : (uint32_t)value;

    if (value < 0) {
        *p++ = '-';
    }
    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    while (n > 0) {
        *p++ = digits[--n];
    }
    return p;
}

static char *put_time(char *p, int64_t us)
{
    char text[CLOCK_RFC3339_SIZE];

    return put_bytes(p, text, clock_format_rfc3339(us, text));
}

int envelope_valid_traceparent(struct rider_bytes value)
{
    static const char shape[] =
        "00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
    const char *text = value.data;
    bool trace = false;
    bool span = false;

    if (value.len != sizeof(shape) - 1) {
        return 0;
    }
    for (size_t i = 0; i < value.len; i++) {
        bool hex =
            (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (shape[i] == 'x' ? !hex : text[i] != shape[i]) {
            return 0;
        }
        trace = trace || (i >= 3 && i < 35 && text[i] != '0');
        span = span || (i >= 36 && i < 52 && text[i] != '0');
    }
    return trace && span;
}

static struct rider_bytes find_traceparent(const struct event_row *row)
{
    for (size_t i = 0; i < row->n_headers; i++) {
        const struct rider_header *h = &row->headers[i];
        if (h->name.len == 11 && memcmp(h->name.data, "traceparent", 11) == 0 &&
            envelope_valid_traceparent(h->value)) {
            return h->value;
        }
    }
    return (struct rider_bytes){NULL, 0};
}

static size_t worst_case(const struct event_row *row)
{
    return FIXED_MAX + row->payload.len +
           ESCAPE_MAX *
               (row->type.len + row->aggregate_type.len * 2 + row->aggregate_id.len);
}

static char *put_canonical(char *p, const struct event_row *row, char **ret_payload)
{
    struct rider_bytes traceparent = find_traceparent(row);

    p = put(p, "{\"eventId\":\"");
    p = put_bytes(p, row->id, EVENT_ID_LEN);
    p = put(p, "\",\"type\":\"");
    p = put_escaped(p, row->type);
    p = put(p, "\",\"occurredAt\":\"");
    p = put_time(p, row->occurred_at_us);
    p = put(p, "\",\"aggregateId\":\"");
    p = put_escaped(p, row->aggregate_id);
    p = put(p, "\",\"payload\":");
    *ret_payload = p;
    p = put_bytes(p, row->payload.data, row->payload.len);
    p = put(p, ",\"version\":");
    p = put_int(p, row->version);
    if (row->aggregate_type.len > 0) {
        p = put(p, ",\"aggregateType\":\"");
        p = put_escaped(p, row->aggregate_type);
        *p++ = '"';
    }
    if (traceparent.len > 0) {
        p = put(p, ",\"traceparent\":\"");
        p = put_bytes(p, traceparent.data, traceparent.len);
        *p++ = '"';
    }
    *p++ = '}';
    return p;
}

/* The source names the kind of aggregate: unique with the id, as section 3.1.1
 * of the CloudEvents specification demands. */
static const char source_prefix[] = "/outbox/";

static char *put_cloudevent(char *p, const struct event_row *row, char **ret_payload)
{
    struct rider_bytes traceparent = find_traceparent(row);

    p = put(p, "{\"specversion\":\"1.0\",\"id\":\"");
    p = put_bytes(p, row->id, EVENT_ID_LEN);
    p = put(p, "\",\"source\":\"");
    p = put(p, source_prefix);
    p = put_escaped(p, row->aggregate_type);
    p = put(p, "\",\"type\":\"");
    p = put_escaped(p, row->type);
    p = put(p, "\",\"subject\":\"");
    p = put_escaped(p, row->aggregate_id);
    p = put(p, "\",\"time\":\"");
    p = put_time(p, row->occurred_at_us);
    p = put(p, "\",\"dataversion\":\"");
    p = put_int(p, row->version);
    *p++ = '"';
    if (traceparent.len > 0) {
        p = put(p, ",\"traceparent\":\"");
        p = put_bytes(p, traceparent.data, traceparent.len);
        *p++ = '"';
    }
    p = put(p, ",\"datacontenttype\":\"application/json\",\"data\":");
    *ret_payload = p;
    p = put_bytes(p, row->payload.data, row->payload.len);
    *p++ = '}';
    return p;
}

static struct rider_header attribute(const char *name, const void *value, size_t len)
{
    return (struct rider_header){{name, strlen(name)}, {value, len}};
}

/* Attributes of the binary mode, their names without any protocol's prefix. */
static int add_attributes(const struct event_row *row, struct bump *a,
                          struct rider_event *ev)
{
    struct rider_bytes traceparent = find_traceparent(row);
    struct rider_header *attrs = bump_alloc(a, CE_MAX_ATTR * sizeof(*attrs));
    char *text = bump_alloc(a, FIXED_MAX + row->aggregate_type.len);
    size_t n = 0;

    if (attrs == NULL || text == NULL) {
        return RIDER_E_NOMEM;
    }
    char *source_end = put_bytes(put(text, source_prefix), row->aggregate_type.data,
                                 row->aggregate_type.len);
    char *time_end = put_time(source_end, row->occurred_at_us);
    char *version_end = put_int(time_end, row->version);

    attrs[n++] = attribute("specversion", "1.0", 3);
    attrs[n++] = attribute("id", ev->id.data, ev->id.len);
    attrs[n++] = attribute("source", text, (size_t)(source_end - text));
    attrs[n++] = attribute("type", ev->type.data, ev->type.len);
    attrs[n++] = attribute("subject", ev->aggregate_id.data, ev->aggregate_id.len);
    attrs[n++] = attribute("time", source_end, (size_t)(time_end - source_end));
    attrs[n++] = attribute("dataversion", time_end, (size_t)(version_end - time_end));
    if (traceparent.len > 0) {
        const void *copy = bump_copy(a, traceparent.data, traceparent.len);
        if (copy == NULL) {
            return RIDER_E_NOMEM;
        }
        attrs[n++] = attribute("traceparent", copy, traceparent.len);
    }
    ev->attributes = attrs;
    ev->n_attributes = n;
    return 0;
}

static int render_payload(uint32_t envelope, const struct event_row *row,
                          struct bump *a, struct rider_event *ev)
{
    const void *copy = bump_copy(a, row->payload.data, row->payload.len);

    if (copy == NULL) {
        return RIDER_E_NOMEM;
    }
    ev->body = ev->payload = (struct rider_bytes){copy, row->payload.len};
    ev->content_type = (struct rider_bytes){json_type, sizeof(json_type) - 1};
    return envelope == RIDER_ENVELOPE_CE_BINARY ? add_attributes(row, a, ev) : 0;
}

int envelope_render(uint32_t envelope, const struct event_row *row, struct bump *a,
                    struct rider_event *ev)
{
    ev->envelope = envelope;
    if (envelope == RIDER_ENVELOPE_PAYLOAD || envelope == RIDER_ENVELOPE_CE_BINARY) {
        return render_payload(envelope, row, a, ev);
    }
    char *start = bump_alloc(a, worst_case(row));
    if (start == NULL) {
        return RIDER_E_NOMEM;
    }
    bool cloudevent = envelope == RIDER_ENVELOPE_CE_STRUCTURED;
    char *payload = NULL;
    char *end = cloudevent ? put_cloudevent(start, row, &payload)
                           : put_canonical(start, row, &payload);
    bump_trim(a, start, (size_t)(end - start));
    ev->body = (struct rider_bytes){start, (size_t)(end - start)};
    ev->payload = (struct rider_bytes){payload, row->payload.len};
    ev->content_type =
        cloudevent
            ? (struct rider_bytes){cloudevents_type, sizeof(cloudevents_type) - 1}
            : (struct rider_bytes){json_type, sizeof(json_type) - 1};
    return 0;
}
