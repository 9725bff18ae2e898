/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad_option.c - an option fills memory behind its config struct.
 */
#include "minimal.h"

static const struct rider_option options[] = {
    {.name = "far", .type = RIDER_INT, .offset = 4096, .help = "Far away."},
    {.name = NULL},
};

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static struct publisher_vtable vtable;

    vtable = minimal_vtable("bad_option");
    vtable.options = options;
    vtable.config_size = 8;
    return &vtable;
}
