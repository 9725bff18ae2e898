/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_filter.c - the JSON filter of a subscription, made a jsonpath of PostgreSQL.
 *
 * Each comparison stands in an exists(), because a comparison of unlike types is
 * "unknown" to jsonpath, and its negation, too; inside exists() it is simply false.
 * Names and texts become literals with JSON escapes, numbers are checked and copied:
 * nothing that a client writes becomes syntax.
 *
 * Not here: the object that the path is put to (outbox.filter_view).
 */
#include "api/event_filter.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STEPS  10
#define MAX_STEP   128
#define MAX_TEXT   1024
#define MAX_NUMBER 60

struct compiler {
    const struct api_fields *fields;
    struct buf *out;
    size_t terms, depth;
};

RIDER_PRINTF_LIKE(3, 4)
static void fail(const struct compiler *c, const struct json_node *node,
                 const char *fmt, ...)
{
    char line[200];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    api_fields_fault(c->fields, node, "invalid-filter", "%s", line);
}

static void put_text(struct buf *out, const char *text, size_t len)
{
    buf_putc(out, '"');
    jw_escape(out, text, len);
    buf_putc(out, '"');
}

/* $."payload"."amount" */
static bool put_field(const struct compiler *c, const struct json_node *member)
{
    static const char *const whole[] = {"eventId",     "type",    "aggregateType",
                                        "aggregateId", "version", NULL};
    const char *step = member->key;
    size_t len = strcspn(step, ".");
    bool open = (len == 7 && strncmp(step, "payload", len) == 0) ||
                (len == 7 && strncmp(step, "headers", len) == 0);

    for (size_t i = 0; whole[i] != NULL; i++) {
        open = open || strcmp(step, whole[i]) == 0;
    }
    if (!open) {
        fail(c, member,
             "a field is eventId, type, aggregateType, aggregateId, version, "
             "headers.* or payload.*");
        return false;
    }
    buf_putc(c->out, '$');
    for (size_t n = 1;; n++) {
        if (len == 0 || len > MAX_STEP || n > MAX_STEPS) {
            fail(c, member, "a path has up to %d names of 1 to %d bytes", MAX_STEPS,
                 MAX_STEP);
            return false;
        }
        buf_putc(c->out, '.');
        put_text(c->out, step, len);
        if (step[len] == '\0') {
            return true;
        }
        step += len + 1;
        len = strcspn(step, ".");
    }
}

/* What numeric can hold and a reader can make sense of. */
static bool is_sane_number(const struct json_node *value)
{
    size_t e = strcspn(value->text, "eE");
    long exponent = value->text[e] == '\0' ? 0 : strtol(value->text + e + 1, NULL, 10);

    return value->len <= MAX_NUMBER && labs(exponent) <= 100;
}

static bool put_value(struct compiler *c, const struct json_node *value)
{
    if (++c->terms > EVENT_FILTER_MAX_TERMS) {
        fail(c, value, "a filter has at most %d comparisons", EVENT_FILTER_MAX_TERMS);
        return false;
    }
    switch (value->kind) {
    case JSON_NODE_NULL:
        buf_puts(c->out, "null");
        return true;
    case JSON_NODE_TRUE:
    case JSON_NODE_FALSE:
        buf_puts(c->out, value->kind == JSON_NODE_TRUE ? "true" : "false");
        return true;
    case JSON_NODE_NUMBER:
        if (!is_sane_number(value)) {
            fail(c, value, "the number is too large or too long");
            return false;
        }
        buf_puts(c->out, value->text);
        return true;
    case JSON_NODE_TEXT:
        if (value->len > MAX_TEXT) {
            fail(c, value, "a text has at most %d bytes", MAX_TEXT);
            return false;
        }
        put_text(c->out, value->text, value->len);
        return true;
    case JSON_NODE_ARRAY:
    case JSON_NODE_OBJECT:
    default:
        fail(c, value, "a text, number, boolean or null is expected");
        return false;
    }
}

/* [!]exists(FIELD ? (@ OP value)) */
static bool put_comparison(struct compiler *c, const struct json_node *field,
                           bool negated, const char *op, const struct json_node *value)
{
    buf_puts(c->out, negated ? "!exists(" : "exists(");
    if (!put_field(c, field)) {
        return false;
    }
    buf_printf(c->out, " ? (@ %s ", op);
    if (!put_value(c, value)) {
        return false;
    }
    buf_puts(c->out, "))");
    return true;
}

static bool put_list(struct compiler *c, const struct json_node *field, bool negated,
                     const struct json_node *list)
{
    if (list->kind != JSON_NODE_ARRAY || list->n == 0) {
        fail(c, list, "a list with at least one value is expected");
        return false;
    }
    buf_puts(c->out, negated ? "!exists(" : "exists(");
    if (!put_field(c, field)) {
        return false;
    }
    buf_puts(c->out, " ? (");
    for (const struct json_node *item = list->first; item != NULL; item = item->next) {
        buf_puts(c->out, item == list->first ? "@ == " : " || @ == ");
        if (!put_value(c, item)) {
            return false;
        }
    }
    buf_puts(c->out, "))");
    return true;
}

static bool put_exists(struct compiler *c, const struct json_node *field,
                       const struct json_node *value)
{
    if (value->kind != JSON_NODE_TRUE && value->kind != JSON_NODE_FALSE) {
        fail(c, value, "true or false is expected");
        return false;
    }
    c->terms++;
    buf_puts(c->out, value->kind == JSON_NODE_TRUE ? "exists(" : "!exists(");
    if (!put_field(c, field)) {
        return false;
    }
    buf_putc(c->out, ')');
    return true;
}

static bool is_ordered(const struct json_node *value)
{
    return value->kind == JSON_NODE_TEXT || value->kind == JSON_NODE_NUMBER;
}

static bool put_operator(struct compiler *c, const struct json_node *field,
                         const struct json_node *value)
{
    static const struct {
        const char *name, *op;
    } order[] = {{"$gt", ">"}, {"$gte", ">="}, {"$lt", "<"}, {"$lte", "<="}};
    const char *name = value->key;

    if (strcmp(name, "$eq") == 0 || strcmp(name, "$ne") == 0) {
        return put_comparison(c, field, name[1] == 'n', "==", value);
    }
    if (strcmp(name, "$in") == 0 || strcmp(name, "$nin") == 0) {
        return put_list(c, field, name[1] == 'n', value);
    }
    if (strcmp(name, "$exists") == 0) {
        return put_exists(c, field, value);
    }
    if (strcmp(name, "$prefix") == 0) {
        if (value->kind != JSON_NODE_TEXT) {
            fail(c, value, "a text is expected");
            return false;
        }
        return put_comparison(c, field, false, "starts with", value);
    }
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (strcmp(name, order[i].name) != 0) {
            continue;
        }
        if (!is_ordered(value)) {
            fail(c, value, "a text or a number is expected");
            return false;
        }
        return put_comparison(c, field, false, order[i].op, value);
    }
    fail(c, value,
         "an operator is $eq, $ne, $in, $nin, $gt, $gte, $lt, $lte, $prefix or "
         "$exists");
    return false;
}

static bool put_member(struct compiler *c, const struct json_node *member)
{
    if (member->kind != JSON_NODE_OBJECT) {
        return put_comparison(c, member, false, "==", member);
    }
    if (member->n == 0) {
        fail(c, member, "an operator is expected");
        return false;
    }
    bool fine = true;
    for (const struct json_node *o = member->first; o != NULL; o = o->next) {
        buf_puts(c->out, o == member->first ? "" : " && ");
        fine = put_operator(c, member, o) && fine;
    }
    return fine;
}

static bool put_object(struct compiler *c, const struct json_node *object);

static bool put_alternatives(struct compiler *c, const struct json_node *list,
                             const char *between)
{
    if (list->kind != JSON_NODE_ARRAY || list->n == 0) {
        fail(c, list, "a list with at least one filter is expected");
        return false;
    }
    bool fine = true;
    buf_putc(c->out, '(');
    for (const struct json_node *item = list->first; item != NULL; item = item->next) {
        buf_puts(c->out, item == list->first ? "" : between);
        fine = put_object(c, item) && fine;
    }
    buf_putc(c->out, ')');
    return fine;
}

static bool put_logic(struct compiler *c, const struct json_node *member)
{
    if (strcmp(member->key, "$or") == 0) {
        return put_alternatives(c, member, " || ");
    }
    if (strcmp(member->key, "$and") == 0) {
        return put_alternatives(c, member, " && ");
    }
    if (strcmp(member->key, "$not") == 0) {
        buf_putc(c->out, '!');
        return put_object(c, member);
    }
    fail(c, member, "an operator here is $and, $or or $not");
    return false;
}

static bool put_object(struct compiler *c, const struct json_node *object)
{
    bool fine = true;

    if (object->kind != JSON_NODE_OBJECT || object->n == 0) {
        fail(c, object, "an object with at least one member is expected");
        return false;
    }
    if (++c->depth > EVENT_FILTER_MAX_DEPTH) {
        fail(c, object, "filters are nested at most %d deep", EVENT_FILTER_MAX_DEPTH);
        return false;
    }
    buf_putc(c->out, '(');
    for (const struct json_node *m = object->first; m != NULL; m = m->next) {
        buf_puts(c->out, m == object->first ? "" : " && ");
        fine = (m->key[0] == '$' ? put_logic(c, m) : put_member(c, m)) && fine;
    }
    buf_putc(c->out, ')');
    c->depth--;
    return fine;
}

void event_filter_compile(const struct api_fields *f, const struct json_node *filter,
                          struct buf *out)
{
    struct compiler c = {.fields = f, .out = out};

    if (put_object(&c, filter) && (out->failed || out->len > EVENT_FILTER_MAX_PATH)) {
        fail(&c, filter, "the filter is too long");
    }
}
