/* SPDX-License-Identifier: Apache-2.0 */
/*
 * short_struct.c - its table ends before the callbacks.
 */
#include "minimal.h"

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("short_struct");
    vtable.struct_size = offsetof(struct publisher_vtable, create);
    return &vtable;
}
