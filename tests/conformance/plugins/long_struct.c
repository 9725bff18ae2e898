/* SPDX-License-Identifier: Apache-2.0 */
/*
 * long_struct.c - its table is longer than its version allows.
 */
#include "minimal.h"

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("long_struct");
    vtable.struct_size += 8;
    return &vtable;
}
