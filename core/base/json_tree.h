/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_tree.h - a JSON text as a tree, read strictly.
 *
 * RFC 8259 to the letter: UTF-8 only, no key twice, no NUL in a text, no lone
 * surrogate, nothing behind the value. Depth and count of values are bounded, and a
 * mistake is named by where it is (RFC 6901). Numbers stay the text they were
 * written as, so that none loses a digit.
 * Thread: one at a time. Nothing blocks.
 */
#ifndef BASE_JSON_TREE_H
#define BASE_JSON_TREE_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/json_node.h"

#include <stddef.h>

#define JSON_TREE_MAX_DEPTH  32
#define JSON_TREE_MAX_VALUES 65536

/** Where and why a text was refused. */
struct json_fault {
    const char *code; /* static: "invalid-json", "duplicate-key", "too-deep",
                         "too-many-values", "invalid-utf8" */
    const char *detail;
    char pointer[JSON_POINTER_SIZE];
};

struct json_tree;

/** Parses `text`, which stays the caller's and lives as long as the tree.
 *  RIDER_E_CONFIG with *fault filled, or RIDER_E_NOMEM. */
int json_tree_parse(const char *text, size_t len, struct json_tree **ret,
                    struct json_fault *fault) RIDER_MUST_CHECK;
/** Accepts NULL. */
void json_tree_destroy(struct json_tree *tree);
RIDER_DEFINE_PTR_CLEANUP(struct json_tree, json_tree_destroy);

struct json_node *json_tree_root(const struct json_tree *tree);

#endif
