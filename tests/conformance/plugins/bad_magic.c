/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_magic.c - its table does not start with the magic number.
 */
#include "minimal.h"

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("bad_magic");
    vtable.magic = 0x46454542u;
    return &vtable;
}
