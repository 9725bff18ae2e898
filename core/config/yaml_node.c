/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_node.c - the tree of a configuration file.
 *
 * Paths are made from the parent links only when a message needs one.
 *
 * Not here: parsing (yaml_reader.c).
 */
#include "config/yaml_node.h"

#include <stdarg.h>
#include <string.h>

#define PATH_MAX_BYTES 1024

void yaml_node_append(struct yaml_node *parent, struct yaml_node *child)
{
    child->parent = parent;
    child->index = parent->n_children++;
    if (parent->last_child == NULL) {
        parent->children = child;
    } else {
        parent->last_child->next = child;
    }
    parent->last_child = child;
}

struct yaml_node *yaml_node_find(const struct yaml_node *map, const char *key)
{
    struct yaml_node *child = map == NULL ? NULL : map->children;

    while (child != NULL && (child->key == NULL || strcmp(child->key, key) != 0)) {
        child = child->next;
    }
    return child;
}

bool yaml_node_is_empty(const struct yaml_node *node)
{
    return node->kind == YAML_TEXT && node->text[0] == '\0' && !node->quoted &&
           !node->expanded;
}

const char *yaml_node_describe(const struct yaml_node *node)
{
    if (yaml_node_is_empty(node)) {
        return "nothing";
    }
    if (node->kind == YAML_TEXT) {
        return "text";
    }
    return node->kind == YAML_MAP ? "a mapping" : "a list";
}

void yaml_node_path(const struct yaml_node *node, struct buf *out)
{
    if (node->parent == NULL) {
        buf_puts(out, "top level");
        return;
    }
    /* Depth is bounded by the reader. */
    if (node->parent->parent != NULL) {
        yaml_node_path(node->parent, out);
    }
    if (node->key == NULL) {
        buf_printf(out, "[%zu]", node->index);
    } else {
        buf_printf(out, "%s%.80s", node->parent->parent == NULL ? "" : ".", node->key);
    }
}

RIDER_PRINTF_LIKE(5, 0)
static void report(struct problems *p, enum problem_kind kind, struct text_mark at,
                   const struct yaml_node *node, const char *fmt, va_list ap)
{
    struct buf path = buf_make(PATH_MAX_BYTES);

    yaml_node_path(node, &path);
    problems_add_va(p, kind, at, buf_text(&path), fmt, ap);
    buf_done(&path);
}

void yaml_node_error(struct problems *p, const struct yaml_node *node, const char *fmt,
                     ...)
{
    va_list ap;

    va_start(ap, fmt);
    report(p, PROBLEM_ERROR, node->at, node, fmt, ap);
    va_end(ap);
}

void yaml_node_key_error(struct problems *p, const struct yaml_node *node,
                         const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report(p, PROBLEM_ERROR, node->key_at, node, fmt, ap);
    va_end(ap);
}

void yaml_node_warning(struct problems *p, const struct yaml_node *node,
                       const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    report(p, PROBLEM_WARNING, node->at, node, fmt, ap);
    va_end(ap);
}

void yaml_node_missing(struct problems *p, const struct yaml_node *map,
                       const char *missing)
{
    struct buf path = buf_make(PATH_MAX_BYTES);

    if (map->parent != NULL) {
        yaml_node_path(map, &path);
        buf_putc(&path, '.');
    }
    buf_puts(&path, missing);
    problems_add(p, PROBLEM_ERROR, map->at, buf_text(&path), "is required and not set");
    buf_done(&path);
}
