/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_reader.h - the part of YAML a configuration needs, and no more.
 *
 * Maps, lists and scalars of one UTF-8 document. Anchors, aliases, tags, merge
 * keys, duplicate keys and second documents are errors: each of them makes a
 * file mean something else than what it looks like. Limits: depth 32, 20,000
 * nodes, 1,000 keys a mapping; the caller limits the size of the text.
 */
#ifndef CONFIG_YAML_READER_H
#define CONFIG_YAML_READER_H

#include "config/arena.h"
#include "config/yaml_node.h"

#define YAML_READER_MAX_DEPTH 32
#define YAML_READER_MAX_NODES 20000
#define YAML_READER_MAX_KEYS  1000 /* of one mapping */
#define YAML_READER_MAX_BYTES (1u << 20)

/** Reads `text` into a tree that lives in `arena`. Mistakes go to `problems`;
 *  NULL when none of the tree can be used (no memory: arena->failed). A tree
 *  may come with problems. Thread: any. Does not block. */
struct yaml_node *yaml_read(const char *text, size_t len, struct arena *arena,
                            struct problems *problems);

#endif
