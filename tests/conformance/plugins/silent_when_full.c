/* SPDX-License-Identifier: Apache-2.0 */
/*
 * silent_when_full.c - it takes one event and never says that there is room again.
 */
#include "minimal.h"

static size_t publish(struct publisher *self, const struct rider_event *const *events,
                      size_t n)
{
    return minimal_publish(self, events, n > 1 ? 1 : n);
}

static void health(struct publisher *self, struct rider_health *ret)
{
    (void)self;
    ret->state = RIDER_UP;
    ret->cause = RIDER_CAUSE_NONE;
    ret->detail[0] = '\0';
}

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("silent_when_full");
    vtable.publish = publish;
    vtable.health = health;
    return &vtable;
}
