/* SPDX-License-Identifier: Apache-2.0 */
/*
 * null.c - an adapter that confirms every event at once.
 *
 * publish() completes each event before it returns, which the contract allows,
 * so nothing is ever open and flush and stop have nothing to do. It measures
 * what the relay costs without a destination.
 *
 * Not here: anything that keeps an event.
 */
#include "postrider/publisher.h"
#include "postrider/version.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK 256

struct publisher {
    const struct rider_host *host;
    uint64_t events, bytes;
};

static const struct rider_option options[] = {{.name = NULL}};

static int null_create(const struct rider_host *host, const void *config,
                       struct publisher **ret, char *err, size_t err_size)
{
    struct publisher *self = calloc(1, sizeof(*self));

    (void)config;
    if (self == NULL) {
        (void)snprintf(err, err_size, "out of memory");
        return ENOMEM;
    }
    self->host = host;
    *ret = self;
    return 0;
}

static int null_start(struct publisher *self, char *err, size_t err_size)
{
    (void)self;
    (void)err;
    (void)err_size;
    return 0;
}

static size_t null_publish(struct publisher *self,
                           const struct rider_event *const *events, size_t n)
{
    const struct rider_result delivered = {.struct_size = sizeof(delivered),
                                           .outcome = RIDER_DELIVERED};
    uint64_t tickets[CHUNK];

    for (size_t done = 0; done < n;) {
        size_t chunk = n - done < CHUNK ? n - done : CHUNK;

        for (size_t i = 0; i < chunk; i++) {
            tickets[i] = events[done + i]->ticket;
            self->bytes += events[done + i]->body.len;
        }
        self->events += chunk;
        done += chunk;
        self->host->complete_many(self->host, tickets, chunk, &delivered);
    }
    return n;
}

static size_t null_flush(struct publisher *self, uint64_t deadline_ms)
{
    (void)self;
    (void)deadline_ms;
    return 0;
}

static void null_stop(struct publisher *self, uint64_t deadline_ms)
{
    (void)self;
    (void)deadline_ms;
}

static void null_destroy(struct publisher *self)
{
    free(self);
}

static void null_health(struct publisher *self, struct rider_health *ret)
{
    (void)self;
    ret->state = RIDER_UP;
    ret->cause = RIDER_CAUSE_NONE;
    ret->detail[0] = '\0';
}

static void null_stats(struct publisher *self, rider_stat_fn *emit, void *arg)
{
    emit(arg, "swallowed_events_total", 1, (double)self->events);
    emit(arg, "swallowed_bytes_total", 1, (double)self->bytes);
}

static void null_explain(struct publisher *self, const struct rider_event *event,
                         rider_explain_fn *emit, void *arg)
{
    (void)self;
    emit(arg, "swallowed", event->body.data, event->body.len);
}

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static const struct publisher_vtable vtable = {
        .magic = RIDER_PUBLISHER_MAGIC,
        .struct_size = sizeof(struct publisher_vtable),
        .abi_major = RIDER_PUBLISHER_ABI_MAJOR,
        .abi_minor = RIDER_PUBLISHER_ABI_MINOR,
        .caps = RIDER_CAP_KEY_ORDER,
        .name = "null",
        .version = RIDER_VERSION,
        .summary = "Confirms every event and delivers it to nobody, for benchmarks",
        .options = options,
        .option_size = sizeof(struct rider_option),
        .config_size = 0,
        .create = null_create,
        .start = null_start,
        .publish = null_publish,
        .flush = null_flush,
        .stop = null_stop,
        .destroy = null_destroy,
        .health = null_health,
        .stats = null_stats,
        .explain = null_explain,
    };
    return &vtable;
}
