/* SPDX-License-Identifier: Apache-2.0 */
/*
 * never_completes.c - it takes events and says nothing more.
 */
#include "minimal.h"

static size_t publish(struct publisher *self, const struct rider_event *const *events,
                      size_t n)
{
    (void)self;
    (void)events;
    return n;
}

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("never_completes");
    vtable.publish = publish;
    return &vtable;
}
