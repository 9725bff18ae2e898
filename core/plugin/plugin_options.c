/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_options.c - checks the rows of an option table.
 *
 * Rows are stepped over by the adapter's option_size and copied into a zeroed
 * row of our own, so a table of an older minor version is read as it was built.
 *
 * Not here: parsing values into a config struct (core/config).
 */
#include "plugin/plugin_options.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ROWS_MAX     256
#define ROW_SIZE_MIN (offsetof(struct rider_option, help) + sizeof(const char *))
#define FLAGS_KNOWN  (RIDER_OPT_REQUIRED | RIDER_OPT_SECRET)
#define NAME_CHARS   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* Size of the field an option fills; each is its own alignment but properties. */
static const struct {
    size_t size, align;
} fields[] = {
    [RIDER_STRING] = {sizeof(const char *), _Alignof(const char *)},
    [RIDER_INT] = {sizeof(int64_t), _Alignof(int64_t)},
    [RIDER_BOOL] = {sizeof(bool), _Alignof(bool)},
    [RIDER_MS] = {sizeof(uint64_t), _Alignof(uint64_t)},
    [RIDER_SIZE] = {sizeof(uint64_t), _Alignof(uint64_t)},
    [RIDER_ENUM] = {sizeof(uint32_t), _Alignof(uint32_t)},
    [RIDER_TEMPLATE] = {sizeof(const char *), _Alignof(const char *)},
    [RIDER_PROPERTIES] = {sizeof(struct rider_properties),
                          _Alignof(struct rider_properties)},
};
#define N_TYPES (sizeof(fields) / sizeof(fields[0]))

/* Copies row `i`, or returns false at the end of the table. */
static bool row_at(const struct publisher_vtable *vt, size_t i,
                   struct rider_option *ret)
{
    *ret = (struct rider_option){0};
    memcpy(ret, (const char *)vt->options + i * vt->option_size, vt->option_size);
    return ret->name != NULL;
}

static bool name_is_used_before(const struct publisher_vtable *vt, size_t n,
                                const char *name)
{
    struct rider_option row;

    for (size_t i = 0; i < n && row_at(vt, i, &row); i++) {
        if (strcmp(row.name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* What is wrong with a row's place in the config struct, or NULL. */
static const char *wrong_field(const struct rider_option *row, size_t config_size)
{
    if (row->type >= N_TYPES) {
        return "is of a type this postrider does not know";
    }
    if (row->offset % fields[row->type].align != 0) {
        return "fills a field that is not aligned";
    }
    if (config_size < fields[row->type].size ||
        row->offset > config_size - fields[row->type].size) {
        return "fills a field outside the config struct";
    }
    return NULL;
}

/* What is wrong with a row, or NULL. */
static const char *wrong_row(const struct rider_option *row, size_t config_size)
{
    const char *wrong = wrong_field(row, config_size);

    if (wrong != NULL) {
        return wrong;
    }
    if (row->name[0] == '\0' || row->name[strspn(row->name, NAME_CHARS)] != '\0') {
        return "has a name that is not made of letters, digits, \".\", \"_\" and \"-\"";
    }
    if ((row->flags & ~FLAGS_KNOWN) != 0) {
        return "has a flag this postrider does not know";
    }
    if (row->type == RIDER_ENUM && (row->choices == NULL || row->choices[0] == NULL)) {
        return "is an enum without choices";
    }
    if (row->min > row->max) {
        return "has a minimum above its maximum";
    }
    if ((row->flags & RIDER_OPT_REQUIRED) != 0 && row->default_value != NULL) {
        return "is required and has a default";
    }
    return row->help == NULL || row->help[0] == '\0' ? "has no help text" : NULL;
}

int plugin_options_check(const struct publisher_vtable *vt, struct rider_error *err)
{
    struct rider_option row;
    size_t n = 0;

    if (vt->options == NULL) {
        return rider_fail(err, RIDER_E_PROTOCOL,
                          "its option table is NULL (an empty one has a row of zeros)");
    }
    if (vt->option_size < ROW_SIZE_MIN || vt->option_size > sizeof(row) ||
        vt->option_size % _Alignof(struct rider_option) != 0) {
        return rider_fail(
            err, RIDER_E_PROTOCOL,
            "option_size %zu is not the size of a rider_option (%zu to %zu)",
            vt->option_size, (size_t)ROW_SIZE_MIN, sizeof(row));
    }
    for (; n < ROWS_MAX && row_at(vt, n, &row); n++) {
        const char *wrong = wrong_row(&row, vt->config_size);

        if (wrong == NULL && name_is_used_before(vt, n, row.name)) {
            wrong = "is declared twice";
        }
        if (wrong != NULL) {
            return rider_fail(err, RIDER_E_PROTOCOL, "its option \"%.64s\" %s",
                              row.name, wrong);
        }
    }
    if (n == ROWS_MAX) {
        return rider_fail(err, RIDER_E_PROTOCOL,
                          "its option table has no end within %d rows", ROWS_MAX);
    }
    return 0;
}
