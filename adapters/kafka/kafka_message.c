/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_message.c - builds a message from an event.
 *
 * Templates give topic and key; the topic is checked against Kafka's own rule,
 * because a broker answers a bad name only after the whole message timeout. The
 * size is checked before produce for the same reason: a broker's refusal fails
 * every neighbour in the batch.
 *
 * A message is stamped with the time of sending unless told otherwise: brokers
 * delete by these stamps, so one from a time before the topic's retention is
 * taken, acknowledged, and gone within minutes.
 *
 * Invariant: refusal texts name addresses and sizes, never payloads.
 */
#include "kafka/kafka_message.h"

#include "common/patterns.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a record batch with one record around key, value and headers: the
 * batch header (61) and the record's varints, rounded up. Kafka protocol guide,
 * "Record Batch". */
#define RECORD_OVERHEAD 128
#define HEADER_OVERHEAD 10

/* Prefix and content type: CloudEvents Kafka binding 1.0, section 3.2. "id" is the
 * one header that Debezium's outbox event router sends unless told otherwise. */
static struct header_style style_of(uint32_t choice)
{
    struct header_style style = {.attribute_prefix = "ce_",
                                 .content_type_name = "content-type",
                                 .id_only = choice != KAFKA_HEADERS_ALL};

    if (choice == KAFKA_HEADERS_DEBEZIUM) {
        style.id_name = "id";
    }
    return style;
}

/* Adds the header named by a property "header.NAME". */
static int add_extra(struct kafka_addressing *to, const struct rider_property *property,
                     char *err, size_t err_size)
{
    const char *name = property->name + strlen(KAFKA_EXTRA);
    struct header_extra extra = {.name = {name, strlen(name)}};
    const char *why = NULL;

    if (to->style.n_extras == KAFKA_EXTRA_MAX) {
        why = "is one header too many";
    } else if (extra.name.len == 0) {
        why = "names no header";
    } else if (headers_are_ours(&to->style, extra.name)) {
        why = "is a header that is sent anyway";
    }
    if (why != NULL) {
        (void)snprintf(err, err_size, "\"%s\" %s", property->name, why);
        return EINVAL;
    }
    int rc = template_parse(property->value, &extra.value, err, err_size);
    if (rc == 0) {
        to->extras[to->style.n_extras++] = extra;
    }
    return rc;
}

/* The number that `text` is, or -1. */
static int32_t partition_number(const char *text)
{
    char *end = NULL;

    errno = 0;
    long number = strtol(text, &end, 10);
    return isdigit((unsigned char)text[0]) && *end == '\0' && errno == 0 &&
                   number <= INT32_MAX
               ? (int32_t)number
               : -1;
}

/* A partition that never changes is known to be wrong before the first event. */
static int check_partition(const struct kafka_addressing *to, char *err,
                           size_t err_size)
{
    const char *text = to->shape->partition;

    if (to->partition.n == 0 || !template_is_constant(&to->partition) ||
        partition_number(text) >= 0) {
        return 0;
    }
    (void)snprintf(err, err_size, "partition \"%s\" is not a number", text);
    return EINVAL;
}

static const char *text_of(const char *text)
{
    return text != NULL ? text : "";
}

int kafka_addressing_init(struct kafka_addressing *ret, const struct kafka_shape *shape,
                          const struct rider_properties *properties, size_t max_bytes,
                          char *err, size_t err_size)
{
    *ret = (struct kafka_addressing){
        .shape = shape, .max_bytes = max_bytes, .style = style_of(shape->headers)};
    int rc = template_parse(text_of(shape->topic), &ret->topic, err, err_size);

    ret->style.extras = ret->extras;
    if (rc == 0 && ret->topic.n == 0) {
        (void)snprintf(err, err_size, "topic is empty");
        rc = EINVAL;
    }
    if (rc == 0) {
        rc = template_parse(text_of(shape->key), &ret->key, err, err_size);
    }
    if (rc == 0) {
        rc = template_parse(text_of(shape->partition), &ret->partition, err, err_size);
    }
    for (size_t i = 0; rc == 0 && i < properties->n; i++) {
        if (strncmp(properties->items[i].name, KAFKA_EXTRA, strlen(KAFKA_EXTRA)) == 0) {
            rc = add_extra(ret, &properties->items[i], err, err_size);
        }
    }
    return rc == 0 ? check_partition(ret, err, err_size) : rc;
}

/* Makes refusal->text one clean line and the reason of a completion. */
static int refuse(struct kafka_refusal *refusal, enum rider_outcome outcome,
                  enum rider_cause cause)
{
    for (char *p = refusal->text; *p != '\0'; p++) {
        if (iscntrl((unsigned char)*p)) {
            *p = '?';
        }
    }
    refusal->result = (struct rider_result){
        .struct_size = sizeof(refusal->result),
        .outcome = outcome,
        .cause = cause,
        .reason = refusal->text,
    };
    return -1;
}

/* Letters, digits, '.', '_' and '-'; neither "." nor "..". */
static bool is_topic_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        if (!fine) {
            return false;
        }
    }
    return len > 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int build_topic(struct kafka_message *m, const struct kafka_addressing *to,
                       struct kafka_refusal *refusal)
{
    char why[160];
    ssize_t len = template_expand(&to->topic, m->event, m->topic, sizeof(m->topic), why,
                                  sizeof(why));

    if (len < 0) {
        (void)snprintf(refusal->text, sizeof(refusal->text),
                       "could not make a topic name: %s", why);
        return refuse(refusal, RIDER_UNROUTABLE, RIDER_CAUSE_NO_ROUTE);
    }
    m->topic_len = (size_t)len;
    if (memchr(m->topic, '\0', m->topic_len) != NULL ||
        !is_topic_name(m->topic, m->topic_len)) {
        (void)snprintf(refusal->text, sizeof(refusal->text),
                       "\"%s\" is not a valid topic name", m->topic);
        return refuse(refusal, RIDER_UNROUTABLE, RIDER_CAUSE_NO_ROUTE);
    }
    return 0;
}

static int build_key(struct kafka_message *m, const struct kafka_addressing *to,
                     struct kafka_refusal *refusal)
{
    char why[160];
    ssize_t len = 0;

    m->key = m->key_text;
    if (to->key.n == 1 && to->key.parts[0].field == TEMPLATE_AGGREGATE_ID) {
        m->key = m->event->aggregate_id.data;
        len = (ssize_t)m->event->aggregate_id.len;
    } else {
        len = template_expand(&to->key, m->event, m->key_text, sizeof(m->key_text), why,
                              sizeof(why));
    }
    if (len < 0) {
        (void)snprintf(refusal->text, sizeof(refusal->text), "could not make a key: %s",
                       why);
        return refuse(refusal, RIDER_UNROUTABLE, RIDER_CAUSE_NO_ROUTE);
    }
    m->key_len = (size_t)len;
    if (m->key_len == 0) {
        m->key = NULL; /* spread over partitions instead of piling up on one */
    }
    return 0;
}

static int build_partition(struct kafka_message *m, const struct kafka_addressing *to,
                           struct kafka_refusal *refusal)
{
    char text[64];
    char why[160];

    m->partition = -1;
    if (to->partition.n == 0) {
        return 0;
    }
    ssize_t len =
        template_expand(&to->partition, m->event, text, sizeof(text), why, sizeof(why));
    if (len >= 0 && strlen(text) == (size_t)len) {
        m->partition = partition_number(text);
    }
    if (m->partition >= 0) {
        return 0;
    }
    (void)snprintf(refusal->text, sizeof(refusal->text),
                   "\"%s\" is not the number of a partition", len < 0 ? why : text);
    return refuse(refusal, RIDER_UNROUTABLE, RIDER_CAUSE_NO_ROUTE);
}

/* RFC 8259, section 2: whitespace may surround a value. */
static bool is_null(struct rider_bytes json)
{
    static const char space[] = " \t\r\n";
    const char *text = json.data;
    size_t len = json.len;

    while (len > 0 && memchr(space, text[0], sizeof(space) - 1) != NULL) {
        text++;
        len--;
    }
    while (len > 0 && memchr(space, text[len - 1], sizeof(space) - 1) != NULL) {
        len--;
    }
    return len == 4 && memcmp(text, "null", 4) == 0;
}

static struct rider_bytes value_of(const struct kafka_shape *shape,
                                   const struct rider_event *event)
{
    bool tombstone =
        (shape->tombstone != NULL && patterns_match(shape->tombstone, event->type)) ||
        (shape->tombstone_on_null && is_null(event->payload));

    return tombstone ? (struct rider_bytes){0} : event->body;
}

static size_t size_of(const struct kafka_message *m)
{
    size_t size = RECORD_OVERHEAD + m->key_len + m->value.len;

    for (size_t i = 0; i < m->headers.n; i++) {
        size += HEADER_OVERHEAD + m->headers.items[i].name.len +
                m->headers.items[i].value.len;
    }
    return size;
}

int kafka_message_build(struct kafka_message *m, const struct kafka_addressing *to,
                        const struct rider_event *event, struct kafka_refusal *refusal)
{
    char why[160];

    m->event = event;
    m->value = value_of(to->shape, event);
    if (build_topic(m, to, refusal) < 0 || build_key(m, to, refusal) < 0 ||
        build_partition(m, to, refusal) < 0) {
        return -1;
    }
    if (headers_build(&m->headers, event, &to->style, why, sizeof(why)) != 0) {
        (void)snprintf(refusal->text, sizeof(refusal->text), "%s", why);
        return refuse(refusal, RIDER_REJECTED, RIDER_CAUSE_TOO_LARGE);
    }
    size_t size = size_of(m);
    if (size > to->max_bytes) {
        (void)snprintf(refusal->text, sizeof(refusal->text),
                       "a message of %zu bytes is over message.max.bytes, %zu", size,
                       to->max_bytes);
        return refuse(refusal, RIDER_REJECTED, RIDER_CAUSE_TOO_LARGE);
    }
    int64_t ms = event->occurred_at_us / 1000;
    bool occurred = to->shape->timestamp == KAFKA_TIME_OCCURRED;
    m->timestamp_ms = occurred && ms > 0 ? ms : 0; /* Kafka knows none before 1970 */
    return 0;
}

void kafka_message_explain(const struct kafka_message *m, rider_explain_fn *emit,
                           void *arg)
{
    static const char prefix[] = "header ";
    static const char sent[] = "(when it is sent)";
    static const char null[] = "null, a tombstone";
    char text[64 + 256];

    emit(arg, "topic", m->topic, m->topic_len);
    emit(arg, "key", m->key, m->key_len);
    if (m->partition >= 0) {
        int len = snprintf(text, sizeof(text), "%d", (int)m->partition);
        emit(arg, "partition", text, (size_t)len);
    }
    int len = snprintf(text, sizeof(text), "%lld", (long long)m->timestamp_ms);
    emit(arg, "timestamp", m->timestamp_ms > 0 ? text : sent,
         m->timestamp_ms > 0 ? (size_t)len : sizeof(sent) - 1);
    (void)memcpy(text, prefix, sizeof(prefix));
    for (size_t i = 0; i < m->headers.n; i++) {
        const struct rider_header *h = &m->headers.items[i];
        size_t n = h->name.len < 256 ? h->name.len : 256;

        (void)memcpy(text + sizeof(prefix) - 1, h->name.data, n);
        text[sizeof(prefix) - 1 + n] = '\0';
        emit(arg, text, h->value.data, h->value.len);
    }
    if (m->value.data == NULL) {
        emit(arg, "value", null, sizeof(null) - 1);
        return;
    }
    emit(arg, "body", m->value.data, m->value.len);
}
