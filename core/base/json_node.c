/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_node.c - one value of a JSON tree: where it is, what is in it, writing it,
 * patching it.
 */
#include "base/json_node.h"

#include "base/cleanup.h"
#include "base/utf8.h"

#include <string.h>

static size_t index_of(const struct json_node *node)
{
    size_t i = 0;

    for (const struct json_node *n = node->parent->first; n != node; n = n->next) {
        i++;
    }
    return i;
}

/* "~" and "/" are escaped: RFC 6901 section 4. */
static void append_step(const struct json_node *node, struct buf *out)
{
    buf_putc(out, '/');
    if (node->key == NULL) {
        buf_printf(out, "%zu", index_of(node));
        return;
    }
    for (const char *p = node->key; *p != '\0'; p++) {
        if (*p == '~' || *p == '/') {
            buf_puts(out, *p == '~' ? "~0" : "~1");
        } else {
            buf_putc(out, *p);
        }
    }
}

static void append_pointer(const struct json_node *node, struct buf *out)
{
    const struct json_node *path[JSON_NODE_MAX_DEPTH];
    size_t n = 0;

    for (; node->parent != NULL && n < JSON_NODE_MAX_DEPTH; node = node->parent) {
        path[n++] = node;
    }
    while (n > 0) {
        append_step(path[--n], out);
    }
}

void json_node_pointer(const struct json_node *node, char out[JSON_POINTER_SIZE])
{
    RIDER_CLEANUP(buf_done) struct buf text = buf_make(1 << 20);

    append_pointer(node, &text);
    size_t n = text.len < JSON_POINTER_SIZE ? text.len : JSON_POINTER_SIZE - 1;
    while (n > 0 && !utf8_valid(buf_text(&text), n)) {
        n--; /* not in the middle of a character */
    }
    memcpy(out, buf_text(&text), n);
    out[n] = '\0';
}

struct json_node *json_node_member(const struct json_node *node, const char *key)
{
    if (node == NULL || node->kind != JSON_NODE_OBJECT) {
        return NULL;
    }
    for (struct json_node *m = node->first; m != NULL; m = m->next) {
        if (strcmp(m->key, key) == 0) {
            return m;
        }
    }
    return NULL;
}

static void write_children(const struct json_node *node, struct json_writer *w)
{
    for (const struct json_node *c = node->first; c != NULL; c = c->next) {
        json_node_write(c, w, c->key);
    }
}

void json_node_write(const struct json_node *node, struct json_writer *w,
                     const char *key)
{
    switch (node->kind) {
    case JSON_NODE_NULL:
        jw_null(w, key);
        break;
    case JSON_NODE_FALSE:
    case JSON_NODE_TRUE:
        jw_bool(w, key, node->kind == JSON_NODE_TRUE);
        break;
    case JSON_NODE_NUMBER:
        jw_raw(w, key, node->text, node->len);
        break;
    case JSON_NODE_TEXT:
        jw_string_n(w, key, node->text, node->len);
        break;
    case JSON_NODE_ARRAY:
        jw_array(w, key);
        write_children(node, w);
        jw_array_end(w);
        break;
    case JSON_NODE_OBJECT:
        jw_object(w, key);
        write_children(node, w);
        jw_object_end(w);
        break;
    }
}

/* The link that points to the member `key`, or to the end of the list. */
static struct json_node **find_link(struct json_node *object, const char *key)
{
    struct json_node **link = &object->first;

    while (*link != NULL && strcmp((*link)->key, key) != 0) {
        link = &(*link)->next;
    }
    return link;
}

/* What stands for an object of the patch where the target has none: without nulls. */
static void drop_nulls(struct json_node *object)
{
    struct json_node **link = &object->first;

    while (*link != NULL) {
        if ((*link)->kind == JSON_NODE_NULL) {
            *link = (*link)->next;
            object->n--;
            continue;
        }
        if ((*link)->kind == JSON_NODE_OBJECT) {
            drop_nulls(*link);
        }
        link = &(*link)->next;
    }
}

static void merge_member(struct json_node *target, struct json_node *value)
{
    struct json_node **link = find_link(target, value->key);
    struct json_node *old = *link;

    if (value->kind == JSON_NODE_NULL) {
        if (old != NULL) {
            *link = old->next;
            target->n--;
        }
        return;
    }
    if (old != NULL && old->kind == JSON_NODE_OBJECT &&
        value->kind == JSON_NODE_OBJECT) {
        json_node_merge(old, value);
        return;
    }
    if (value->kind == JSON_NODE_OBJECT) {
        drop_nulls(value);
    }
    value->parent = target;
    value->next = old == NULL ? NULL : old->next;
    target->n += old == NULL ? 1 : 0;
    *link = value;
}

void json_node_merge(struct json_node *target, struct json_node *patch)
{
    struct json_node *next = NULL;

    for (struct json_node *value = patch->first; value != NULL; value = next) {
        next = value->next;
        merge_member(target, value);
    }
}
