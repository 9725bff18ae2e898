/* SPDX-License-Identifier: Apache-2.0 */
/*
 * older_minor.c - keeps the contract as it was at minor 0: its table and its results
 * end before the members that came later.
 */
#include "minimal.h"

#include <stddef.h>
#include <string.h>

static size_t publish(struct publisher *self, const struct rider_event *const *events,
                      size_t n)
{
    struct rider_result delivered = {.struct_size =
                                         offsetof(struct rider_result, attempt),
                                     .outcome = RIDER_DELIVERED};

    /* Memory that this adapter knows nothing of. */
    // NOLINTNEXTLINE(bugprone-sizeof-expression): the pointer itself
    memset(&delivered.attempt, 0xa5, sizeof(delivered.attempt));
    for (size_t i = 0; i < n; i++) {
        self->host->complete(self->host, events[i]->ticket, &delivered);
    }
    return n;
}

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("older_minor");
    vtable.abi_minor = 0;
    vtable.struct_size = offsetof(struct publisher_vtable, check_target);
    vtable.publish = publish;
    return &vtable;
}
