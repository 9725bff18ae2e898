/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template.c - parses and expands address templates.
 *
 * Parsing cuts the text into literals and fields; an escaped brace is a literal
 * of one byte, so every literal is a slice of the source and nothing is copied.
 * Expanding appends part after part with a check before each.
 *
 * Not here: what characters an address may hold (each adapter knows its own).
 */
#include "common/template.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const field_names[] = {
    [TEMPLATE_LITERAL] = "literal text",
    [TEMPLATE_TYPE] = "type",
    [TEMPLATE_AGGREGATE_TYPE] = "aggregateType",
    [TEMPLATE_AGGREGATE_ID] = "aggregateId",
    [TEMPLATE_EVENT_ID] = "eventId",
    [TEMPLATE_VERSION] = "version",
};
#define N_FIELDS (sizeof(field_names) / sizeof(field_names[0]))

static int add_part(struct template *t, struct template_part part)
{
    if (t->n == TEMPLATE_MAX_PARTS) {
        return -1;
    }
    t->parts[t->n++] = part;
    return 0;
}

/* The field named by name[len], or TEMPLATE_LITERAL if there is none. */
static enum template_field field_by_name(const char *name, size_t len)
{
    for (size_t i = TEMPLATE_TYPE; i < N_FIELDS; i++) {
        if (strlen(field_names[i]) == len && memcmp(field_names[i], name, len) == 0) {
            return (enum template_field)i;
        }
    }
    return TEMPLATE_LITERAL;
}

/* Reads the part at *p and moves *p behind it. Returns NULL or what is wrong. */
static const char *next_part(const char **p, struct template_part *ret)
{
    const char *s = *p;

    if (s[0] == s[1] && (s[0] == '{' || s[0] == '}')) {
        *ret = (struct template_part){TEMPLATE_LITERAL, s, 1};
        *p = s + 2;
        return NULL;
    }
    if (s[0] == '}') {
        return "a single \"}\" (write \"}}\" for a brace)";
    }
    if (s[0] != '{') {
        size_t len = strcspn(s, "{}");
        *ret = (struct template_part){TEMPLATE_LITERAL, s, len};
        *p = s + len;
        return NULL;
    }
    size_t len = strcspn(s + 1, "{}");
    if (s[1 + len] != '}') {
        return "a \"{\" that is not closed (write \"{{\" for a brace)";
    }
    enum template_field field = field_by_name(s + 1, len);
    if (field == TEMPLATE_LITERAL) {
        return "an unknown field; known are {type}, {aggregateType}, {aggregateId}, "
               "{eventId} and {version}";
    }
    *ret = (struct template_part){field, NULL, 0};
    *p = s + len + 2;
    return NULL;
}

int template_parse(const char *text, struct template *ret, char *err, size_t err_size)
{
    struct template t = {0};
    const char *p = text;

    while (*p != '\0') {
        struct template_part part = {TEMPLATE_LITERAL, NULL, 0};
        size_t at = (size_t)(p - text) + 1;
        const char *wrong = next_part(&p, &part);

        if (wrong == NULL && add_part(&t, part) < 0) {
            wrong = "more parts than a template may have";
        }
        if (wrong != NULL) {
            (void)snprintf(err, err_size, "template \"%s\" has at character %zu %s",
                           text, at, wrong);
            return EINVAL;
        }
    }
    *ret = t;
    return 0;
}

bool template_uses(const struct template *t, enum template_field field)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->parts[i].field == field) {
            return true;
        }
    }
    return false;
}

bool template_is_constant(const struct template *t)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->parts[i].field != TEMPLATE_LITERAL) {
            return false;
        }
    }
    return true;
}

/* What `part` stands for; `number` holds the text of a version. */
static struct rider_bytes part_value(const struct template_part *part,
                                     const struct rider_event *event, char number[16])
{
    switch (part->field) {
    case TEMPLATE_TYPE:
        return event->type;
    case TEMPLATE_AGGREGATE_TYPE:
        return event->aggregate_type;
    case TEMPLATE_AGGREGATE_ID:
        return event->aggregate_id;
    case TEMPLATE_EVENT_ID:
        return event->id;
    case TEMPLATE_VERSION: {
        int len = snprintf(number, 16, "%d", (int)event->version);
        return (struct rider_bytes){number, (size_t)len};
    }
    case TEMPLATE_LITERAL:
        break;
    }
    return (struct rider_bytes){part->text, part->len};
}

ssize_t template_expand(const struct template *t, const struct rider_event *event,
                        char *out, size_t out_size, char *err, size_t err_size)
{
    size_t used = 0;

    for (size_t i = 0; i < t->n; i++) {
        char number[16];
        struct rider_bytes value = part_value(&t->parts[i], event, number);

        if (value.len >= out_size - used) {
            (void)snprintf(err, err_size, "%s of %zu bytes does not fit, limit %zu",
                           field_names[t->parts[i].field], value.len, out_size - 1);
            return -1;
        }
        if (value.len > 0) {
            memcpy(out + used, value.data, value.len);
        }
        used += value.len;
    }
    out[used] = '\0';
    return (ssize_t)used;
}
