/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name_mismatch.c - its table has another name than its file.
 */
#include "minimal.h"

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("name_mismatch");
    vtable.name = "somebody_else";
    return &vtable;
}
