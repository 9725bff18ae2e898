/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sections.h - the shape of the configuration file: its sections and, for each,
 * the table of its keys. Reading and the reference page both walk it.
 */
#ifndef CONFIG_SECTIONS_H
#define CONFIG_SECTIONS_H

#include "config/option_table.h"
#include "config/settings.h"

struct section {
    const char *name; /* the key; NULL for the file itself */
    const char *help;
    bool list; /* a list of such mappings */
    bool open; /* any keys: an adapter's table says which */
    struct option_table keys;
    const struct section *const *sections; /* NULL-terminated, or NULL */
};

/** The file itself; fills struct settings. */
const struct section *section_root(void);
/** Fill struct source_settings, ops_settings, api_settings, webhooks_settings,
 *  log_settings. */
const struct section *section_source(void);
const struct section *section_ops(void);
const struct section *section_api(void);
const struct section *section_webhooks(void);
const struct section *section_log(void);
/** Fills struct destination_settings; and its two sections. */
const struct section *section_destination(void);
const struct section *section_retry(void);
const struct section *section_options(void);
/** Fill struct route_keys. */
const struct section *section_route(void);
const struct section *section_match(void);

/** A route as it stands in the file, with names instead of indexes. */
struct route_keys {
    const char *const *types;
    const char *const *aggregate_types;
    const char *const *to;
};

#endif
