/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_status.c - one record of the cluster's state under one lock.
 *
 * The client's thread writes what it sees, the host's thread reads. Texts are
 * cut to fit and never hold payloads or credentials: they come from librdkafka's
 * connection errors and from topic names.
 */
#include "kafka/kafka_status.h"

#include "kafka/kafka_report.h"

#include <stdio.h>
#include <string.h>

#define TOPIC_TROUBLE_MS 60000 /* how long a closed topic colours the health */

void kafka_status_init(struct kafka_status *s)
{
    *s = (struct kafka_status){.state = RIDER_STARTING};
    (void)pthread_mutex_init(&s->lock, NULL);
}

void kafka_status_done(struct kafka_status *s)
{
    (void)pthread_mutex_destroy(&s->lock);
}

static bool set_up(struct kafka_status *s)
{
    bool news = s->state != RIDER_UP;

    s->state = RIDER_UP;
    s->cause = RIDER_CAUSE_NONE;
    s->hint = RIDER_CAUSE_NONE;
    s->detail[0] = '\0';
    return news;
}

bool kafka_status_up(struct kafka_status *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool news = set_up(s);
    (void)pthread_mutex_unlock(&s->lock);
    return news;
}

bool kafka_status_delivered(struct kafka_status *s, uint64_t now_ms)
{
    (void)pthread_mutex_lock(&s->lock);
    bool news = set_up(s);
    s->delivered_ms = now_ms;
    (void)pthread_mutex_unlock(&s->lock);
    return news;
}

/* With TLS 1.3 a broker refuses a client's certificate only after the handshake:
 * the library then reports a broken connection and the alert in its text. */
static uint32_t cause_of(rd_kafka_resp_err_t err, const char *text)
{
    uint32_t cause = kafka_report_connection_cause(err);

    return cause == RIDER_CAUSE_UNREACHABLE && strstr(text, "SSL alert") != NULL
               ? (uint32_t)RIDER_CAUSE_TLS
               : cause;
}

bool kafka_status_error(struct kafka_status *s, rd_kafka_resp_err_t err,
                        const char *text)
{
    uint32_t cause = cause_of(err, text);
    bool news = false;

    if (cause == RIDER_CAUSE_NONE) {
        return false;
    }
    (void)pthread_mutex_lock(&s->lock);
    if (cause != RIDER_CAUSE_UNREACHABLE || s->hint == RIDER_CAUSE_NONE) {
        s->hint = cause;
        (void)snprintf(s->detail, sizeof(s->detail), "%s", text);
    }
    if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        news = s->state != RIDER_DOWN;
        s->state = RIDER_DOWN;
    }
    if (s->state == RIDER_DOWN) {
        s->cause = s->hint;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return news;
}

void kafka_status_lost(struct kafka_status *s, uint32_t cause, const char *text)
{
    (void)pthread_mutex_lock(&s->lock);
    s->state = RIDER_DOWN;
    s->cause = cause;
    s->hint = cause;
    (void)snprintf(s->detail, sizeof(s->detail), "%s", text);
    (void)pthread_mutex_unlock(&s->lock);
}

void kafka_status_topic(struct kafka_status *s, uint64_t now_ms, uint32_t cause,
                        const char *topic)
{
    (void)pthread_mutex_lock(&s->lock);
    s->topic_cause = cause;
    s->topic_ms = now_ms > 0 ? now_ms : 1;
    (void)snprintf(s->topic_detail, sizeof(s->topic_detail), "topic \"%.100s\" %s",
                   topic,
                   cause == RIDER_CAUSE_AUTH            ? "is not authorized"
                   : cause == RIDER_CAUSE_TOPIC_MISSING ? "does not exist"
                                                        : "takes no messages");
    (void)pthread_mutex_unlock(&s->lock);
}

bool kafka_status_is_up(struct kafka_status *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool up = s->state == RIDER_UP;
    (void)pthread_mutex_unlock(&s->lock);
    return up;
}

uint32_t kafka_status_down_cause(struct kafka_status *s)
{
    (void)pthread_mutex_lock(&s->lock);
    uint32_t cause = s->state == RIDER_DOWN ? s->cause : (uint32_t)RIDER_CAUSE_NONE;
    (void)pthread_mutex_unlock(&s->lock);
    return cause;
}

uint64_t kafka_status_last_delivery(struct kafka_status *s)
{
    (void)pthread_mutex_lock(&s->lock);
    uint64_t ms = s->delivered_ms;
    (void)pthread_mutex_unlock(&s->lock);
    return ms;
}

void kafka_status_health(struct kafka_status *s, uint64_t now_ms,
                         struct rider_health *ret)
{
    (void)pthread_mutex_lock(&s->lock);
    ret->state = s->state;
    ret->cause = s->state == RIDER_UP ? (uint32_t)RIDER_CAUSE_NONE : s->cause;
    const char *detail = s->detail;
    if (s->state == RIDER_UP && s->topic_ms != 0 &&
        now_ms - s->topic_ms < TOPIC_TROUBLE_MS) {
        ret->state = RIDER_DEGRADED;
        ret->cause = s->topic_cause;
        detail = s->topic_detail;
    }
    (void)snprintf(ret->detail, sizeof(ret->detail), "%s", detail);
    (void)pthread_mutex_unlock(&s->lock);
}
