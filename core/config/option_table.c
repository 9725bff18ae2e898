/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_table.c - keys of a mapping against the rows of a table.
 *
 * Two passes: the keys of the file (is each one known?), then the rows (is each
 * one there, right, or defaulted?). Rows are copied before use, because a table
 * of an older adapter has shorter rows.
 *
 * Invariant: nothing is written outside `config_size`, whatever a table says.
 *
 * Not here: what one value may look like (option_value.c).
 */
#include "config/option_table.h"

#include "base/cleanup.h"
#include "config/file_text.h"
#include "config/nearest.h"
#include "config/option_value.h"

#include <string.h>

#define TWIN_SUFFIX "_file"

bool option_table_row(const struct option_table *t, size_t i, struct rider_option *ret)
{
    struct rider_option row = {0};

    if (t->rows == NULL) {
        return false;
    }
    size_t known = t->row_size < sizeof(row) ? t->row_size : sizeof(row);
    memcpy(&row, (const char *)t->rows + i * t->row_size, known);
    *ret = row;
    return row.name != NULL;
}

static bool is_twin(const struct rider_option *row, const char *key)
{
    size_t len = strlen(row->name);

    return (row->flags & RIDER_OPT_SECRET) != 0 && strncmp(key, row->name, len) == 0 &&
           strcmp(key + len, TWIN_SUFFIX) == 0;
}

static bool is_section(const struct option_table *t, const char *key)
{
    for (size_t i = 0; t->sections != NULL && t->sections[i] != NULL; i++) {
        if (strcmp(t->sections[i], key) == 0) {
            return true;
        }
    }
    return false;
}

/* True if a row of its own, or a section, names `key`. */
static bool is_named(const struct option_table *t, const char *key)
{
    struct rider_option row;

    for (size_t i = 0; option_table_row(t, i, &row); i++) {
        if (row.type != RIDER_PROPERTIES &&
            (strcmp(row.name, key) == 0 || is_twin(&row, key))) {
            return true;
        }
    }
    return is_section(t, key);
}

static bool takes_any_key(const struct option_table *t)
{
    struct rider_option row;

    for (size_t i = 0; option_table_row(t, i, &row); i++) {
        if (row.type == RIDER_PROPERTIES) {
            return true;
        }
    }
    return false;
}

static void report_unknown(const struct option_table *t, const struct yaml_node *node,
                           struct problems *problems)
{
    struct nearest near = nearest_to(node->key);
    struct rider_option row;

    for (size_t i = 0; option_table_row(t, i, &row); i++) {
        nearest_offer(&near, row.name);
    }
    for (size_t i = 0; t->sections != NULL && t->sections[i] != NULL; i++) {
        nearest_offer(&near, t->sections[i]);
    }
    if (near.best == NULL) {
        yaml_node_key_error(problems, node, "unrecognized key");
    } else {
        yaml_node_key_error(problems, node, "unrecognized key; did you mean \"%s\"?",
                            near.best);
    }
}

static void check_keys(const struct option_table *t, const struct yaml_node *map,
                       const struct option_scope *scope)
{
    bool any = takes_any_key(t);

    for (const struct yaml_node *node = map->children; node != NULL;
         node = node->next) {
        if (!any && !is_named(t, node->key)) {
            report_unknown(t, node, scope->problems);
        }
    }
}

/* True if `node` is text with a value; says so otherwise. */
static bool has_text(const struct yaml_node *node, const struct option_scope *scope)
{
    if (node->reported) {
        return false;
    }
    if (yaml_node_is_empty(node)) {
        yaml_node_error(scope->problems, node, "has no value");
        return false;
    }
    if (node->kind != YAML_TEXT) {
        yaml_node_error(scope->problems, node, "expected a single value, got %s",
                        yaml_node_describe(node));
        return false;
    }
    return true;
}

/* A connection string or URL without a password is no secret. */
static bool carries_secret(const char *text)
{
    const char *authority = strstr(text, "://");

    if (authority != NULL) {
        const char *at = strchr(authority + 3, '@');
        return at != NULL &&
               memchr(authority + 3, ':', (size_t)(at - authority) - 3) != NULL;
    }
    if (strstr(text, "host=") != NULL || strstr(text, "dbname=") != NULL) {
        return strstr(text, "password=") != NULL;
    }
    return text[0] != '\0';
}

static void warn_if_exposed(const struct rider_option *row,
                            const struct yaml_node *node,
                            const struct option_scope *scope)
{
    if (scope->exposed && !node->expanded && carries_secret(node->text)) {
        yaml_node_warning(scope->problems, node,
                          "a secret in a file that others can read; use "
                          "\"${NAME}\", \"%s" TWIN_SUFFIX "\" or a file of mode 0600",
                          row->name);
    }
}

/* A required key may say "" (RabbitMQ's default exchange is called that), but not
 * come out empty by way of a variable, and a secret is never empty. */
static bool is_void(const struct rider_option *row, const struct yaml_node *node,
                    const char *text)
{
    return text[0] == '\0' && (row->flags & RIDER_OPT_REQUIRED) != 0 &&
           ((row->flags & RIDER_OPT_SECRET) != 0 || node->expanded);
}

static void set_text(const struct rider_option *row, const struct yaml_node *node,
                     const char *text, const struct option_scope *scope, void *field)
{
    struct rider_error err;

    if (is_void(row, node, text)) {
        yaml_node_error(scope->problems, node, "must not be empty");
    } else if (option_value_parse(row, text, scope->arena, field, &err) != 0) {
        yaml_node_error(scope->problems, node, "%s", err.text);
    }
}

static void set_from_file(const struct rider_option *row, const struct yaml_node *node,
                          const struct option_scope *scope, void *field)
{
    RIDER_CLEANUP(file_text_wipe) struct buf text = buf_make(FILE_TEXT_SECRET_MAX);
    struct rider_error err;

    if (!has_text(node, scope)) {
        return;
    }
    if (file_text_read_secret(node->text, &text, &err) != 0) {
        yaml_node_error(scope->problems, node, "%s", err.text);
        return;
    }
    set_text(row, node, buf_text(&text), scope, field);
}

static void set_default(const struct rider_option *row, const struct yaml_node *map,
                        const struct option_scope *scope, void *field)
{
    struct rider_error err;

    if ((row->flags & RIDER_OPT_REQUIRED) != 0) {
        yaml_node_missing(scope->problems, map, row->name);
    } else if (row->default_value != NULL &&
               option_value_parse(row, row->default_value, scope->arena, field, &err) !=
                   0) {
        yaml_node_error(scope->problems, map, "the default of \"%s\" is wrong: %s",
                        row->name, err.text);
    }
}

static void set_value(const struct rider_option *row, const struct yaml_node *map,
                      const struct option_scope *scope, void *field)
{
    const struct yaml_node *node = yaml_node_find(map, row->name);
    const struct yaml_node *twin = NULL;

    for (const struct yaml_node *c = map->children; c != NULL && twin == NULL;
         c = c->next) {
        twin = is_twin(row, c->key) ? c : NULL;
    }
    if (node != NULL && twin != NULL) {
        yaml_node_key_error(scope->problems, twin, "\"%s\" is set as well; keep one",
                            row->name);
    } else if (twin != NULL) {
        set_from_file(row, twin, scope, field);
    } else if (node == NULL) {
        set_default(row, map, scope, field);
    } else if (has_text(node, scope)) {
        if ((row->flags & RIDER_OPT_SECRET) != 0) {
            warn_if_exposed(row, node, scope);
        }
        set_text(row, node, node->text, scope, field);
    }
}

static void set_properties(const struct option_table *t, const struct yaml_node *map,
                           const struct option_scope *scope, void *field)
{
    struct rider_property *items =
        arena_array(scope->arena, map->n_children, sizeof(*items));
    struct rider_properties list = {.items = items};

    for (const struct yaml_node *node = map->children; node != NULL && items != NULL;
         node = node->next) {
        if (is_named(t, node->key) || !has_text(node, scope)) {
            continue;
        }
        items[list.n].name = arena_text(scope->arena, node->key, strlen(node->key));
        items[list.n].value = arena_text(scope->arena, node->text, strlen(node->text));
        list.n++;
    }
    memcpy(field, &list, sizeof(list));
}

/* One text, or a list of texts that is not empty. */
static void set_texts(const struct rider_option *row, const struct yaml_node *map,
                      const struct option_scope *scope, void *field)
{
    const struct yaml_node *node = yaml_node_find(map, row->name);

    if (node == NULL) {
        set_default(row, map, scope, field);
        return;
    }
    bool list = node->kind == YAML_LIST;
    if (list && node->n_children == 0) {
        yaml_node_error(scope->problems, node, "the list is empty");
        return;
    }
    const char **texts =
        arena_array(scope->arena, list ? node->n_children + 1 : 2, sizeof(*texts));
    size_t n = 0;
    for (const struct yaml_node *item = list ? node->children : node;
         item != NULL && texts != NULL; item = list ? item->next : NULL) {
        if (!has_text(item, scope)) {
            continue;
        }
        if (item->text[0] == '\0') {
            yaml_node_error(scope->problems, item, "must not be empty");
        } else {
            texts[n++] = arena_text(scope->arena, item->text, strlen(item->text));
        }
    }
    memcpy(field, &texts, sizeof(texts));
}

static void set_row(const struct option_table *t, const struct rider_option *row,
                    const struct yaml_node *map, const struct option_scope *scope,
                    void *config)
{
    size_t size = option_value_size(row->type);
    char *field = (char *)config + row->offset;

    if (size == 0 || t->config_size < size || row->offset > t->config_size - size) {
        yaml_node_error(scope->problems, map,
                        "the adapter's option table is broken at \"%s\"", row->name);
    } else if (row->type == RIDER_PROPERTIES) {
        set_properties(t, map, scope, field);
    } else if (row->type == OPTION_TEXTS) {
        set_texts(row, map, scope, field);
    } else {
        set_value(row, map, scope, field);
    }
}

void option_table_apply(const struct option_table *t, const struct yaml_node *map,
                        const struct option_scope *scope, void *config)
{
    struct rider_option row;

    if (map->reported) {
        return;
    }
    if (map->kind != YAML_MAP) {
        yaml_node_error(scope->problems, map, "expected a mapping, got %s",
                        yaml_node_describe(map));
        return;
    }
    check_keys(t, map, scope);
    for (size_t i = 0; option_table_row(t, i, &row); i++) {
        set_row(t, &row, map, scope, config);
    }
}

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    }
    return hash;
}

/* NULL and "" differ, and the NUL keeps neighbours apart. */
static uint64_t mix_text(uint64_t hash, const char *text)
{
    return text == NULL ? mix(hash, "\1", 1) : mix(hash, text, strlen(text) + 1);
}

static uint64_t mix_row(uint64_t hash, const struct rider_option *row,
                        const char *field)
{
    if (row->type == RIDER_STRING || row->type == RIDER_TEMPLATE) {
        const char *text = NULL;
        memcpy(&text, field, sizeof(text));
        return mix_text(hash, text);
    }
    if (row->type == RIDER_PROPERTIES) {
        struct rider_properties list;
        memcpy(&list, field, sizeof(list));
        for (size_t i = 0; i < list.n; i++) {
            hash = mix_text(mix_text(hash, list.items[i].name), list.items[i].value);
        }
        return hash;
    }
    if (row->type == OPTION_TEXTS) {
        const char *const *texts = NULL;
        memcpy(&texts, field, sizeof(texts));
        for (; texts != NULL && *texts != NULL; texts++) {
            hash = mix_text(hash, *texts);
        }
        return hash;
    }
    return mix(hash, field, option_value_size(row->type));
}

uint64_t option_table_hash(const struct option_table *t, const void *config,
                           uint64_t hash)
{
    struct rider_option row;

    for (size_t i = 0; option_table_row(t, i, &row); i++) {
        hash =
            mix_row(mix_text(hash, row.name), &row, (const char *)config + row.offset);
    }
    return hash;
}
