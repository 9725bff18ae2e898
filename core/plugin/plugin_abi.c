/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_abi.c - checks and copies an adapter's table.
 *
 * Only members that struct_size covers are read. The rule of growth: majors are
 * equal and the adapter's minor is at most the relay's, so a table is never
 * longer than the one compiled in here; a shorter one is filled with zeros.
 *
 * Not here: the option table's rows (plugin_options), loading (plugin_registry).
 */
#include "plugin/plugin_abi.h"

#include "plugin/plugin_options.h"

#include <stdint.h>
#include <string.h>

#define END_OF(member)                           \
    (offsetof(struct publisher_vtable, member) + \
     sizeof(((struct publisher_vtable *)0)->member))

/* The configuration of an adapter is small; a huge size is a broken table. */
#define CONFIG_SIZE_MAX 1048576u

static int check_version(const struct publisher_vtable *theirs, struct rider_error *err)
{
    if (theirs->magic != RIDER_PUBLISHER_MAGIC) {
        return rider_fail(err, RIDER_E_PROTOCOL,
                          "its table starts with 0x%08x instead of 0x%08x: not built "
                          "with postrider/publisher.h",
                          theirs->magic, RIDER_PUBLISHER_MAGIC);
    }
    if (theirs->struct_size < END_OF(abi_minor)) {
        return rider_fail(err, RIDER_E_PROTOCOL,
                          "struct_size %u does not even hold the ABI version",
                          theirs->struct_size);
    }
    if (theirs->abi_major != RIDER_PUBLISHER_ABI_MAJOR) {
        return rider_fail(
            err, RIDER_E_PROTOCOL,
            "it is built for ABI %u.%u, this postrider has %u.%u: rebuild "
            "the adapter",
            theirs->abi_major, theirs->abi_minor, RIDER_PUBLISHER_ABI_MAJOR,
            RIDER_PUBLISHER_ABI_MINOR);
    }
    if (theirs->abi_minor > RIDER_PUBLISHER_ABI_MINOR) {
        return rider_fail(err, RIDER_E_PROTOCOL,
                          "it needs ABI %u.%u, this postrider has %u.%u: use a newer "
                          "postrider",
                          theirs->abi_major, theirs->abi_minor,
                          RIDER_PUBLISHER_ABI_MAJOR, RIDER_PUBLISHER_ABI_MINOR);
    }
    return 0;
}

static int check_sizes(const struct publisher_vtable *theirs, struct rider_error *err)
{
    if (theirs->struct_size < END_OF(destroy)) {
        return rider_fail(err, RIDER_E_PROTOCOL,
                          "struct_size %u is too small, ABI %u.0 has at least %zu",
                          theirs->struct_size, RIDER_PUBLISHER_ABI_MAJOR,
                          (size_t)END_OF(destroy));
    }
    if (theirs->struct_size > sizeof(struct publisher_vtable)) {
        return rider_fail(err, RIDER_E_PROTOCOL,
                          "struct_size %u is more than the %zu of ABI %u.%u",
                          theirs->struct_size, sizeof(struct publisher_vtable),
                          RIDER_PUBLISHER_ABI_MAJOR, RIDER_PUBLISHER_ABI_MINOR);
    }
    if (theirs->config_size > CONFIG_SIZE_MAX) {
        return rider_fail(err, RIDER_E_PROTOCOL, "config_size %zu is above %u",
                          theirs->config_size, CONFIG_SIZE_MAX);
    }
    return 0;
}

static int check_texts(const struct publisher_vtable *vt, const char *type,
                       struct rider_error *err)
{
    if (vt->name == NULL || vt->version == NULL || vt->summary == NULL) {
        return rider_fail(err, RIDER_E_PROTOCOL, "its %s is missing",
                          vt->name == NULL      ? "name"
                          : vt->version == NULL ? "version"
                                                : "summary");
    }
    if (strcmp(vt->name, type) != 0) {
        return rider_fail(err, RIDER_E_PROTOCOL,
                          "it calls itself \"%.64s\": its file must be named "
                          "postrider-%.64s.so",
                          vt->name, vt->name);
    }
    return 0;
}

static int check_callbacks(const struct publisher_vtable *vt, struct rider_error *err)
{
    const struct {
        const char *name;
        int present;
    } required[] = {
        {"create", vt->create != NULL},   {"start", vt->start != NULL},
        {"publish", vt->publish != NULL}, {"flush", vt->flush != NULL},
        {"stop", vt->stop != NULL},       {"destroy", vt->destroy != NULL},
    };

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (!required[i].present) {
            return rider_fail(err, RIDER_E_PROTOCOL, "its required callback %s is NULL",
                              required[i].name);
        }
    }
    return 0;
}

int plugin_abi_check(const struct publisher_vtable *theirs, const char *type,
                     struct publisher_vtable *ret, struct rider_error *err)
{
    struct publisher_vtable vt = {0};
    int r;

    if (theirs == NULL) {
        return rider_fail(err, RIDER_E_PROTOCOL,
                          "rider_publisher_entry() returned NULL");
    }
    if ((r = check_version(theirs, err)) < 0 || (r = check_sizes(theirs, err)) < 0) {
        return r;
    }
    memcpy(&vt, theirs, theirs->struct_size);
    if ((r = check_texts(&vt, type, err)) < 0 || (r = check_callbacks(&vt, err)) < 0 ||
        (r = plugin_options_check(&vt, err)) < 0) {
        return r;
    }
    *ret = vt;
    return 0;
}
