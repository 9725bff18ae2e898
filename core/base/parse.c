/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.c - checked numbers, durations and sizes.
 */
#include "base/parse.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

/* Reads decimal digits into *ret; returns the first character that is none, or
 * NULL when there was no digit or the value does not fit. */
static const char *digits(const char *p, uint64_t *ret)
{
    uint64_t value = 0;

    if (!isdigit((unsigned char)*p)) {
        return NULL;
    }
    for (; isdigit((unsigned char)*p); p++) {
        uint64_t digit = (uint64_t)(*p - '0');
        if (value > (INT64_MAX - digit) / 10) {
            return NULL;
        }
        value = value * 10 + digit;
    }
    *ret = value;
    return p;
}

int parse_int(const char *text, int64_t *ret, struct rider_error *err)
{
    uint64_t value;
    const char *end = digits(text + (*text == '-'), &value);

    if (end == NULL || *end != '\0') {
        return rider_fail(err, RIDER_E_CONFIG,
                          "expected a decimal integer, got \"%.40s\"", text);
    }
    *ret = *text == '-' ? -(int64_t)value : (int64_t)value;
    return 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* The number's factor by the unit at `suffix`, 0 for an unknown unit. */
static uint64_t unit_factor(const struct unit *units, const char *suffix)
{
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, suffix) == 0) {
            return units->factor;
        }
    }
    return 0;
}

static int with_unit(const char *text, const struct unit *units, const char *expected,
                     uint64_t *ret, struct rider_error *err)
{
    uint64_t value = 0;
    const char *end = digits(text, &value);
    uint64_t factor = end == NULL ? 0 : unit_factor(units, end);

    if (end != NULL && *end == '\0' && value == 0) {
        factor = 1;
    }
    if (factor == 0 || value > INT64_MAX / factor) {
        return rider_fail(err, RIDER_E_CONFIG, "expected %s, got \"%.40s\"", expected,
                          text);
    }
    *ret = value * factor;
    return 0;
}

int parse_duration_ms(const char *text, uint64_t *ret, struct rider_error *err)
{
    static const struct unit units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};

    return with_unit(text, units, "a duration such as 250ms, 5s, 2m, 1h or 7d", ret,
                     err);
}

int parse_size(const char *text, uint64_t *ret, struct rider_error *err)
{
    static const struct unit units[] = {
        {"", 1}, {"KB", 1U << 10}, {"MB", 1U << 20}, {"GB", 1U << 30}, {NULL, 0}};

    return with_unit(text, units, "a size such as 512, 64KB, 16MB or 1GB", ret, err);
}

int parse_bool(const char *text, bool *ret, struct rider_error *err)
{
    bool yes = strcmp(text, "true") == 0;

    if (!yes && strcmp(text, "false") != 0) {
        return rider_fail(err, RIDER_E_CONFIG, "expected true or false, got \"%.40s\"",
                          text);
    }
    *ret = yes;
    return 0;
}

bool parse_is_uuid(const char *text)
{
    static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    for (size_t i = 0; i < sizeof(shape) - 1; i++) {
        bool ok =
            shape[i] == '-' ? text[i] == '-' : isxdigit((unsigned char)text[i]) != 0;
        if (!ok) {
            return false;
        }
    }
    return text[sizeof(shape) - 1] == '\0';
}
