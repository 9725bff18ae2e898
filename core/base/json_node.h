/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_node.h - one value of a JSON tree (json_tree.h).
 *
 * Thread: one at a time. Nothing blocks.
 */
#ifndef BASE_JSON_NODE_H
#define BASE_JSON_NODE_H

#include "base/json_writer.h"

#include <stdbool.h>
#include <stddef.h>

#define JSON_NODE_MAX_DEPTH 64 /* deeper than any tree, merged ones included */

enum json_node_kind {
    JSON_NODE_NULL,
    JSON_NODE_FALSE,
    JSON_NODE_TRUE,
    JSON_NODE_NUMBER,
    JSON_NODE_TEXT,
    JSON_NODE_ARRAY,
    JSON_NODE_OBJECT
};

/** One value. Texts are decoded and end with a NUL; none holds another. */
struct json_node {
    enum json_node_kind kind;
    const char *key;  /* in an object; NULL elsewhere */
    const char *text; /* of a text or number; NULL for other kinds */
    size_t len;
    const char *raw; /* the value in the source, byte for byte */
    size_t raw_len;
    struct json_node *parent, *first, *next;
    size_t n;    /* values in it */
    bool marked; /* free for the reader of the tree */
};

#define JSON_POINTER_SIZE 160

/** The member `key` of an object, or NULL; also when `node` is NULL or no object. */
struct json_node *json_node_member(const struct json_node *node, const char *key);

/** Writes the pointer to `node`, "" for the root, cut to what fits. */
void json_node_pointer(const struct json_node *node, char out[JSON_POINTER_SIZE]);

/** Writes the value without white space, numbers as they were spelled. */
void json_node_write(const struct json_node *node, struct json_writer *w,
                     const char *key);

/** Applies `patch` to the object `target` (RFC 7396). Nodes of the patch become part
 *  of the target, so both trees must live. Afterwards `raw` of what was changed, and
 *  of what it is in, means nothing. */
void json_node_merge(struct json_node *target, struct json_node *patch);

#endif
