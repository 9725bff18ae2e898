/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_delivery.c - serves delivery reports.
 *
 * A good report only adds a ticket to a batch. A bad one gathers what its verdict
 * needs: the message status, the cluster's view of the topic (asked at most every
 * other second a topic, and not while the cluster is down), and whether other
 * messages went through while this one waited.
 *
 * Invariant: an event is not touched after its ticket went to the host.
 *
 * Not here: the verdict itself (kafka_report.c).
 */
#include "kafka/kafka_delivery.h"

#include "kafka/kafka_report.h"

#include <syslog.h>

#define ASK_MS        1000 /* longest wait for an answer about a topic */
#define ASKED_FOR_MS  2000 /* how long an answer holds */
#define DRAIN_POLL_MS 50
#define DRAIN_MS      10000 /* the library answers a purge within one poll */

void kafka_delivery_complete(struct kafka_delivery *d, uint64_t ticket,
                             const struct rider_result *result)
{
    (void)atomic_fetch_sub(&d->open, 1);
    d->host->complete(d->host, ticket, result);
}

static void flush_done(struct kafka_delivery *d)
{
    static const struct rider_result delivered = {.struct_size = sizeof(delivered),
                                                  .outcome = RIDER_DELIVERED};

    if (d->n_done > 0) {
        (void)atomic_fetch_sub(&d->open, d->n_done);
        d->host->complete_many(d->host, d->done, d->n_done, &delivered);
        d->n_done = 0;
    }
}

static void add_done(struct kafka_delivery *d, uint64_t ticket)
{
    d->done[d->n_done++] = ticket;
    if (d->n_done == KAFKA_DONE_BATCH) {
        flush_done(d);
    }
}

static enum kafka_topic_state ask(struct kafka_delivery *d, struct kafka_producer *p,
                                  rd_kafka_topic_t *rkt)
{
    uint64_t now = d->host->now_ms(d->host);

    if (d->ask_nobody || kafka_status_down_cause(d->status) != RIDER_CAUSE_NONE) {
        return KAFKA_TOPIC_NOT_ASKED;
    }
    for (size_t i = 0; i < KAFKA_ASKED_MAX; i++) {
        if (d->asked[i].rkt == rkt && now < d->asked[i].until_ms) {
            return d->asked[i].state;
        }
    }
    enum kafka_topic_state state = kafka_producer_ask(p, rkt, ASK_MS);
    d->asked[d->next_asked] =
        (struct kafka_asked){rkt, state, d->host->now_ms(d->host) + ASKED_FOR_MS};
    d->next_asked = (d->next_asked + 1) % KAFKA_ASKED_MAX;
    return state;
}

/* Creates the single producer on first use; NULL if that fails. */
static struct kafka_producer *single_of(struct kafka_delivery *d)
{
    rd_kafka_conf_t *conf = NULL;
    char why[256];

    if (d->single != NULL) {
        return d->single;
    }
    if (kafka_options_conf(d->config, d->host->destination, KAFKA_SINGLE, &conf, why,
                           sizeof(why)) != 0 ||
        kafka_producer_create(conf, &d->single, why, sizeof(why)) != 0) {
        d->host->log(d->host, RIDER_LOG_WARN, "single producer: %s", why);
        return NULL;
    }
    return d->single;
}

/* Sends an event alone. NO_ERROR: its ticket stays open. */
static rd_kafka_resp_err_t send_alone(struct kafka_delivery *d,
                                      const struct rider_event *event)
{
    struct kafka_refusal refusal;
    struct kafka_producer *single = single_of(d);

    if (single == NULL ||
        kafka_message_build(&d->message, d->to, event, &refusal) < 0) {
        return RD_KAFKA_RESP_ERR__QUEUE_FULL;
    }
    rd_kafka_resp_err_t err = kafka_producer_send(single, &d->message);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        (void)atomic_fetch_add(&d->n_singled, 1);
    }
    return err;
}

static bool others_delivered(struct kafka_delivery *d, const rd_kafka_message_t *msg)
{
    uint64_t now = d->host->now_ms(d->host);
    uint64_t last = kafka_status_last_delivery(d->status);
    int64_t waited_us = rd_kafka_message_latency(msg);

    /* In the later half of its wait: a delivery just before the cluster went
     * away proves nothing. */
    return last != 0 && waited_us > 0 && now - last < (uint64_t)waited_us / 2000;
}

static void fail(struct kafka_delivery *d, struct kafka_producer *p,
                 const rd_kafka_message_t *msg)
{
    const struct rider_event *event = msg->_private;
    struct kafka_report report = {.err = msg->err,
                                  .status = rd_kafka_message_status(msg)};

    if (p != d->single && kafka_report_blames_batch(report.err)) {
        report.err = send_alone(d, event);
        if (report.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            return;
        }
    }
    if (kafka_report_needs_topic(report.err)) {
        report.topic = ask(d, p, msg->rkt);
    }
    report.down_cause = kafka_status_down_cause(d->status);
    report.others_delivered = others_delivered(d, msg);
    struct rider_result result = kafka_report_verdict(&report);
    if (result.outcome == RIDER_UNROUTABLE) {
        kafka_status_topic(d->status, d->host->now_ms(d->host), result.cause,
                           rd_kafka_topic_name(msg->rkt));
    }
    kafka_delivery_complete(d, event->ticket, &result);
}

static void serve_reports(struct kafka_delivery *d, struct kafka_producer *p,
                          rd_kafka_event_t *event)
{
    const rd_kafka_message_t *msg = NULL;
    bool delivered = false;

    while ((msg = rd_kafka_event_message_next(event)) != NULL) {
        if (msg->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
            rd_kafka_message_status(msg) == RD_KAFKA_MSG_STATUS_PERSISTED) {
            add_done(d, ((const struct rider_event *)msg->_private)->ticket);
            delivered = true;
        } else {
            fail(d, p, msg);
        }
    }
    flush_done(d);
    if (delivered && kafka_status_delivered(d->status, d->host->now_ms(d->host))) {
        d->host->log(d->host, RIDER_LOG_INFO, "the cluster takes messages");
    }
}

/* A broker that is away is the destination's trouble and shown by health(), so
 * nothing of the library's log is worse than a warning. */
static void serve_log(struct kafka_delivery *d, rd_kafka_event_t *event)
{
    const char *facility = NULL;
    const char *text = NULL;
    int level = LOG_DEBUG;
    int as = RIDER_LOG_DEBUG;

    if (rd_kafka_event_log(event, &facility, &text, &level) != 0) {
        return;
    }
    if (level <= LOG_WARNING) {
        as = RIDER_LOG_WARN;
    } else if (level <= LOG_INFO) {
        as = RIDER_LOG_INFO;
    }
    d->host->log(d->host, as, "librdkafka %s: %s", facility, text);
}

void kafka_delivery_serve(struct kafka_delivery *d, struct kafka_producer *p,
                          rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_DR:
        serve_reports(d, p, event);
        break;
    case RD_KAFKA_EVENT_ERROR:
        if (kafka_status_error(d->status, rd_kafka_event_error(event),
                               rd_kafka_event_error_string(event))) {
            d->host->log(d->host, RIDER_LOG_WARN, "no broker is reachable: %s",
                         rd_kafka_event_error_string(event));
        }
        break;
    case RD_KAFKA_EVENT_LOG:
        serve_log(d, event);
        break;
    default:
        break;
    }
    rd_kafka_event_destroy(event);
}

void kafka_delivery_serve_single(struct kafka_delivery *d)
{
    rd_kafka_event_t *event = NULL;
    rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_NO_ERROR;
    char why[256];

    if (d->single == NULL) {
        return;
    }
    while ((event = kafka_producer_poll(d->single, 0)) != NULL) {
        kafka_delivery_serve(d, d->single, event);
    }
    if (kafka_producer_is_lost(d->single, &err, why, sizeof(why))) {
        d->host->log(d->host, RIDER_LOG_WARN, "single producer lost: %s", why);
        kafka_delivery_drain(d, d->single, /* grace_ms= */ 1000);
        kafka_producer_destroy(d->single);
        d->single = NULL;
    }
}

bool kafka_delivery_is_singling(struct kafka_delivery *d)
{
    return d->single != NULL && kafka_producer_open(d->single) > 0;
}

static void serve_until_empty(struct kafka_delivery *d, struct kafka_producer *p,
                              uint64_t deadline_ms)
{
    while (kafka_producer_open(p) > 0 && d->host->now_ms(d->host) < deadline_ms) {
        rd_kafka_event_t *event = kafka_producer_poll(p, DRAIN_POLL_MS);
        if (event != NULL) {
            kafka_delivery_serve(d, p, event);
        }
    }
}

void kafka_delivery_drain(struct kafka_delivery *d, struct kafka_producer *p,
                          uint64_t grace_ms)
{
    d->ask_nobody = true;
    if (grace_ms > 0) {
        kafka_producer_purge(p, /* in_flight= */ false);
        serve_until_empty(d, p, d->host->now_ms(d->host) + grace_ms);
    }
    kafka_producer_purge(p, /* in_flight= */ true);
    serve_until_empty(d, p, d->host->now_ms(d->host) + DRAIN_MS);
    if (kafka_producer_open(p) > 0) {
        d->host->log(d->host, RIDER_LOG_ERROR, "%zu messages were never reported",
                     kafka_producer_open(p));
    }
    d->ask_nobody = false;
}
