/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_line.c - an event as one JSON object on a line.
 *
 * A JSON library would give back a payload that is equal, not identical: other
 * spacing, other number forms. This reads only the outermost object and cuts the
 * values out where they stand, so that the payload keeps its bytes.
 *
 * Invariant: a string's text, decoded, is never longer than its spelling, so it
 * is decoded in place; ends of raw values are written last, because the byte
 * there is still needed as a separator.
 *
 * Not here: whether payload is valid JSON (the server checks, type json).
 */
#include "cli/event_line.h"

#include "base/parse.h"
#include "base/utf8.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static int fail(struct rider_error *err, const char *text)
{
    return rider_fail(err, RIDER_E_CONFIG, "%s", text);
}

static char *skip_space(char *p)
{
    return p + strspn(p, " \t\r\n");
}

/* Four hex digits, or -1. */
static long hex4(const char *p)
{
    long value = 0;

    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        const char *found = p[i] == '\0' ? NULL : strchr(digits, p[i]);

        if (found == NULL) {
            return -1;
        }
        ptrdiff_t digit = found - digits;
        value = value * 16 + (digit < 16 ? digit : digit - 6);
    }
    return value;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

/* A \u escape at *p (behind the u), with its second half where it has one. */
static bool take_unicode(char **p, char **out)
{
    long c = hex4(*p);

    if (c <= 0 || (c >= 0xdc00 && c <= 0xdfff)) {
        return false;
    }
    *p += 4;
    if (c >= 0xd800 && c <= 0xdbff) {
        long low = (*p)[0] == '\\' && (*p)[1] == 'u' ? hex4(*p + 2) : -1;

        if (low < 0xdc00 || low > 0xdfff) {
            return false;
        }
        *p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    *out = put_utf8(*out, (uint32_t)c);
    return true;
}

static bool take_escape(char **p, char **out)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    char c = *(*p)++;
    const char *found = c == '\0' ? NULL : strchr(names, c);

    if (c == 'u') {
        return take_unicode(p, out);
    }
    if (found == NULL) {
        return false;
    }
    *(*out)++ = values[found - names];
    return true;
}

/* Decodes the string at *p (at its quote) in place; NULL when it is malformed. */
static char *take_string(char **p)
{
    char *text = *p + 1;
    char *in = text;
    char *out = text;

    while (*in != '"') {
        if ((unsigned char)*in < 0x20) {
            return NULL;
        }
        if (*in != '\\') {
            *out++ = *in++;
            continue;
        }
        in++;
        if (!take_escape(&in, &out)) {
            return NULL;
        }
    }
    *p = in + 1;
    *out = '\0';
    return utf8_valid(text, (size_t)(out - text)) ? text : NULL;
}

/* The byte behind the raw value at `p`, NULL when it does not end. Brackets are
 * counted outside of strings; what is between them is the server's to judge. */
static char *raw_end(char *p)
{
    size_t depth = 0;
    bool quoted = false;

    for (; *p != '\0'; p++) {
        if (quoted) {
            if (*p == '\\' && p[1] != '\0') {
                p++;
            } else if (*p == '"') {
                quoted = false;
            }
        } else if (*p == '"') {
            quoted = true;
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if (depth > 0 && (*p == '}' || *p == ']')) {
            depth--;
        } else if (depth == 0 && strchr(",} \t\r\n", *p) != NULL) {
            return p;
        }
    }
    return NULL;
}

enum kind { KIND_STRING, KIND_NUMBER, KIND_RAW };

static const struct member {
    const char *name;
    enum kind kind;
    size_t offset; /* of the text in struct event_line */
} members[] = {
    {"eventId", KIND_STRING, offsetof(struct event_line, event_id)},
    {"type", KIND_STRING, offsetof(struct event_line, type)},
    {"occurredAt", KIND_STRING, offsetof(struct event_line, occurred_at)},
    {"aggregateId", KIND_STRING, offsetof(struct event_line, aggregate_id)},
    {"aggregateType", KIND_STRING, offsetof(struct event_line, aggregate_type)},
    {"traceparent", KIND_STRING, offsetof(struct event_line, traceparent)},
    {"payload", KIND_RAW, offsetof(struct event_line, payload)},
    {"headers", KIND_RAW, offsetof(struct event_line, headers)},
    {"version", KIND_NUMBER, 0},
};
#define N_MEMBERS (sizeof(members) / sizeof(members[0]))

/* The scan: where it is, what it found, which ends to write at its end. */
struct scan {
    char *p;
    struct event_line found;
    bool seen[N_MEMBERS];
    char *ends[2]; /* of payload and headers */
    size_t n_ends;
    struct rider_error *err;
};

static int take_version(struct scan *s, char *end)
{
    int64_t version;
    char kept = *end;

    *end = '\0';
    if (parse_int(s->p, &version, NULL) != 0 || version < 1 || version > INT_MAX) {
        return fail(s->err, "\"version\" is not a whole number from 1");
    }
    *end = kept;
    s->found.version = (int)version;
    return 0;
}

static int take_value(struct scan *s, const struct member *member)
{
    const char *text;

    if (member->kind == KIND_STRING) {
        text = *s->p == '"' ? take_string(&s->p) : NULL;
        if (text == NULL) {
            return rider_fail(s->err, RIDER_E_CONFIG, "\"%s\" is not a proper string",
                              member->name);
        }
    } else {
        char *end = raw_end(s->p);

        if (end == NULL || end == s->p) {
            return rider_fail(s->err, RIDER_E_CONFIG, "the value of \"%s\" has no end",
                              member->name);
        }
        if (member->kind == KIND_NUMBER) {
            int rc = take_version(s, end);

            s->p = end;
            return rc;
        }
        text = s->p;
        s->ends[s->n_ends++] = end;
        s->p = end;
    }
    memcpy((char *)&s->found + member->offset, &text, sizeof(text));
    return 0;
}

static int take_member(struct scan *s)
{
    const char *name = *s->p == '"' ? take_string(&s->p) : NULL;

    if (name == NULL) {
        return fail(s->err, "not a JSON object: a name is expected");
    }
    s->p = skip_space(s->p);
    if (*s->p != ':') {
        return fail(s->err, "not a JSON object: a colon is expected");
    }
    s->p = skip_space(s->p + 1);
    for (size_t i = 0; i < N_MEMBERS; i++) {
        if (strcmp(members[i].name, name) != 0) {
            continue;
        }
        if (s->seen[i]) {
            return rider_fail(s->err, RIDER_E_CONFIG, "\"%s\" is there twice", name);
        }
        s->seen[i] = true;
        return take_value(s, &members[i]);
    }
    return rider_fail(s->err, RIDER_E_CONFIG,
                      "unrecognized name \"%.60s\"; events have eventId, type, "
                      "occurredAt, aggregateId, aggregateType, payload, version, "
                      "traceparent, headers",
                      name);
}

static int take_object(struct scan *s)
{
    s->p = skip_space(s->p);
    if (*s->p != '{') {
        return fail(s->err, "not a JSON object");
    }
    s->p = skip_space(s->p + 1);
    while (*s->p != '}') {
        int rc = take_member(s);

        if (rc != 0) {
            return rc;
        }
        s->p = skip_space(s->p);
        if (*s->p == ',') {
            s->p = skip_space(s->p + 1);
            if (*s->p == '}') {
                return fail(s->err, "not a JSON object: a comma before the end");
            }
        } else if (*s->p != '}') {
            return fail(s->err, "not a JSON object: a comma or the end is expected");
        }
    }
    if (*skip_space(s->p + 1) != '\0') {
        return fail(s->err, "there is more on the line than one JSON object");
    }
    return 0;
}

/* Becomes part of a JSON text unescaped, see cmd_publish.c. */
static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < 0x21 || *text > 0x7e || *text == '"' || *text == '\\') {
            return false;
        }
    }
    return true;
}

int event_line_parse(char *line, struct event_line *ret, struct rider_error *err)
{
    struct scan s = {.p = line, .err = err};
    int rc = take_object(&s);

    if (rc != 0) {
        return rc;
    }
    if (s.found.traceparent != NULL && !is_plain(s.found.traceparent)) {
        return fail(err, "\"traceparent\" is malformed");
    }
    if (s.found.traceparent != NULL && s.found.headers != NULL) {
        return fail(err,
                    "\"traceparent\" belongs into \"headers\" when both are given");
    }
    for (size_t i = 0; i < s.n_ends; i++) {
        *s.ends[i] = '\0';
    }
    *ret = s.found;
    return 0;
}
