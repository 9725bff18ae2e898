/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_node.h - the tree a configuration file is read into.
 *
 * Each node knows where it and its key stand and who its parent is, so an error
 * about any node can name file, line, column and path by itself. Scalars are
 * text: what `010`, `no` or `1e3` mean is decided by the option table alone.
 * Nodes belong to the arena they were read into.
 */
#ifndef CONFIG_YAML_NODE_H
#define CONFIG_YAML_NODE_H

#include "config/problems.h"

#include <stdbool.h>
#include <stddef.h>

enum yaml_kind { YAML_TEXT, YAML_MAP, YAML_LIST };

struct yaml_node {
    enum yaml_kind kind;
    struct text_mark at;     /* of the value */
    struct text_mark key_at; /* of the key, when the parent is a map */
    const char *key;         /* NULL in a list and at the root */
    const char *text;        /* YAML_TEXT, never NULL */
    bool quoted;             /* YAML_TEXT in quotes or as a block */
    bool expanded;           /* the text came, in part, from outside the file */
    bool reported;           /* its value is wrong and that has been said */
    size_t index;            /* position among the parent's children */
    size_t n_children;
    const struct yaml_node *parent;
    struct yaml_node *children, *last_child, *next;
};

/** Appends a child: takes no ownership, both live in one arena. */
void yaml_node_append(struct yaml_node *parent, struct yaml_node *child);

/** The child named `key`, or NULL; `map` may be any kind, or NULL. */
struct yaml_node *yaml_node_find(const struct yaml_node *map, const char *key);

/** "text", "a mapping", "a list" or "nothing", for messages. */
const char *yaml_node_describe(const struct yaml_node *node);

/** True for `key:` with nothing behind it. */
bool yaml_node_is_empty(const struct yaml_node *node);

/** Appends "destinations[0].retry.max", or "top level" for the root. */
void yaml_node_path(const struct yaml_node *node, struct buf *out);

/* Each adds one problem about `node`: at its value, at its key, a warning at its
 * value, or, for the last, about the key `missing` that a mapping lacks. */
void yaml_node_error(struct problems *p, const struct yaml_node *node, const char *fmt,
                     ...) RIDER_PRINTF_LIKE(3, 4);
void yaml_node_key_error(struct problems *p, const struct yaml_node *node,
                         const char *fmt, ...) RIDER_PRINTF_LIKE(3, 4);
void yaml_node_warning(struct problems *p, const struct yaml_node *node,
                       const char *fmt, ...) RIDER_PRINTF_LIKE(3, 4);
void yaml_node_missing(struct problems *p, const struct yaml_node *map,
                       const char *missing);

#endif
