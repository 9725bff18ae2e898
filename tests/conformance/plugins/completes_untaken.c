/* SPDX-License-Identifier: Apache-2.0 */
/*
 * completes_untaken.c - it completes an event and then says it did not take it.
 */
#include "minimal.h"

static size_t publish(struct publisher *self, const struct rider_event *const *events,
                      size_t n)
{
    size_t taken = minimal_publish(self, events, n);

    self->host->writable(self->host);
    return taken > 0 ? taken - 1 : 0;
}

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("completes_untaken");
    vtable.publish = publish;
    return &vtable;
}
