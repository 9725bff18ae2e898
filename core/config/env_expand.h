/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env_expand.h - values that stand outside the file.
 *
 *     ${NAME}            the environment variable; an error when it is not set
 *     ${NAME:-text}      `text` when it is not set or empty
 *     ${NAME:?message}   an error that says `message` when it is not set or empty
 *     ${file:/path}      the file's content without its last newline
 *     $$                 a dollar sign
 *
 * Works on scalar values after parsing, never on the text of the file, so a
 * value cannot smuggle YAML in. What was put in is not expanded again.
 */
#ifndef CONFIG_ENV_EXPAND_H
#define CONFIG_ENV_EXPAND_H

#include "config/arena.h"
#include "config/yaml_node.h"

/** Appends the expansion of `text`. Blocks on ${file:...}. */
int env_expand(const char *text, struct buf *out,
               struct rider_error *err) RIDER_MUST_CHECK;

/** Expands all values (not keys) of a tree in place; new texts go to `arena`,
 *  mistakes to `problems`. */
void env_expand_tree(struct yaml_node *node, struct arena *arena,
                     struct problems *problems);

#endif
