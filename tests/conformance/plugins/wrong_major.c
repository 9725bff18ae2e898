/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wrong_major.c - it is built for another ABI.
 */
#include "minimal.h"

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("wrong_major");
    vtable.abi_major = RIDER_PUBLISHER_ABI_MAJOR + 1;
    return &vtable;
}
