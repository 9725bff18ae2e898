/* SPDX-License-Identifier: Apache-2.0 */
/*
 * double_complete.c - it completes each event twice.
 */
#include "minimal.h"

static size_t publish(struct publisher *self, const struct rider_event *const *events,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t ticket = events[i]->ticket;

        minimal_deliver(self, ticket);
        minimal_deliver(self, ticket);
    }
    return n;
}

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("double_complete");
    vtable.publish = publish;
    return &vtable;
}
