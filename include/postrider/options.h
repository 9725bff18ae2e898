/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h - tables that declare configuration keys.
 *
 * The core and every adapter declare their keys with the same table. From it
 * come parsing, checks, defaults, redaction, `postrider adapters`, the
 * reference page and the JSON Schema of the configuration, so an adapter
 * contains no YAML code.
 *
 * Rows that share a config struct are filled into zeroed memory; strings and
 * properties belong to the host and live as long as the config struct.
 */
#ifndef RIDER_OPTIONS_H
#define RIDER_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

/** What a YAML value must be, and the C type of the field that receives it. */
enum rider_option_type {
    RIDER_STRING,    /* const char *, NULL when absent and without default */
    RIDER_INT,       /* int64_t, decimal */
    RIDER_BOOL,      /* _Bool, true or false */
    RIDER_MS,        /* uint64_t milliseconds; "250ms", "5s", "2m", "1h", "7d" */
    RIDER_SIZE,      /* uint64_t bytes; "512", "64KB", "16MB", "1GB" (powers of 1024) */
    RIDER_ENUM,      /* uint32_t, index into `choices` */
    RIDER_TEMPLATE,  /* const char *, text with {fields}, see below */
    RIDER_PROPERTIES /* struct rider_properties: every key no other row names */
};

/*
 * A template is text with fields of the event in braces: {type},
 * {aggregateType}, {aggregateId}, {eventId}, {version}. "{{" and "}}" stand for
 * single braces. The host refuses an unknown field when it reads the file.
 */

#define RIDER_OPT_REQUIRED (1u << 0)
#define RIDER_OPT_SECRET   (1u << 1) /* redacted everywhere; NAME_file is its twin */

/** One key and value of a RIDER_PROPERTIES field. */
struct rider_property {
    const char *name, *value;
};

/** Keys passed through unchecked, in the order of the file. */
struct rider_properties {
    const struct rider_property *items;
    size_t n;
};

/** One YAML key. A table ends with a NULL name. */
struct rider_option {
    const char *name;
    uint32_t type;              /* enum rider_option_type */
    uint32_t flags;             /* RIDER_OPT_* */
    size_t offset;              /* RIDER_FIELD(struct config, member, its type) */
    const char *default_value;  /* as in YAML, or NULL */
    int64_t min, max;           /* min == max: no range; units as in the field */
    const char *const *choices; /* RIDER_ENUM: NULL-terminated */
    const char *help;           /* one sentence: becomes the reference page */
};

/** offsetof() that does not compile if the member has another type. */
#define RIDER_FIELD(S, member, T)                                       \
    /* NOLINTNEXTLINE(bugprone-macro-parentheses): T and S are types */ \
    (offsetof(S, member) * _Generic(&((S *)0)->member, T * : 1u))

#endif
