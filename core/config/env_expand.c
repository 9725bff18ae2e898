/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env_expand.c - ${NAME}, its two fallbacks, ${file:/path} and $$.
 *
 * One pass from left to right; each "${...}" is cut out whole and then read.
 * Error texts name the variable, never its value.
 */
#include "config/env_expand.h"

#include "base/cleanup.h"
#include "config/file_text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define EXPANDED_MAX (1u << 20)

static size_t name_length(const char *p)
{
    size_t n = 0;

    while (p[n] == '_' || isalpha((unsigned char)p[n]) ||
           (n > 0 && isdigit((unsigned char)p[n]))) {
        n++;
    }
    return n;
}

static int put_variable(const char *name, const char *rest, struct buf *out,
                        struct rider_error *err)
{
    const char *value = secure_getenv(name);
    bool empty = value == NULL || value[0] == '\0';

    if (rest[0] == '\0' && value == NULL) {
        return rider_fail(err, RIDER_E_CONFIG, "environment variable \"%s\" is not set",
                          name);
    }
    if (empty && strncmp(rest, ":?", 2) == 0) {
        return rider_fail(err, RIDER_E_CONFIG, "environment variable \"%s\": %s", name,
                          rest[2] == '\0' ? "is not set" : rest + 2);
    }
    buf_puts(out, empty && rest[0] != '\0' ? rest + 2 : value);
    return 0;
}

/* `inner` is what stands between "${" and "}". */
static int put_reference(const char *inner, struct buf *out, struct rider_error *err)
{
    size_t len = name_length(inner);
    const char *rest = inner + len;

    if (strncmp(inner, "file:", 5) == 0 && inner[5] != '-' && inner[5] != '?') {
        return file_text_read_secret(inner + 5, out, err);
    }
    bool fallback = strncmp(rest, ":-", 2) == 0 || strncmp(rest, ":?", 2) == 0;
    if (len == 0 || (rest[0] != '\0' && !fallback)) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "expected ${NAME}, ${NAME:-text}, ${NAME:?message} or "
                          "${file:/path}");
    }
    RIDER_CLEANUP_FREE char *name = strndup(inner, len);
    if (name == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    return put_variable(name, rest, out, err);
}

/* Reads the reference at `p`, which points at "$"; *ret_end is behind it. */
static int put_dollar(const char *p, struct buf *out, const char **ret_end,
                      struct rider_error *err)
{
    if (p[1] == '$') {
        buf_putc(out, '$');
        *ret_end = p + 2;
        return 0;
    }
    if (p[1] != '{') {
        return rider_fail(err, RIDER_E_CONFIG,
                          "a single \"$\" must be written \"$$\" (or \"${NAME}\")");
    }
    const char *end = strchr(p, '}');
    if (end == NULL) {
        return rider_fail(err, RIDER_E_CONFIG, "\"${\" without \"}\"");
    }
    RIDER_CLEANUP_FREE char *inner = strndup(p + 2, (size_t)(end - p) - 2);
    if (inner == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    if (strstr(inner, "${") != NULL) {
        return rider_fail(err, RIDER_E_CONFIG, "\"${...}\" cannot be nested");
    }
    *ret_end = end + 1;
    return put_reference(inner, out, err);
}

int env_expand(const char *text, struct buf *out, struct rider_error *err)
{
    const char *p = text;

    while (*p != '\0') {
        size_t plain = strcspn(p, "$");
        buf_append(out, p, plain);
        p += plain;
        int rc = *p == '\0' ? 0 : put_dollar(p, out, &p, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (out->failed) {
        return rider_fail(err, RIDER_E_NOMEM, "the value is too long");
    }
    return 0;
}

static void expand_text(struct yaml_node *node, struct arena *arena,
                        struct problems *problems)
{
    RIDER_CLEANUP(file_text_wipe) struct buf out = buf_make(EXPANDED_MAX);
    struct rider_error err;

    if (strchr(node->text, '$') == NULL) {
        return;
    }
    node->expanded = strstr(node->text, "${") != NULL;
    if (env_expand(node->text, &out, &err) != 0) {
        yaml_node_error(problems, node, "%s", err.text);
        node->reported = true;
        return;
    }
    const char *text = arena_text(arena, buf_text(&out), out.len);
    node->text = text == NULL ? "" : text;
}

void env_expand_tree(struct yaml_node *node, struct arena *arena,
                     struct problems *problems)
{
    if (node->kind == YAML_TEXT) {
        expand_text(node, arena, problems);
    }
    /* Depth is bounded by the reader. */
    for (struct yaml_node *child = node->children; child != NULL; child = child->next) {
        env_expand_tree(child, arena, problems);
    }
}
