/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_build.h - what the files that make struct settings share. Private to
 * this folder.
 */
#ifndef CONFIG_SETTINGS_BUILD_H
#define CONFIG_SETTINGS_BUILD_H

#include "config/option_table.h"
#include "config/sections.h"
#include "config/settings.h"

/** One run of settings_read(). */
struct settings_build {
    const struct settings_load *load;
    struct settings *settings; /* being filled; lives in the arena */
    struct option_scope scope; /* its arena outlives the run with the settings */
    struct yaml_node *root;    /* lives as long as the run */
    struct arena *tree;        /* the arena of `root` */
};

/** The mapping named by `section` under `map`, or an empty one in its place, so
 *  that defaults and missing keys are handled alike. NULL: no memory. */
struct yaml_node *settings_section(struct settings_build *b,
                                   const struct yaml_node *map,
                                   const struct section *section);

/** The first item of the list named by `section`, NULL for none; *ret_n is how
 *  many there are. Anything but a list is reported. */
const struct yaml_node *settings_list(struct settings_build *b,
                                      const struct section *section, size_t *ret_n);

/** Fills settings->destinations from the list of that name. */
void destinations_read(struct settings_build *b);

/** Fills settings->routes; settings->destinations are there already. */
void routes_read(struct settings_build *b);

#endif
