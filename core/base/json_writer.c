/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_writer.c - JSON output without a tree.
 */
#include "base/json_writer.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct json_writer jw_begin(struct buf *out)
{
    return (struct json_writer){.out = out};
}

static void put_key(struct json_writer *w, const char *key)
{
    if (w->comma) {
        buf_putc(w->out, ',');
    }
    w->comma = true;
    if (key != NULL) {
        buf_putc(w->out, '"');
        jw_escape(w->out, key, strlen(key));
        buf_append(w->out, "\":", 2);
    }
}

static void open_with(struct json_writer *w, const char *key, char c)
{
    put_key(w, key);
    buf_putc(w->out, c);
    w->comma = false;
}

static void close_with(struct json_writer *w, char c)
{
    buf_putc(w->out, c);
    w->comma = true;
}

void jw_object(struct json_writer *w, const char *key)
{
    open_with(w, key, '{');
}

void jw_object_end(struct json_writer *w)
{
    close_with(w, '}');
}

void jw_array(struct json_writer *w, const char *key)
{
    open_with(w, key, '[');
}

void jw_array_end(struct json_writer *w)
{
    close_with(w, ']');
}

static const char *short_escape(unsigned char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        return NULL;
    }
}

static size_t escape_one(struct buf *out, const char *value, size_t len)
{
    unsigned char c = (unsigned char)value[0];
    const char *brief = short_escape(c);

    if (brief != NULL) {
        buf_puts(out, brief);
        return 1;
    }
    if (c < 0x20) {
        buf_printf(out, "\\u%04x", (unsigned int)c);
        return 1;
    }
    size_t n = utf8_sequence(value, len);
    if (n == 0) {
        buf_append(out, "\xef\xbf\xbd", 3);
        return 1;
    }
    buf_append(out, value, n);
    return n;
}

void jw_escape(struct buf *out, const char *value, size_t len)
{
    size_t plain = 0;

    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)value[i];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++;
            continue;
        }
        buf_append(out, value + plain, i - plain);
        i += escape_one(out, value + i, len - i);
        plain = i;
    }
    buf_append(out, value + plain, len - plain);
}

void jw_string_n(struct json_writer *w, const char *key, const char *value, size_t len)
{
    put_key(w, key);
    buf_putc(w->out, '"');
    jw_escape(w->out, value, len);
    buf_putc(w->out, '"');
}

void jw_string(struct json_writer *w, const char *key, const char *value)
{
    jw_string_n(w, key, value, strlen(value));
}

void jw_string_or_null(struct json_writer *w, const char *key, const char *value)
{
    if (value == NULL) {
        jw_null(w, key);
    } else {
        jw_string(w, key, value);
    }
}

void jw_int(struct json_writer *w, const char *key, int64_t value)
{
    put_key(w, key);
    buf_printf(w->out, "%" PRId64, value);
}

void jw_double(struct json_writer *w, const char *key, double value)
{
    put_key(w, key);
    if (isfinite(value)) {
        buf_printf(w->out, "%.6g", value);
    } else {
        buf_puts(w->out, "null");
    }
}

void jw_bool(struct json_writer *w, const char *key, bool value)
{
    put_key(w, key);
    buf_puts(w->out, value ? "true" : "false");
}

void jw_null(struct json_writer *w, const char *key)
{
    put_key(w, key);
    buf_puts(w->out, "null");
}

void jw_raw(struct json_writer *w, const char *key, const char *value, size_t len)
{
    put_key(w, key);
    buf_append(w->out, value, len);
}
