/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_message.c - builds a message from an event.
 *
 * Templates give topic and key; the topic is checked against Kafka's own rule,
 * because a broker answers a bad name only after the whole message timeout. The
 * size is checked before produce for the same reason: a broker's refusal fails
 * every neighbour in the batch.
 *
 * Invariant: refusal texts name addresses and sizes, never payloads.
 */
#include "kafka/kafka_message.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Bytes of a record batch with one record around key, value and headers: the
 * batch header (61) and the record's varints, rounded up. Kafka protocol guide,
 * "Record Batch". */
#define RECORD_OVERHEAD 128
#define HEADER_OVERHEAD 10

/* CloudEvents Kafka binding 1.0, section 3.2. */
static const struct header_style all_headers = {
    .attribute_prefix = "ce_",
    .content_type_name = "content-type",
};

static const struct header_style id_header = {
    .attribute_prefix = "ce_",
    .content_type_name = "content-type",
    .id_only = true,
};

int kafka_addressing_init(struct kafka_addressing *ret, const char *topic,
                          const char *key, size_t max_bytes, char *err, size_t err_size)
{
    struct kafka_addressing to = {.max_bytes = max_bytes};
    int rc = template_parse(topic, &to.topic, err, err_size);

    if (rc == 0 && to.topic.n == 0) {
        (void)snprintf(err, err_size, "topic is empty");
        rc = EINVAL;
    }
    if (rc == 0) {
        rc = template_parse(key, &to.key, err, err_size);
    }
    if (rc == 0) {
        *ret = to;
    }
    return rc;
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

static size_t size_of(const struct kafka_message *m)
{
    size_t size = RECORD_OVERHEAD + m->key_len + m->event->body.len;

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
    if (build_topic(m, to, refusal) < 0 || build_key(m, to, refusal) < 0) {
        return -1;
    }
    if (headers_build(&m->headers, event, to->id_only ? &id_header : &all_headers, why,
                      sizeof(why)) != 0) {
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
    m->timestamp_ms = ms > 0 ? ms : 0; /* Kafka has no time before 1970 */
    return 0;
}

void kafka_message_explain(const struct kafka_message *m, rider_explain_fn *emit,
                           void *arg)
{
    static const char prefix[] = "header ";
    char text[64 + 256];

    emit(arg, "topic", m->topic, m->topic_len);
    emit(arg, "key", m->key, m->key_len);
    int len = snprintf(text, sizeof(text), "%lld", (long long)m->timestamp_ms);
    emit(arg, "timestamp", text, (size_t)len);
    (void)memcpy(text, prefix, sizeof(prefix));
    for (size_t i = 0; i < m->headers.n; i++) {
        const struct rider_header *h = &m->headers.items[i];
        size_t n = h->name.len < 256 ? h->name.len : 256;

        (void)memcpy(text + sizeof(prefix) - 1, h->name.data, n);
        text[sizeof(prefix) - 1 + n] = '\0';
        emit(arg, text, h->value.data, h->value.len);
    }
    emit(arg, "body", m->event->body.data, m->event->body.len);
}
