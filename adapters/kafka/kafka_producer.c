/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_producer.c - wraps rd_kafka_t.
 *
 * Topic handles are kept in a hash table, because looking a topic up by name
 * costs the library a lock on all topics for every message. A kept handle also
 * lets the library watch a missing topic and notice within seconds that it was
 * created. A full table is no error: further topics go by name.
 *
 * Invariant: the library never frees or copies a body, and it owns the headers
 * only after a send that succeeded.
 */
#include "kafka/kafka_producer.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOPIC_SLOTS 4096 /* power of two */
#define TOPIC_LIMIT 3072

struct kafka_producer {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    size_t n_topics;
    rd_kafka_topic_t *topics[TOPIC_SLOTS]; /* open addressing, by hash of the name */
};

int kafka_producer_create(rd_kafka_conf_t *conf, struct kafka_producer **ret, char *err,
                          size_t err_size)
{
    char why[400];
    struct kafka_producer *p = calloc(1, sizeof(*p));

    if (p == NULL) {
        rd_kafka_conf_destroy(conf);
        (void)snprintf(err, err_size, "out of memory");
        return ENOMEM;
    }
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR |
                                       RD_KAFKA_EVENT_LOG);
    p->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (p->rk == NULL) {
        (void)snprintf(err, err_size, "could not create a producer: %s", why);
        rd_kafka_conf_destroy(conf);
        free(p);
        return EINVAL;
    }
    p->queue = rd_kafka_queue_get_main(p->rk);
    (void)rd_kafka_set_log_queue(p->rk, NULL); /* the main queue */
    *ret = p;
    return 0;
}

void kafka_producer_destroy(struct kafka_producer *p)
{
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < TOPIC_SLOTS; i++) {
        if (p->topics[i] != NULL) {
            rd_kafka_topic_destroy(p->topics[i]);
        }
    }
    rd_kafka_queue_destroy(p->queue);
    rd_kafka_destroy(p->rk);
    free(p);
}

/* FNV-1a. */
static size_t hash_of(const char *name, size_t len)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    }
    return hash;
}

/* The kept handle of a topic, made on first use; NULL if the table is full or the
 * library refuses the name. */
static rd_kafka_topic_t *topic_of(struct kafka_producer *p, const char *name,
                                  size_t len)
{
    size_t at = hash_of(name, len) & (TOPIC_SLOTS - 1);

    while (p->topics[at] != NULL) {
        if (strcmp(rd_kafka_topic_name(p->topics[at]), name) == 0) {
            return p->topics[at];
        }
        at = (at + 1) & (TOPIC_SLOTS - 1);
    }
    if (p->n_topics == TOPIC_LIMIT) {
        return NULL;
    }
    p->topics[at] = rd_kafka_topic_new(p->rk, name, NULL);
    p->n_topics += p->topics[at] != NULL;
    return p->topics[at];
}

static rd_kafka_headers_t *headers_of(const struct headers *from)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(from->n);

    for (size_t i = 0; i < from->n; i++) {
        const struct rider_header *h = &from->items[i];

        /* NULL would be a null value; an empty one is meant. */
        const void *value = h->value.len > 0 ? h->value.data : "";
        (void)rd_kafka_header_add(headers, h->name.data, (ssize_t)h->name.len, value,
                                  (ssize_t)h->value.len);
    }
    return headers;
}

/* The library takes bodies, keys and opaques as pointers to non-const, but writes
 * to none of them. */
static void *without_const(const void *p)
{
    union {
        const void *in;
        void *out;
    } pointer = {.in = p};

    return pointer.out;
}

rd_kafka_resp_err_t kafka_producer_send(struct kafka_producer *p,
                                        const struct kafka_message *m)
{
    rd_kafka_topic_t *topic = topic_of(p, m->topic, m->topic_len);
    rd_kafka_topic_t *passing = NULL;

    if (topic == NULL) {
        passing = rd_kafka_topic_new(p->rk, m->topic, NULL);
        topic = passing;
    }
    if (topic == NULL) {
        return rd_kafka_last_error();
    }
    rd_kafka_headers_t *headers = headers_of(&m->headers);
    /* The library's argument macros are GNU expressions, hence the plain tags. */
    rd_kafka_resp_err_t err = rd_kafka_producev(
        p->rk, RD_KAFKA_VTYPE_RKT, topic, RD_KAFKA_VTYPE_MSGFLAGS, 0,
        RD_KAFKA_VTYPE_PARTITION, m->partition, RD_KAFKA_VTYPE_VALUE,
        without_const(m->value.data), m->value.len, RD_KAFKA_VTYPE_KEY,
        without_const(m->key), m->key_len, RD_KAFKA_VTYPE_TIMESTAMP, m->timestamp_ms,
        RD_KAFKA_VTYPE_HEADERS, headers, RD_KAFKA_VTYPE_OPAQUE, without_const(m->event),
        RD_KAFKA_VTYPE_END);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_destroy(headers);
    }
    if (passing != NULL) {
        rd_kafka_topic_destroy(passing);
    }
    return err;
}

rd_kafka_event_t *kafka_producer_poll(struct kafka_producer *p, int timeout_ms)
{
    return rd_kafka_queue_poll(p->queue, timeout_ms);
}

void kafka_producer_wake(struct kafka_producer *p)
{
    rd_kafka_queue_yield(p->queue);
}

void kafka_producer_warm_up(struct kafka_producer *p, const char *topic)
{
    (void)topic_of(p, topic, strlen(topic));
}

size_t kafka_producer_open(struct kafka_producer *p)
{
    return (size_t)rd_kafka_outq_len(p->rk);
}

void kafka_producer_flush(struct kafka_producer *p, int timeout_ms)
{
    (void)rd_kafka_flush(p->rk, timeout_ms);
}

void kafka_producer_purge(struct kafka_producer *p, bool in_flight)
{
    (void)rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE |
                                    (in_flight ? RD_KAFKA_PURGE_F_INFLIGHT : 0));
}

bool kafka_producer_is_lost(struct kafka_producer *p, rd_kafka_resp_err_t *ret_err,
                            char *why, size_t why_size)
{
    rd_kafka_resp_err_t err = rd_kafka_fatal_error(p->rk, why, why_size);

    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return false;
    }
    *ret_err = err;
    return true;
}

enum kafka_topic_state kafka_producer_ask(struct kafka_producer *p,
                                          rd_kafka_topic_t *rkt, int timeout_ms)
{
    const struct rd_kafka_metadata *answer = NULL;
    enum kafka_topic_state state = KAFKA_TOPIC_NOT_ASKED;

    if (rd_kafka_metadata(p->rk, /* all_topics= */ 0, rkt, &answer, timeout_ms) !=
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        return KAFKA_TOPIC_NOT_ASKED;
    }
    if (rkt == NULL) {
        state = KAFKA_TOPIC_PRESENT;
    } else if (answer->topic_cnt > 0) {
        state = kafka_report_topic_state(answer->topics[0].err);
    }
    rd_kafka_metadata_destroy(answer);
    return state;
}
