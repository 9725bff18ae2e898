/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_adapter.c - the publisher_vtable of RabbitMQ (AMQP 0-9-1).
 *
 * publish() only queues pointers for the I/O thread (rabbitmq_io.c). While
 * there is no connection it ends events at once as UNAVAILABLE, with the time
 * of the next attempt, so that the host knows why they wait.
 *
 * Not here: anything that talks to the broker.
 */
#include "postrider/publisher.h"

#include "rabbitmq/rabbitmq_io.h"
#include "rabbitmq/rabbitmq_options.h"

#include "postrider/version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_PREFIX "header " /* of explain()'s line names */

struct publisher {
    const struct rider_host *host;
    struct rabbitmq_io *io; /* NULL once its thread was left behind */
};

static int rabbitmq_create(const struct rider_host *host, const void *config,
                           struct publisher **ret, char *err, size_t err_size)
{
    struct publisher *self = calloc(1, sizeof(*self));
    if (!self) {
        (void)snprintf(err, err_size, "out of memory");
        return ENOMEM;
    }
    self->host = host;
    int rc = rabbitmq_io_create(host, config, &self->io, err, err_size);
    if (rc != 0) {
        free(self);
        return rc;
    }
    *ret = self;
    return 0;
}

static int rabbitmq_start(struct publisher *self, char *err, size_t err_size)
{
    return rabbitmq_io_start(self->io, err, err_size);
}

/** Ends events that came while there is no connection. */
static void refuse(struct publisher *self, const struct rider_event *const *events,
                   size_t n)
{
    struct rabbitmq_status status;
    rabbitmq_inbox_status(rabbitmq_io_inbox(self->io), &status);
    uint64_t now = rabbitmq_now_ms();
    struct rider_result result = {.struct_size = sizeof(result),
                                  .outcome = RIDER_UNAVAILABLE,
                                  .cause = status.failure.cause,
                                  .remote_code = status.failure.code,
                                  .reason = status.failure.text};
    if (status.retry_at_ms > now) {
        result.retry_after_ms = (uint32_t)(status.retry_at_ms - now);
    }
    for (size_t i = 0; i < n; i++) {
        self->host->complete(self->host, events[i]->ticket, &result);
    }
}

static size_t rabbitmq_publish(struct publisher *self,
                               const struct rider_event *const *events, size_t n)
{
    bool down;
    size_t taken = rabbitmq_inbox_put(rabbitmq_io_inbox(self->io), events, n, &down);
    if (down) {
        refuse(self, events, n);
        return n;
    }
    return taken;
}

static size_t rabbitmq_flush(struct publisher *self, uint64_t deadline_ms)
{
    return rabbitmq_inbox_wait_idle(rabbitmq_io_inbox(self->io), self->host,
                                    deadline_ms);
}

static void rabbitmq_stop(struct publisher *self, uint64_t deadline_ms)
{
    if (!rabbitmq_io_stop(self->io, deadline_ms)) {
        self->io = NULL;
    }
}

static void rabbitmq_destroy(struct publisher *self)
{
    if (self) {
        rabbitmq_io_destroy(self->io);
        free(self);
    }
}

static void rabbitmq_health(struct publisher *self, struct rider_health *ret)
{
    static const uint32_t states[] = {[RABBITMQ_STARTING] = RIDER_STARTING,
                                      [RABBITMQ_UP] = RIDER_UP,
                                      [RABBITMQ_BLOCKED] = RIDER_DEGRADED,
                                      [RABBITMQ_DOWN] = RIDER_DOWN};
    struct rabbitmq_status status = {.state = RABBITMQ_DOWN};
    if (self->io) {
        rabbitmq_inbox_status(rabbitmq_io_inbox(self->io), &status);
    }
    ret->state = states[status.state];
    ret->cause = status.failure.cause;
    (void)snprintf(ret->detail, sizeof(ret->detail), "%s", status.failure.text);
}

static void rabbitmq_stats(struct publisher *self, rider_stat_fn *emit, void *arg)
{
    if (!self->io) {
        return;
    }
    const struct rabbitmq_counters *c = rabbitmq_io_counters(self->io);
    const struct {
        const char *name;
        const atomic_ullong *value;
    } counters[] = {
        {"published_total", &c->published},
        {"confirmed_total", &c->confirmed},
        {"returned_total", &c->returned},
        {"nacked_total", &c->nacked},
        {"replayed_total", &c->replayed},
        {"channel_errors_total", &c->channel_errors},
        {"connections_total", &c->connects},
        {"sent_bytes_total", &c->bytes},
    };
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        emit(arg, counters[i].name, 1,
             (double)atomic_load_explicit(counters[i].value, memory_order_relaxed));
    }
    struct rabbitmq_status status;
    rabbitmq_inbox_status(rabbitmq_io_inbox(self->io), &status);
    emit(arg, "blocked", 0, status.state == RABBITMQ_BLOCKED ? 1.0 : 0.0);
    emit(arg, "open_events", 0,
         (double)rabbitmq_inbox_open(rabbitmq_io_inbox(self->io)));
}

static void explain_text(rider_explain_fn *emit, void *arg, const char *name,
                         const char *text)
{
    emit(arg, name, text, strlen(text));
}

static void explain_properties(const amqp_basic_properties_t *p, rider_explain_fn *emit,
                               void *arg)
{
    char number[24];
    emit(arg, "message_id", p->message_id.bytes, p->message_id.len);
    if (p->_flags & AMQP_BASIC_TYPE_FLAG) {
        emit(arg, "type", p->type.bytes, p->type.len);
    }
    if (p->_flags & AMQP_BASIC_CONTENT_TYPE_FLAG) {
        emit(arg, "content_type", p->content_type.bytes, p->content_type.len);
    }
    if (p->_flags & AMQP_BASIC_TIMESTAMP_FLAG) {
        (void)snprintf(number, sizeof(number), "%llu",
                       (unsigned long long)p->timestamp);
        explain_text(emit, arg, "timestamp", number);
    }
    explain_text(emit, arg, "delivery_mode", "2");
    explain_text(emit, arg, "mandatory", "true");
}

static void rabbitmq_explain(struct publisher *self, const struct rider_event *event,
                             rider_explain_fn *emit, void *arg)
{
    /* The frame size is negotiated with the broker; this is what it asks for. */
    const size_t frame_payload = 131064;
    struct rabbitmq_refusal refusal;
    struct rabbitmq_message *m = self->io ? calloc(1, sizeof(*m)) : NULL;
    if (!m) {
        return;
    }
    if (rabbitmq_message_build(m, rabbitmq_io_addressing(self->io), event,
                               frame_payload, &refusal) != 0) {
        explain_text(emit, arg, "refused", refusal.why.text);
        free(m);
        return;
    }
    emit(arg, "exchange", m->exchange, m->exchange_len);
    emit(arg, "routing_key", m->routing_key, m->routing_key_len);
    explain_properties(&m->properties, emit, arg);
    for (size_t i = 0; i < m->headers.n; i++) {
        char name[sizeof(HEADER_PREFIX) + RABBITMQ_SHORT_MAX] = HEADER_PREFIX;
        const struct rider_header *h = &m->headers.items[i];
        memcpy(name + strlen(HEADER_PREFIX), h->name.data, h->name.len);
        emit(arg, name, h->value.data, h->value.len);
    }
    emit(arg, "body", m->body.bytes, m->body.len);
    free(m);
}

static const struct publisher_vtable vtable = {
    .magic = RIDER_PUBLISHER_MAGIC,
    .struct_size = sizeof(struct publisher_vtable),
    .abi_major = RIDER_PUBLISHER_ABI_MAJOR,
    .abi_minor = RIDER_PUBLISHER_ABI_MINOR,
    .name = "rabbitmq",
    .version = RIDER_VERSION,
    .summary = "RabbitMQ exchanges over AMQP 0-9-1, with publisher confirms",
    .options = rabbitmq_options,
    .option_size = sizeof(struct rider_option),
    .config_size = sizeof(struct rabbitmq_config),
    .create = rabbitmq_create,
    .start = rabbitmq_start,
    .publish = rabbitmq_publish,
    .flush = rabbitmq_flush,
    .stop = rabbitmq_stop,
    .destroy = rabbitmq_destroy,
    .health = rabbitmq_health,
    .stats = rabbitmq_stats,
    .explain = rabbitmq_explain,
};

const struct publisher_vtable *rider_publisher_entry(void)
{
    return &vtable;
}
