/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_client.c - owns the batch producer and the thread that serves it.
 *
 * The host's thread hands messages to the producer; the client's thread serves
 * its reports, probes the cluster while it is not up, and replaces a producer
 * that librdkafka gave up (a fatal error, which idempotence can end in): it lets
 * the open messages finish or fails them as "unavailable, perhaps delivered", and
 * makes a new one after a growing pause. The host offers those events again.
 *
 * Invariant: `batch` changes only in the client's thread, and no producer is
 * destroyed while the host's thread has it pinned. Each accepted ticket is
 * completed by the report of its message or at once, and only there.
 */
#include "kafka/kafka_client.h"

#include "kafka/kafka_delivery.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IDLE_POLL_MS   200
#define SINGLE_POLL_MS 5 /* two queues are served in turn */
#define PROBE_EVERY_MS 1000
#define PROBE_MS       500
#define LOST_GRACE_MS  2000
#define MIN_PAUSE_MS   100
#define MAX_PAUSE_MS   30000
#define STOP_MARGIN_MS 250 /* of stop()'s time, kept for the purge */
#define WAIT_SLICE_MS  50

struct kafka_client {
    const struct rider_host *host;
    const struct kafka_config *config;
    struct kafka_addressing to;
    struct kafka_status status;
    struct kafka_delivery delivery;
    pthread_t thread;
    bool started; /* host's thread only */

    pthread_mutex_t lock; /* guards the next four */
    pthread_cond_t changed;
    struct kafka_producer *batch; /* NULL while it is being replaced */
    unsigned int pins;
    bool stopping;

    atomic_bool wants_room; /* a publish() was short */
    atomic_uint_least64_t n_replaced;

    /* The client's thread only. */
    uint64_t next_probe_ms;
    uint64_t made_ms;
    uint64_t pause_ms;

    struct kafka_message message; /* the host's thread only: scratch */
};

static uint64_t now_ms(const struct kafka_client *c)
{
    return c->host->now_ms(c->host);
}

static uint64_t until(const struct kafka_client *c, uint64_t deadline_ms)
{
    uint64_t now = now_ms(c);

    return deadline_ms > now ? deadline_ms - now : 0;
}

/* Waits on `changed` with the lock held, for `ms` at most. */
static void wait_changed(struct kafka_client *c, uint64_t ms)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (time_t)(ms / 1000);
    at.tv_nsec += (long)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    (void)pthread_cond_timedwait(&c->changed, &c->lock, &at);
}

static void notify(struct kafka_client *c)
{
    (void)pthread_mutex_lock(&c->lock);
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
}

/* Keeps the producer from being destroyed; NULL: there is none now. */
static struct kafka_producer *pin(struct kafka_client *c)
{
    (void)pthread_mutex_lock(&c->lock);
    struct kafka_producer *p = c->batch;
    c->pins += p != NULL;
    (void)pthread_mutex_unlock(&c->lock);
    return p;
}

static void unpin(struct kafka_client *c)
{
    (void)pthread_mutex_lock(&c->lock);
    c->pins--;
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
}

static bool is_stopping(struct kafka_client *c)
{
    (void)pthread_mutex_lock(&c->lock);
    bool stopping = c->stopping;
    (void)pthread_mutex_unlock(&c->lock);
    return stopping;
}

/* A topic that never changes is made known before the first event. */
static void warm_up(struct kafka_client *c, struct kafka_producer *p)
{
    static const struct rider_event none = {.struct_size = sizeof(none)};
    char topic[KAFKA_TOPIC_MAX + 1];
    char why[160];

    if (template_is_constant(&c->to.topic) &&
        template_expand(&c->to.topic, &none, topic, sizeof(topic), why, sizeof(why)) >
            0) {
        kafka_producer_warm_up(p, topic);
    }
}

static int make_producer(struct kafka_client *c, struct kafka_producer **ret, char *err,
                         size_t err_size)
{
    rd_kafka_conf_t *conf = NULL;
    int rc = kafka_options_conf(c->config, c->host->destination, KAFKA_BATCH, &conf,
                                err, err_size);

    if (rc == 0) {
        rc = kafka_producer_create(conf, ret, err, err_size);
    }
    if (rc == 0) {
        c->made_ms = now_ms(c);
        warm_up(c, *ret);
    }
    return rc;
}

/* Sets `batch` and waits until the host's thread has let go of the old one. */
static void set_batch(struct kafka_client *c, struct kafka_producer *p)
{
    (void)pthread_mutex_lock(&c->lock);
    c->batch = p;
    (void)pthread_mutex_unlock(&c->lock);
}

static void wait_unpinned(struct kafka_client *c)
{
    (void)pthread_mutex_lock(&c->lock);
    while (c->pins > 0) {
        wait_changed(c, WAIT_SLICE_MS);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

/* Waits out the pause before the next producer; false: stop was asked for. */
static bool pause_before_next(struct kafka_client *c)
{
    uint64_t deadline = now_ms(c) + c->pause_ms;

    (void)pthread_mutex_lock(&c->lock);
    while (!c->stopping && until(c, deadline) > 0) {
        wait_changed(c, until(c, deadline));
    }
    bool go_on = !c->stopping;
    (void)pthread_mutex_unlock(&c->lock);
    c->pause_ms = c->pause_ms * 2 < MAX_PAUSE_MS ? c->pause_ms * 2 : MAX_PAUSE_MS;
    return go_on;
}

static void replace_batch(struct kafka_client *c, rd_kafka_resp_err_t fatal,
                          const char *why)
{
    struct kafka_producer *p = c->batch;
    uint32_t cause = kafka_report_connection_cause(fatal);
    char err[400];

    c->host->log(c->host, RIDER_LOG_WARN, "producer lost, making a new one: %s (%s)",
                 why, rd_kafka_err2name(fatal));
    if (kafka_status_last_delivery(&c->status) > c->made_ms) {
        c->pause_ms = MIN_PAUSE_MS;
    }
    kafka_status_lost(&c->status, cause != 0 ? cause : RIDER_CAUSE_UNREACHABLE, why);
    set_batch(c, NULL);
    kafka_delivery_drain(&c->delivery, p, LOST_GRACE_MS);
    wait_unpinned(c);
    kafka_delivery_drain(&c->delivery, p, /* grace_ms= */ 0);
    kafka_producer_destroy(p);
    notify(c);
    for (p = NULL; p == NULL && pause_before_next(c);) {
        if (make_producer(c, &p, err, sizeof(err)) != 0) {
            c->host->log(c->host, RIDER_LOG_WARN, "%s, retrying", err);
            p = NULL;
        }
    }
    set_batch(c, p);
    c->next_probe_ms = 0;
    (void)atomic_fetch_add(&c->n_replaced, 1);
    c->host->writable(c->host);
}

/* Finds out that the cluster is back, also when there is nothing to send. */
static void probe(struct kafka_client *c)
{
    if (kafka_status_is_up(&c->status) || now_ms(c) < c->next_probe_ms) {
        return;
    }
    if (kafka_producer_ask(c->batch, NULL, PROBE_MS) == KAFKA_TOPIC_PRESENT &&
        kafka_status_up(&c->status)) {
        c->host->log(c->host, RIDER_LOG_INFO, "connected");
    }
    c->next_probe_ms = now_ms(c) + PROBE_EVERY_MS;
}

static void serve_once(struct kafka_client *c)
{
    int wait_ms =
        kafka_delivery_is_singling(&c->delivery) ? SINGLE_POLL_MS : IDLE_POLL_MS;
    rd_kafka_event_t *event = kafka_producer_poll(c->batch, wait_ms);
    rd_kafka_resp_err_t fatal = RD_KAFKA_RESP_ERR_NO_ERROR;
    char why[256];

    if (event != NULL) {
        kafka_delivery_serve(&c->delivery, c->batch, event);
    }
    kafka_delivery_serve_single(&c->delivery);
    if (atomic_exchange(&c->wants_room, false)) {
        c->host->writable(c->host);
    }
    if (atomic_load(&c->delivery.open) == 0) {
        notify(c);
    }
    if (kafka_producer_is_lost(c->batch, &fatal, why, sizeof(why))) {
        replace_batch(c, fatal, why);
    } else {
        probe(c);
    }
}

static void *run(void *arg)
{
    struct kafka_client *c = arg;

    while (!is_stopping(c)) {
        serve_once(c);
    }
    if (c->batch != NULL) {
        kafka_delivery_drain(&c->delivery, c->batch, /* grace_ms= */ 0);
    }
    if (c->delivery.single != NULL) {
        kafka_delivery_drain(&c->delivery, c->delivery.single, /* grace_ms= */ 0);
    }
    return NULL;
}

static int init_lock(struct kafka_client *c)
{
    pthread_condattr_t attr;

    if (pthread_condattr_init(&attr) != 0) {
        return ENOMEM;
    }
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(&c->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (rc == 0) {
        (void)pthread_mutex_init(&c->lock, NULL);
    }
    return rc;
}

int kafka_client_create(const struct rider_host *host,
                        const struct kafka_config *config, struct kafka_client **ret,
                        char *err, size_t err_size)
{
    rd_kafka_conf_t *conf = NULL;
    char max_bytes[32];
    int rc = kafka_options_conf(config, host->destination, KAFKA_BATCH, &conf, err,
                                err_size);

    if (rc != 0) {
        return rc;
    }
    kafka_options_get(conf, "message.max.bytes", max_bytes, sizeof(max_bytes));
    rd_kafka_conf_destroy(conf);
    struct kafka_client *c = calloc(1, sizeof(*c));
    if (c == NULL || init_lock(c) != 0) {
        free(c);
        (void)snprintf(err, err_size, "out of memory");
        return ENOMEM;
    }
    kafka_status_init(&c->status);
    c->host = host;
    c->config = config;
    c->pause_ms = MIN_PAUSE_MS;
    c->delivery.host = host;
    c->delivery.config = config;
    c->delivery.to = &c->to;
    c->delivery.status = &c->status;
    rc = kafka_addressing_init(&c->to, &config->shape, &config->properties,
                               strtoul(max_bytes, NULL, 10), err, err_size);
    if (rc == 0) {
        rc = kafka_options_check(config, host->destination, err, err_size);
    }
    if (rc != 0) {
        kafka_client_destroy(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void kafka_client_destroy(struct kafka_client *c)
{
    if (c == NULL) {
        return;
    }
    if (c->started) {
        kafka_client_stop(c, 0);
    }
    kafka_status_done(&c->status);
    (void)pthread_cond_destroy(&c->changed);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

int kafka_client_start(struct kafka_client *c, char *err, size_t err_size)
{
    int rc = make_producer(c, &c->batch, err, err_size);

    if (rc != 0) {
        return rc;
    }
    rc = pthread_create(&c->thread, NULL, run, c);
    if (rc != 0) {
        (void)snprintf(err, err_size, "could not start a thread");
        kafka_producer_destroy(c->batch);
        c->batch = NULL;
        return rc;
    }
    c->started = true;
    return 0;
}

/* Offers one event; false: no room, the host keeps it. */
static bool offer(struct kafka_client *c, struct kafka_producer *p,
                  const struct rider_event *event)
{
    struct kafka_refusal refusal;

    (void)atomic_fetch_add(&c->delivery.open, 1);
    if (kafka_message_build(&c->message, &c->to, event, &refusal) < 0) {
        kafka_delivery_complete(&c->delivery, event->ticket, &refusal.result);
        return true;
    }
    rd_kafka_resp_err_t err = kafka_producer_send(p, &c->message);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return true;
    }
    if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL || err == RD_KAFKA_RESP_ERR__FATAL) {
        (void)atomic_fetch_sub(&c->delivery.open, 1);
        return false;
    }
    struct kafka_report report = {.err = err,
                                  .status = RD_KAFKA_MSG_STATUS_NOT_PERSISTED,
                                  .down_cause = kafka_status_down_cause(&c->status)};
    struct rider_result result = kafka_report_verdict(&report);
    if (result.outcome == RIDER_UNROUTABLE) {
        kafka_status_topic(&c->status, now_ms(c), result.cause, c->message.topic);
    }
    kafka_delivery_complete(&c->delivery, event->ticket, &result);
    return true;
}

size_t kafka_client_publish(struct kafka_client *c,
                            const struct rider_event *const *events, size_t n)
{
    struct kafka_producer *p = pin(c);
    size_t taken = 0;

    if (p == NULL) {
        return 0; /* writable() comes with the next producer */
    }
    while (taken < n && offer(c, p, events[taken])) {
        taken++;
    }
    if (taken < n) {
        atomic_store(&c->wants_room, true);
    }
    unpin(c);
    return taken;
}

size_t kafka_client_flush(struct kafka_client *c, uint64_t deadline_ms)
{
    struct kafka_producer *p = c->started ? pin(c) : NULL;

    if (p != NULL) {
        kafka_producer_flush(p, (int)until(c, deadline_ms));
        unpin(c);
    }
    /* What the single producer has, or a lost one had, is not the batch's. */
    (void)pthread_mutex_lock(&c->lock);
    while (atomic_load(&c->delivery.open) > 0 && until(c, deadline_ms) > 0) {
        uint64_t left = until(c, deadline_ms);
        wait_changed(c, left < WAIT_SLICE_MS ? left : WAIT_SLICE_MS);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return atomic_load(&c->delivery.open);
}

void kafka_client_stop(struct kafka_client *c, uint64_t deadline_ms)
{
    if (!c->started) {
        return;
    }
    (void)kafka_client_flush(
        c, deadline_ms > STOP_MARGIN_MS ? deadline_ms - STOP_MARGIN_MS : 0);
    (void)pthread_mutex_lock(&c->lock);
    c->stopping = true;
    (void)pthread_cond_broadcast(&c->changed);
    (void)pthread_mutex_unlock(&c->lock);
    struct kafka_producer *p = pin(c);
    if (p != NULL) {
        kafka_producer_wake(p);
        unpin(c);
    }
    (void)pthread_join(c->thread, NULL);
    c->started = false;
    kafka_producer_destroy(c->batch);
    kafka_producer_destroy(c->delivery.single);
    c->batch = NULL;
    c->delivery.single = NULL;
}

void kafka_client_health(struct kafka_client *c, struct rider_health *ret)
{
    kafka_status_health(&c->status, now_ms(c), ret);
}

void kafka_client_stats(struct kafka_client *c, rider_stat_fn *emit, void *arg)
{
    emit(arg, "producer_open_messages", 0, (double)atomic_load(&c->delivery.open));
    emit(arg, "producers_replaced_total", 1, (double)atomic_load(&c->n_replaced));
    emit(arg, "messages_sent_alone_total", 1,
         (double)atomic_load(&c->delivery.n_singled));
}

static void explain_conf(struct kafka_client *c, rider_explain_fn *emit, void *arg)
{
    static const char *const names[] = {"partitioner", "bootstrap.servers"};
    rd_kafka_conf_t *conf = NULL;
    char text[400];

    if (kafka_options_conf(c->config, c->host->destination, KAFKA_BATCH, &conf, text,
                           sizeof(text)) != 0) {
        return;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        kafka_options_get(conf, names[i], text, sizeof(text));
        emit(arg, names[i], text, strlen(text));
    }
    rd_kafka_conf_destroy(conf);
}

void kafka_client_explain(struct kafka_client *c, const struct rider_event *event,
                          rider_explain_fn *emit, void *arg)
{
    struct kafka_message *m = &c->message;
    struct kafka_refusal refusal;

    explain_conf(c, emit, arg);
    if (kafka_message_build(m, &c->to, event, &refusal) < 0) {
        emit(arg, "refused", refusal.text, strlen(refusal.text));
        return;
    }
    kafka_message_explain(m, emit, arg);
}
