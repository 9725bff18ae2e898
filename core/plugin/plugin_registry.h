/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_registry.h - the adapters of one directory, each loaded once.
 *
 * Adapters are never unloaded: libraries below them keep thread-exit handlers
 * that would run in unmapped code (openssl issue 653). A new version of an
 * adapter file takes a restart of the relay.
 * Thread: one at a time (the main thread).
 */
#ifndef PLUGIN_REGISTRY_H
#define PLUGIN_REGISTRY_H

#include "base/cleanup.h"
#include "base/error.h"
#include "postrider/publisher.h"

struct plugin_registry;

/** A registry of the adapters in `dir` (copied). Does not touch the directory. */
int plugin_registry_create(const char *dir, struct plugin_registry **ret,
                           struct rider_error *err) RIDER_MUST_CHECK;
/** Frees the registry and every vtable it gave out: instances must be gone.
 *  Loaded code stays in the process. Accepts NULL. */
void plugin_registry_destroy(struct plugin_registry *reg);
RIDER_DEFINE_PTR_CLEANUP(struct plugin_registry, plugin_registry_destroy);

/** The directory as given to plugin_registry_create(). */
const char *plugin_registry_dir(const struct plugin_registry *reg);

/** The checked table of adapter `type`, loaded at the first call; *ret lives as
 *  long as the registry. Fails as plugin_file_open() does, with RIDER_E_IO if
 *  the file cannot be loaded, and with RIDER_E_PROTOCOL if it breaks the ABI;
 *  the text names file and cause. A file that was loaded and then refused stays
 *  refused. Blocks on the file system and runs the library's constructors. */
int plugin_registry_get(struct plugin_registry *reg, const char *type,
                        const struct publisher_vtable **ret,
                        struct rider_error *err) RIDER_MUST_CHECK;

/** Receives one file of the directory: its name, and either its table, or NULL
 *  and why it was refused. Everything is borrowed for the call; `vt` lives as
 *  long as the registry. */
typedef void plugin_list_fn(void *arg, const char *file_name,
                            const struct publisher_vtable *vt, const char *reason);

/** Calls `emit` for every postrider-*.so in the directory, by name. Fails only
 *  if the directory cannot be read. Loads what was not loaded yet. */
int plugin_registry_list(struct plugin_registry *reg, plugin_list_fn *emit, void *arg,
                         struct rider_error *err) RIDER_MUST_CHECK;

#endif
