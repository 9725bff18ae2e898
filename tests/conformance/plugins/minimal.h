/* SPDX-License-Identifier: Apache-2.0 */
/*
 * minimal.h - an adapter that keeps the contract, for plugins that break one
 * rule of it: each takes the table of minimal_vtable() and changes a member.
 *
 * Every event is delivered inside publish(); nothing is ever open.
 */
#ifndef CONFORMANCE_MINIMAL_H
#define CONFORMANCE_MINIMAL_H

#include "postrider/publisher.h"

#include <errno.h>
#include <stdlib.h>

struct publisher {
    const struct rider_host *host;
};

static int minimal_create(const struct rider_host *host, const void *config,
                          struct publisher **ret, char *err, size_t err_size)
{
    (void)config;
    (void)err;
    (void)err_size;
    *ret = calloc(1, sizeof(**ret));
    if (*ret == NULL) {
        return ENOMEM;
    }
    (*ret)->host = host;
    return 0;
}

static int minimal_start(struct publisher *self, char *err, size_t err_size)
{
    (void)self;
    (void)err;
    (void)err_size;
    return 0;
}

static inline void minimal_deliver(const struct publisher *self, uint64_t ticket)
{
    const struct rider_result delivered = {.struct_size = sizeof(delivered),
                                           .outcome = RIDER_DELIVERED};

    self->host->complete(self->host, ticket, &delivered);
}

static size_t minimal_publish(struct publisher *self,
                              const struct rider_event *const *events, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        minimal_deliver(self, events[i]->ticket);
    }
    return n;
}

static size_t minimal_flush(struct publisher *self, uint64_t deadline_ms)
{
    (void)self;
    (void)deadline_ms;
    return 0;
}

static void minimal_stop(struct publisher *self, uint64_t deadline_ms)
{
    (void)self;
    (void)deadline_ms;
}

static void minimal_destroy(struct publisher *self)
{
    free(self);
}

static const struct rider_option minimal_options[] = {{.name = NULL}};

static inline struct publisher_vtable minimal_vtable(const char *name)
{
    return (struct publisher_vtable){
        .magic = RIDER_PUBLISHER_MAGIC,
        .struct_size = sizeof(struct publisher_vtable),
        .abi_major = RIDER_PUBLISHER_ABI_MAJOR,
        .abi_minor = RIDER_PUBLISHER_ABI_MINOR,
        .name = name,
        .version = "1",
        .summary = "Breaks one rule on purpose",
        .options = minimal_options,
        .option_size = sizeof(struct rider_option),
        .create = minimal_create,
        .start = minimal_start,
        .publish = minimal_publish,
        .flush = minimal_flush,
        .stop = minimal_stop,
        .destroy = minimal_destroy,
    };
}

#endif
