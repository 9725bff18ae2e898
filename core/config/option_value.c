/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_value.c - text to int64_t, _Bool, milliseconds, bytes, choice, string.
 *
 * A plain and a quoted value are the same text here, so `"10s"` and `10s` mean
 * the same, and words such as yes, no, null have no meaning of their own.
 *
 * Not here: lists, properties, files and secrets of a key (option_table.c).
 */
#include "config/option_value.h"

#include "base/cleanup.h"
#include "base/parse.h"
#include "config/nearest.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

size_t option_value_size(uint32_t type)
{
    switch (type) {
    case RIDER_STRING:
    case RIDER_TEMPLATE:
    case OPTION_TEXTS:
        return sizeof(const char *);
    case RIDER_INT:
    case RIDER_MS:
    case RIDER_SIZE:
        return sizeof(uint64_t);
    case RIDER_BOOL:
        return sizeof(bool);
    case RIDER_ENUM:
        return sizeof(uint32_t);
    case RIDER_PROPERTIES:
        return sizeof(struct rider_properties);
    default:
        return 0;
    }
}

const char *option_value_type_name(const struct rider_option *row)
{
    static const char *const names[] = {
        [RIDER_STRING] = "text",        [RIDER_INT] = "integer",
        [RIDER_BOOL] = "true or false", [RIDER_MS] = "duration",
        [RIDER_SIZE] = "size",          [RIDER_ENUM] = "choice",
        [RIDER_TEMPLATE] = "template",  [RIDER_PROPERTIES] = "any other keys",
    };

    return row->type < sizeof(names) / sizeof(names[0]) ? names[row->type]
                                                        : "list of text";
}

const char *const *option_value_template_fields(void)
{
    static const char *const fields[] = {"type",    "aggregateType", "aggregateId",
                                         "eventId", "version",       NULL};

    return fields;
}

/* Appends `value` in the largest unit that divides it. */
static void print_in_units(uint64_t value, const uint64_t *factors,
                           const char *const *names, struct buf *out)
{
    size_t i = 0;

    if (value == 0) {
        buf_putc(out, '0');
        return;
    }
    while (value % factors[i] != 0) {
        i++; /* the last factor is 1 */
    }
    buf_printf(out, "%" PRIu64 "%s", value / factors[i], names[i]);
}

void option_value_print(const struct rider_option *row, int64_t value, struct buf *out)
{
    static const uint64_t ms[] = {86400000, 3600000, 60000, 1000, 1};
    static const char *const ms_names[] = {"d", "h", "m", "s", "ms"};
    static const uint64_t bytes[] = {1u << 30, 1u << 20, 1u << 10, 1};
    static const char *const byte_names[] = {"GB", "MB", "KB", ""};

    if (row->type == RIDER_MS) {
        print_in_units((uint64_t)value, ms, ms_names, out);
    } else if (row->type == RIDER_SIZE) {
        print_in_units((uint64_t)value, bytes, byte_names, out);
    } else {
        buf_printf(out, "%" PRId64, value);
    }
}

/* `value` is at most INT64_MAX: parse.h promises it. */
static int check_range(const struct rider_option *row, int64_t value,
                       struct rider_error *err)
{
    if (row->min == row->max || (value >= row->min && value <= row->max)) {
        return 0;
    }
    RIDER_CLEANUP(buf_done) struct buf text = buf_make(256);
    buf_puts(&text, "must be between ");
    option_value_print(row, row->min, &text);
    buf_puts(&text, " and ");
    option_value_print(row, row->max, &text);
    buf_puts(&text, ", got ");
    option_value_print(row, value, &text);
    return rider_fail(err, RIDER_E_CONFIG, "%s", buf_text(&text));
}

static int parse_number(const struct rider_option *row, const char *text, void *field,
                        struct rider_error *err)
{
    int64_t number = 0;
    uint64_t amount = 0;
    int rc;

    if (row->type == RIDER_INT) {
        rc = parse_int(text, &number, err);
    } else {
        rc = row->type == RIDER_MS ? parse_duration_ms(text, &amount, err)
                                   : parse_size(text, &amount, err);
        number = (int64_t)amount;
    }
    if (rc == 0) {
        rc = check_range(row, number, err);
    }
    if (rc == 0) {
        memcpy(field, &number, sizeof(number));
    }
    return rc;
}

static int parse_choice(const struct rider_option *row, const char *text, void *field,
                        struct rider_error *err)
{
    RIDER_CLEANUP(buf_done) struct buf list = buf_make(256);

    for (uint32_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++) {
        if (strcmp(row->choices[i], text) == 0) {
            memcpy(field, &i, sizeof(i));
            return 0;
        }
        buf_printf(&list, "%s%s", i == 0 ? "" : ", ", row->choices[i]);
    }
    return rider_fail(err, RIDER_E_CONFIG, "expected one of %s, got \"%.40s\"",
                      buf_text(&list), text);
}

static int unknown_field(const char *name, struct rider_error *err)
{
    RIDER_CLEANUP(buf_done) struct buf list = buf_make(256);
    struct nearest near = nearest_to(name);

    for (const char *const *f = option_value_template_fields(); *f != NULL; f++) {
        buf_printf(&list, "%s{%s}", list.len == 0 ? "" : ", ", *f);
        nearest_offer(&near, *f);
    }
    if (near.best != NULL) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "unrecognized field \"{%.40s}\"; did you mean \"{%s}\"?",
                          name, near.best);
    }
    return rider_fail(err, RIDER_E_CONFIG,
                      "unrecognized field \"{%.40s}\"; the fields are %s", name,
                      buf_text(&list));
}

/* Checks the field that begins behind "{" at `p`; returns what follows "}". */
static const char *check_field(const char *p, struct rider_error *err)
{
    char name[64];
    size_t len = strcspn(p, "{}");

    if (p[len] != '}') {
        (void)rider_fail(err, RIDER_E_CONFIG,
                         "\"{\" without \"}\" (write \"{{\" for a single brace)");
        return NULL;
    }
    len = len < sizeof(name) ? len : sizeof(name) - 1;
    memcpy(name, p, len);
    name[len] = '\0';
    for (const char *const *f = option_value_template_fields(); *f != NULL; f++) {
        if (strcmp(*f, name) == 0) {
            return p + len + 1;
        }
    }
    (void)unknown_field(name, err);
    return NULL;
}

static int check_template(const char *p, struct rider_error *err)
{
    while (p != NULL && *(p += strcspn(p, "{}")) != '\0') {
        if (p[0] == p[1]) {
            p += 2;
        } else if (p[0] == '{') {
            p = check_field(p + 1, err);
        } else {
            return rider_fail(err, RIDER_E_CONFIG,
                              "\"}\" without \"{\" (write \"}}\" for a single brace)");
        }
    }
    return p == NULL ? RIDER_E_CONFIG : 0;
}

static int parse_string(const struct rider_option *row, const char *text,
                        struct arena *arena, void *field, struct rider_error *err)
{
    int rc = row->type == RIDER_TEMPLATE ? check_template(text, err) : 0;

    if (rc != 0) {
        return rc;
    }
    const char *copy = arena_text(arena, text, strlen(text));
    if (copy == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    memcpy(field, &copy, sizeof(copy));
    return 0;
}

static int parse_any(const struct rider_option *row, const char *text,
                     struct arena *arena, void *field, struct rider_error *err)
{
    switch (row->type) {
    case RIDER_STRING:
    case RIDER_TEMPLATE:
        return parse_string(row, text, arena, field, err);
    case RIDER_INT:
    case RIDER_MS:
    case RIDER_SIZE:
        return parse_number(row, text, field, err);
    case RIDER_BOOL: {
        bool yes = false;
        int rc = parse_bool(text, &yes, err);
        if (rc == 0) {
            memcpy(field, &yes, sizeof(yes));
        }
        return rc;
    }
    case RIDER_ENUM:
        return parse_choice(row, text, field, err);
    default:
        return rider_fail(err, RIDER_E_INTERNAL, "is no single value");
    }
}

int option_value_parse(const struct rider_option *row, const char *text,
                       struct arena *arena, void *field, struct rider_error *err)
{
    int rc = parse_any(row, text, arena, field, err);

    if (rc == RIDER_E_CONFIG && (row->flags & RIDER_OPT_SECRET) != 0) {
        return rider_fail(err, RIDER_E_CONFIG, "expected %s (the value is secret)",
                          option_value_type_name(row));
    }
    return rc;
}
