/* SPDX-License-Identifier: Apache-2.0 */
/*
 * configuration.h - one reading of the configuration file, shared by reference.
 *
 * Lanes refer to the strings and options of the reading they were made from,
 * so it lives until the last of them is gone, also after a reload.
 * Thread: the main thread reads it; any may hold a reference and release it; what is in
 * it never changes.
 */
#ifndef DAEMON_CONFIGURATION_H
#define DAEMON_CONFIGURATION_H

#include "base/buf.h"
#include "base/error.h"
#include "config/settings.h"
#include "plugin/plugin_registry.h"
#include "webhooks/key_ring.h"

#include <stdatomic.h>

struct configuration {
    struct settings *settings;
    struct key_ring *key_ring; /* of webhooks.key_ring; NULL: none is set */
    atomic_uint refs;
};

/** Where the file and the adapters are; strings are borrowed. */
struct configuration_source {
    const char *path;
    const char *adapter_dir;         /* overrides the file's; or NULL */
    const char *default_adapter_dir; /* when nobody names one */
    bool no_adapters; /* leave options unchecked and unset, and the key ring unread */
    struct plugin_registry
        *registry; /* made at the first look-up, kept for later ones */
};

/** Reads and checks the file and the key ring it names; `problems` gets one line a mistake or warning.
 *  The caller has the only reference. Blocks on files, loads adapters. */
int configuration_read(struct configuration_source *source, struct configuration **ret,
                       struct buf *problems, struct rider_error *err) RIDER_MUST_CHECK;
struct configuration *configuration_ref(struct configuration *c);
/** Accepts NULL. */
void configuration_unref(struct configuration *c);

/** Ends the registry; every instance must be gone. */
void configuration_source_done(struct configuration_source *source);

#endif
