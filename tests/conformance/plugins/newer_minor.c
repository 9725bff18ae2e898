/* SPDX-License-Identifier: Apache-2.0 */
/*
 * newer_minor.c - it needs members this relay does not have.
 */
#include "minimal.h"

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("newer_minor");
    vtable.abi_minor = RIDER_PUBLISHER_ABI_MINOR + 1;
    return &vtable;
}
