/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_writer.h - JSON output without a tree.
 *
 * Writes into a struct buf, puts the commas, escapes strings (RFC 8259), and
 * can splice text that is JSON already, byte for byte: no tree printer keeps a
 * payload as its writer spelled it.
 * Thread: one at a time.
 */
#ifndef BASE_JSON_WRITER_H
#define BASE_JSON_WRITER_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct json_writer {
    struct buf *out;
    bool comma; /* the next value needs one before it */
};

struct json_writer jw_begin(struct buf *out);

/* Inside an object pass the key; inside an array, or at the top, pass NULL. */
void jw_object(struct json_writer *w, const char *key);
void jw_object_end(struct json_writer *w);
void jw_array(struct json_writer *w, const char *key);
void jw_array_end(struct json_writer *w);

void jw_string(struct json_writer *w, const char *key, const char *value);
/** Bytes that are not UTF-8 become U+FFFD, so the output is always valid. */
void jw_string_n(struct json_writer *w, const char *key, const char *value, size_t len);
/** As jw_string(), or null for a NULL value. */
void jw_string_or_null(struct json_writer *w, const char *key, const char *value);
void jw_int(struct json_writer *w, const char *key, int64_t value);
void jw_double(struct json_writer *w, const char *key, double value);
void jw_bool(struct json_writer *w, const char *key, bool value);
void jw_null(struct json_writer *w, const char *key);
/** Splices `value`, which the caller knows to be one JSON value. */
void jw_raw(struct json_writer *w, const char *key, const char *value, size_t len);

/** Appends `value` with JSON escapes and without quotes. */
void jw_escape(struct buf *out, const char *value, size_t len);

#endif
