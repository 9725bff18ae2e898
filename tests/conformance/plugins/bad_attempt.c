/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_attempt.c - tells of an error although the event was delivered.
 */
#include "minimal.h"

static size_t publish(struct publisher *self, const struct rider_event *const *events,
                      size_t n)
{
    const struct rider_attempt attempt = {.struct_size = sizeof(attempt),
                                          .started_at_us = 1,
                                          .requests = 1,
                                          .category = "timeout"};
    const struct rider_result delivered = {.struct_size = sizeof(delivered),
                                           .outcome = RIDER_DELIVERED,
                                           .attempt = &attempt};

    for (size_t i = 0; i < n; i++) {
        self->host->complete(self->host, events[i]->ticket, &delivered);
    }
    return n;
}

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("bad_attempt");
    vtable.publish = publish;
    return &vtable;
}
