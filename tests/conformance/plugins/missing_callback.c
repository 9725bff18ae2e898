/* SPDX-License-Identifier: Apache-2.0 */
/*
 * missing_callback.c - it cannot flush.
 */
#include "minimal.h"

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("missing_callback");
    vtable.flush = NULL;
    return &vtable;
}
