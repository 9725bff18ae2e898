/* SPDX-License-Identifier: Apache-2.0 */
/*
 * no_cause.c - it fails events without a cause.
 */
#include "minimal.h"

static size_t publish(struct publisher *self, const struct rider_event *const *events,
                      size_t n)
{
    const struct rider_result failed = {.struct_size = sizeof(failed),
                                        .outcome = RIDER_RETRY};

    for (size_t i = 0; i < n; i++) {
        self->host->complete(self->host, events[i]->ticket, &failed);
    }
    return n;
}

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("no_cause");
    vtable.publish = publish;
    return &vtable;
}
