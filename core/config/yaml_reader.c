/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_reader.c - libyaml events to a tree of struct yaml_node.
 *
 * The event interface hands out one node at a time, so that depth and size are
 * checked before anything is built; libyaml's own document loader would share
 * nodes between aliases and even build cycles. libyaml reports neither
 * duplicate keys nor what it does not know, so these checks are here.
 *
 * Invariant: a node is in the tree before its children are read.
 *
 * Not here: what values mean (option_value.c), ${...} (env_expand.c).
 */
#include "config/yaml_reader.h"

#include <string.h>
#include <yaml.h>

struct reader {
    yaml_parser_t parser;
    const char *text;
    size_t len;
    size_t n_nodes;
    bool stopped; /* a mistake after which nothing more can be read */
    struct arena *arena;
    struct problems *problems;
};

static struct text_mark mark_of(yaml_mark_t mark)
{
    return (struct text_mark){(unsigned int)mark.line + 1,
                              (unsigned int)mark.column + 1};
}

/* A fault of the encoding has no mark, only an offset. */
static struct text_mark mark_of_offset(const struct reader *r, size_t offset)
{
    struct text_mark at = {1, 1};

    for (size_t i = 0; i < offset && i < r->len; i++) {
        bool newline = r->text[i] == '\n';
        at.line += newline;
        at.column = newline ? 1 : at.column + 1;
    }
    return at;
}

static void report_syntax(struct reader *r)
{
    const yaml_parser_t *parser = &r->parser;

    r->stopped = true;
    if (parser->error == YAML_MEMORY_ERROR) {
        r->arena->failed = true;
        return;
    }
    struct text_mark at = parser->error == YAML_READER_ERROR
                              ? mark_of_offset(r, parser->problem_offset)
                              : mark_of(parser->problem_mark);
    const char *problem = parser->problem == NULL ? "is no YAML" : parser->problem;
    if (parser->context == NULL) {
        problems_add(r->problems, PROBLEM_ERROR, at, "yaml", "%s", problem);
    } else {
        problems_add(r->problems, PROBLEM_ERROR, at, "yaml", "%s %s", problem,
                     parser->context);
    }
}

/* Gets the next event; false when reading has to stop. The caller deletes it. */
static bool next_event(struct reader *r, yaml_event_t *event)
{
    memset(event, 0, sizeof(*event));
    if (r->stopped || r->arena->failed) {
        return false;
    }
    if (yaml_parser_parse(&r->parser, event) == 0) {
        report_syntax(r);
        return false;
    }
    return true;
}

static const char *forbidden(const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;

    if (event->type == YAML_ALIAS_EVENT) {
        return "aliases (*name) are not supported";
    }
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor != NULL) {
        return "anchors (&name) are not supported";
    }
    return tag != NULL ? "tags (!name) are not supported" : NULL;
}

static const char *scalar_text(struct reader *r, const yaml_event_t *event)
{
    const yaml_char_t *value = event->data.scalar.value;

    return arena_text(r->arena, (const char *)value, event->data.scalar.length);
}

static void fill_scalar(struct reader *r, struct yaml_node *node,
                        const yaml_event_t *event)
{
    node->kind = YAML_TEXT;
    node->text = "";
    if (event->type != YAML_SCALAR_EVENT) {
        return;
    }
    if (memchr(event->data.scalar.value, '\0', event->data.scalar.length) != NULL) {
        yaml_node_error(r->problems, node, "text must not contain a NUL character");
        node->reported = true;
        return;
    }
    const char *text = scalar_text(r, event);
    node->text = text == NULL ? "" : text;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

/* Makes the node that `event` begins and puts it under `parent`. */
static struct yaml_node *begin_node(struct reader *r, const yaml_event_t *event,
                                    struct yaml_node *parent, struct yaml_node *node)
{
    node->at = mark_of(event->start_mark);
    if (parent != NULL) {
        yaml_node_append(parent, node);
    }
    const char *reason = forbidden(event);
    if (reason != NULL) {
        yaml_node_error(r->problems, node, "%s", reason);
        node->reported = true;
    }
    if (event->type == YAML_MAPPING_START_EVENT) {
        node->kind = YAML_MAP;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        node->kind = YAML_LIST;
    } else {
        fill_scalar(r, node, event);
    }
    return node;
}

static struct yaml_node *new_node(struct reader *r, struct text_mark at)
{
    if (++r->n_nodes > YAML_READER_MAX_NODES) {
        problems_add(r->problems, PROBLEM_ERROR, at, "yaml",
                     "the file has more than %d values", YAML_READER_MAX_NODES);
        r->stopped = true;
        return NULL;
    }
    return arena_alloc(r->arena, sizeof(struct yaml_node));
}

/* Checks the key in `event`, which belongs to `map`; NULL after a mistake. */
static const char *read_key(struct reader *r, const struct yaml_node *map,
                            const yaml_event_t *event)
{
    struct text_mark at = mark_of(event->start_mark);

    if (event->type != YAML_SCALAR_EVENT ||
        memchr(event->data.scalar.value, '\0', event->data.scalar.length) != NULL) {
        problems_add(r->problems, PROBLEM_ERROR, at, "yaml",
                     "a key must be plain text");
        r->stopped = true;
        return NULL;
    }
    const char *reason = forbidden(event);
    if (reason != NULL) {
        problems_add(r->problems, PROBLEM_ERROR, at, "yaml", "%s", reason);
    }
    if (map->n_children == YAML_READER_MAX_KEYS) {
        problems_add(r->problems, PROBLEM_ERROR, at, "yaml",
                     "a mapping has more than %d keys", YAML_READER_MAX_KEYS);
        r->stopped = true;
        return NULL;
    }
    const char *key = scalar_text(r, event);
    const struct yaml_node *first = key == NULL ? NULL : yaml_node_find(map, key);
    if (first != NULL) {
        struct yaml_node again = *first;
        again.key_at = at;
        yaml_node_key_error(r->problems, &again, "key is already set on line %u",
                            first->key_at.line);
    }
    return key;
}

static bool read_node(struct reader *r, const yaml_event_t *event,
                      struct yaml_node *parent, struct yaml_node *node,
                      unsigned int depth);

/* Reads one entry of `parent`, whose first event is `event`. */
static bool read_entry(struct reader *r, const yaml_event_t *event,
                       struct yaml_node *parent, unsigned int depth)
{
    struct yaml_node *node = new_node(r, mark_of(event->start_mark));

    if (node == NULL) {
        return false;
    }
    if (parent->kind == YAML_LIST) {
        return read_node(r, event, parent, node, depth);
    }
    node->key = read_key(r, parent, event);
    node->key_at = mark_of(event->start_mark);
    yaml_event_t value;
    if (node->key == NULL || !next_event(r, &value)) {
        return false;
    }
    bool ok = read_node(r, &value, parent, node, depth);
    yaml_event_delete(&value);
    return ok;
}

/* Fills `node` and, for a collection, reads up to its end. Recursion is bounded
 * by YAML_READER_MAX_DEPTH. */
static bool read_node(struct reader *r, const yaml_event_t *event,
                      struct yaml_node *parent, struct yaml_node *node,
                      unsigned int depth)
{
    (void)begin_node(r, event, parent, node);
    if (node->kind == YAML_TEXT) {
        return true;
    }
    if (depth > YAML_READER_MAX_DEPTH) {
        yaml_node_error(r->problems, node, "nested deeper than %d levels",
                        YAML_READER_MAX_DEPTH);
        r->stopped = true;
        return false;
    }
    bool more = true;
    while (more) {
        yaml_event_t entry;
        if (!next_event(r, &entry)) {
            return false;
        }
        bool end = entry.type == YAML_MAPPING_END_EVENT ||
                   entry.type == YAML_SEQUENCE_END_EVENT;
        more = !end && read_entry(r, &entry, node, depth + 1);
        yaml_event_delete(&entry);
        if (!more && !end) {
            return false;
        }
    }
    return true;
}

/* Skips stream and document starts; false at the end of the stream. */
static bool next_document(struct reader *r, yaml_event_t *event)
{
    while (next_event(r, event)) {
        if (event->type == YAML_STREAM_END_EVENT) {
            break;
        }
        if (event->type != YAML_STREAM_START_EVENT &&
            event->type != YAML_DOCUMENT_START_EVENT &&
            event->type != YAML_DOCUMENT_END_EVENT) {
            return true;
        }
        yaml_event_delete(event);
    }
    yaml_event_delete(event);
    return false;
}

static struct yaml_node *read_root(struct reader *r)
{
    yaml_event_t event;

    if (!next_document(r, &event)) {
        if (!r->stopped) {
            problems_add(r->problems, PROBLEM_ERROR, (struct text_mark){1, 1}, "yaml",
                         "the file is empty");
        }
        return NULL;
    }
    struct yaml_node *root = new_node(r, mark_of(event.start_mark));
    bool ok = root != NULL && read_node(r, &event, NULL, root, 1);
    yaml_event_delete(&event);
    if (ok && next_document(r, &event)) {
        problems_add(r->problems, PROBLEM_ERROR, mark_of(event.start_mark), "yaml",
                     "a second document is not supported");
        yaml_event_delete(&event);
    }
    return ok ? root : NULL;
}

struct yaml_node *yaml_read(const char *text, size_t len, struct arena *arena,
                            struct problems *problems)
{
    struct reader r = {.text = text, .len = len, .arena = arena, .problems = problems};

    if (yaml_parser_initialize(&r.parser) == 0) {
        arena->failed = true;
        return NULL;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    struct yaml_node *root = read_root(&r);
    yaml_parser_delete(&r.parser);
    return root;
}
