/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_fill.c - key=value texts into a config struct.
 *
 * For each row of the table the last pair that names it, or the default, is
 * converted into the field; pairs that no row names are collected for the
 * properties row or refused.
 *
 * Not here: YAML, environment variables, secrets files (core/config).
 */
#include "support/option_fill.h"

#include "base/parse.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct fill {
    const struct publisher_vtable *vt;
    char *const *pairs;
    size_t n_pairs;
    char *config;
};

static bool row_at(const struct publisher_vtable *vt, size_t i,
                   struct rider_option *ret)
{
    *ret = (struct rider_option){0};
    memcpy(ret, (const char *)vt->options + i * vt->option_size, vt->option_size);
    return ret->name != NULL;
}

static bool names(const char *pair, const char *key)
{
    size_t len = strcspn(pair, "=");

    return pair[len] == '=' && strlen(key) == len && strncmp(pair, key, len) == 0;
}

static const char *value_of(const struct fill *f, const char *key)
{
    const char *value = NULL;

    for (size_t i = 0; i < f->n_pairs; i++) {
        if (names(f->pairs[i], key)) {
            value = f->pairs[i] + strlen(key) + 1;
        }
    }
    return value;
}

static int set_enum(const struct rider_option *row, const char *value, void *field,
                    struct rider_error *err)
{
    for (uint32_t i = 0; row->choices[i] != NULL; i++) {
        if (strcmp(row->choices[i], value) == 0) {
            memcpy(field, &i, sizeof(i));
            return 0;
        }
    }
    return rider_fail(err, RIDER_E_CONFIG, "\"%s\" is not one of its choices", value);
}

static int check_range(const struct rider_option *row, int64_t n,
                       struct rider_error *err)
{
    if (row->min < row->max && (n < row->min || n > row->max)) {
        return rider_fail(err, RIDER_E_CONFIG, "%lld is out of range", (long long)n);
    }
    return 0;
}

static int set_number(const struct rider_option *row, const char *value, void *field,
                      struct rider_error *err)
{
    int64_t n = 0;
    uint64_t u = 0;
    int r = row->type == RIDER_INT  ? parse_int(value, &n, err)
            : row->type == RIDER_MS ? parse_duration_ms(value, &u, err)
                                    : parse_size(value, &u, err);

    if (r < 0 ||
        (r = check_range(row, row->type == RIDER_INT ? n : (int64_t)u, err)) < 0) {
        return r;
    }
    memcpy(field, row->type == RIDER_INT ? (const void *)&n : (const void *)&u,
           sizeof(n));
    return 0;
}

static int set_field(const struct rider_option *row, const char *value, void *field,
                     struct rider_error *err)
{
    bool flag = false;

    switch ((enum rider_option_type)row->type) {
    case RIDER_STRING:
    case RIDER_TEMPLATE:
        memcpy(field, &value, sizeof(value));
        return 0;
    case RIDER_BOOL:
        if (parse_bool(value, &flag, err) < 0) {
            return RIDER_E_CONFIG;
        }
        memcpy(field, &flag, sizeof(flag));
        return 0;
    case RIDER_ENUM:
        return set_enum(row, value, field, err);
    case RIDER_INT:
    case RIDER_MS:
    case RIDER_SIZE:
        return set_number(row, value, field, err);
    case RIDER_PROPERTIES:
        break;
    }
    return rider_fail(err, RIDER_E_INTERNAL, "cannot be set from a value");
}

static bool is_declared(const struct publisher_vtable *vt, const char *pair)
{
    struct rider_option row;

    for (size_t i = 0; row_at(vt, i, &row); i++) {
        if (row.type != RIDER_PROPERTIES && names(pair, row.name)) {
            return true;
        }
    }
    return false;
}

/* Names are copied, values borrowed; option_fill_free() frees both blocks. */
static int set_properties(const struct fill *f, void *field, struct rider_error *err)
{
    struct rider_property *items = calloc(f->n_pairs + 1, sizeof(*items));
    struct rider_properties props = {.items = items, .n = 0};

    for (size_t i = 0; items != NULL && i < f->n_pairs; i++) {
        char *pair = f->pairs[i];

        if (!is_declared(f->vt, pair) && strchr(pair, '=') != NULL) {
            char *name = strndup(pair, strcspn(pair, "="));
            items[props.n++] = (struct rider_property){name, strchr(pair, '=') + 1};
        }
    }
    memcpy(field, &props, sizeof(props));
    return items != NULL ? 0 : rider_fail(err, RIDER_E_NOMEM, "out of memory");
}

static int fill_row(const struct fill *f, const struct rider_option *row,
                    struct rider_error *err)
{
    void *field = f->config + row->offset;

    if (row->type == RIDER_PROPERTIES) {
        return set_properties(f, field, err);
    }
    const char *value = value_of(f, row->name);
    if (value == NULL) {
        value = row->default_value;
    }
    if (value == NULL) {
        return (row->flags & RIDER_OPT_REQUIRED) == 0
                   ? 0
                   : rider_fail(err, RIDER_E_CONFIG, "option \"%s\" is required",
                                row->name);
    }
    if (set_field(row, value, field, err) < 0) {
        return rider_fail_in(err, "option \"%s\"", row->name);
    }
    return 0;
}

static int refuse_unknown(const struct fill *f, struct rider_error *err)
{
    for (size_t i = 0; i < f->n_pairs; i++) {
        if (!is_declared(f->vt, f->pairs[i])) {
            return rider_fail(err, RIDER_E_CONFIG,
                              "adapter \"%s\" has no option \"%s\"", f->vt->name,
                              f->pairs[i]);
        }
    }
    return 0;
}

int option_fill(const struct publisher_vtable *vt, char *const *pairs, size_t n_pairs,
                void **ret, struct rider_error *err)
{
    struct fill f = {vt, pairs, n_pairs, calloc(1, vt->config_size + 1)};
    struct rider_option row;
    bool open_ended = false;
    int r = 0;

    if (f.config == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; r == 0 && row_at(vt, i, &row); i++) {
        open_ended = open_ended || row.type == RIDER_PROPERTIES;
        r = fill_row(&f, &row, err);
    }
    if (r == 0 && !open_ended) {
        r = refuse_unknown(&f, err);
    }
    if (r < 0) {
        option_fill_free(vt, f.config);
        return r;
    }
    *ret = f.config;
    return 0;
}

void option_fill_free(const struct publisher_vtable *vt, void *config)
{
    struct rider_option row;

    for (size_t i = 0; config != NULL && row_at(vt, i, &row); i++) {
        struct rider_properties props = {0};

        if (row.type != RIDER_PROPERTIES) {
            continue;
        }
        memcpy(&props, (char *)config + row.offset, sizeof(props));
        for (size_t k = 0; k < props.n; k++) {
            // NOLINTNEXTLINE(performance-no-int-to-ptr): const for the adapter only
            free((void *)(uintptr_t)props.items[k].name);
        }
        // NOLINTNEXTLINE(performance-no-int-to-ptr)
        free((void *)(uintptr_t)props.items);
    }
    free(config);
}
