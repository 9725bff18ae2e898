/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_table.h - applies a table of struct rider_option to a YAML mapping.
 *
 * Fills a zeroed config struct with values or defaults and reports every
 * unknown key, wrong type, bad range and missing key. A secret row NAME may be
 * given as NAME_file: the value is then the content of that file.
 */
#ifndef CONFIG_OPTION_TABLE_H
#define CONFIG_OPTION_TABLE_H

#include "config/arena.h"
#include "config/yaml_node.h"
#include "postrider/options.h"

#include <stdbool.h>
#include <stdint.h>

/** A table, possibly of an adapter built against another version of the ABI. */
struct option_table {
    const struct rider_option *rows; /* ends with a NULL name; NULL: no rows */
    size_t row_size;                 /* sizeof(struct rider_option) of its owner */
    size_t config_size;              /* of the struct it fills */
    const char *const *sections;     /* keys that others read, or NULL */
};

/** What reading needs besides the table; borrowed. */
struct option_scope {
    struct arena *arena; /* gets strings and properties */
    struct problems *problems;
    bool exposed; /* people besides the owner can read the file */
};

/** Copies row `i` into *ret, with members the table does not know zeroed; false
 *  behind the last row. */
bool option_table_row(const struct option_table *t, size_t i, struct rider_option *ret);

/** Applies `t` to `map` and fills `config`. `map` may be of any kind: anything
 *  but a mapping is reported. Fields with a mistake keep their zero. Blocks on
 *  NAME_file. */
void option_table_apply(const struct option_table *t, const struct yaml_node *map,
                        const struct option_scope *scope, void *config);

/** Mixes all values of a filled struct into `hash` and returns it. */
uint64_t option_table_hash(const struct option_table *t, const void *config,
                           uint64_t hash);

/** Where a hash starts (FNV-1a, 64 bits). */
#define OPTION_TABLE_HASH_START 0xcbf29ce484222325u

#endif
