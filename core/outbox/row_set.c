/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_set.c - the answer of a query: rows of named columns.
 *
 * A row set is a PGresult in text format; its column types say how a value is
 * written in JSON.
 *
 * Not here: the queries.
 */
#include "outbox/row_set.h"

#include "base/parse.h"
#include "outbox/query_conn.h"

#include <string.h>

/* A row set is libpq's result under another name. */
static const PGresult *result_of(const struct row_set *rows)
{
    return (const PGresult *)(const void *)rows;
}

struct row_set *row_set_from(PGresult *result)
{
    return (struct row_set *)(void *)result;
}

void row_set_destroy(struct row_set *rows)
{
    PQclear((PGresult *)(void *)rows);
}

size_t row_set_count(const struct row_set *rows)
{
    return (size_t)PQntuples(result_of(rows));
}

/* PQfnumber() would fold the name to lower case. -1: libpq answers with NULL. */
static int column_of(const struct row_set *rows, const char *name)
{
    for (int c = 0; c < PQnfields(result_of(rows)); c++) {
        if (strcmp(PQfname(result_of(rows), c), name) == 0) {
            return c;
        }
    }
    return -1;
}

const char *row_set_text(const struct row_set *rows, size_t row, const char *column)
{
    const char *text = PQgetvalue(result_of(rows), (int)row, column_of(rows, column));

    return text == NULL ? "" : text;
}

bool row_set_is_null(const struct row_set *rows, size_t row, const char *column)
{
    return PQgetisnull(result_of(rows), (int)row, column_of(rows, column)) != 0;
}

int64_t row_set_int(const struct row_set *rows, size_t row, const char *column)
{
    int64_t value = 0;

    return parse_int(row_set_text(rows, row, column), &value, NULL) == 0 ? value : 0;
}

bool row_set_bool(const struct row_set *rows, size_t row, const char *column)
{
    return strcmp(row_set_text(rows, row, column), "t") == 0;
}

/* Object identifiers of pg_type, fixed by catalog/pg_type.dat. */
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_JSON = 114,
    OID_TIMESTAMPTZ = 1184,
    OID_JSONB = 3802
};

/* Digits of a second's fraction, always, so that times sort as texts. */
#define FRACTION 6

/* "2026-11-24 03:00:49.12+00" as RFC 3339 wants it: query_conn has set the zone. */
static void write_time(struct json_writer *w, const char *key, const char *text)
{
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(64);
    size_t day = strcspn(text, " ");
    size_t end = strcspn(text, "+");

    if (text[day] == '\0' || text[end] == '\0') {
        jw_string(w, key, text); /* infinity */
        return;
    }
    buf_append(&out, text, day);
    buf_putc(&out, 'T');
    buf_append(&out, text + day + 1, end - day - 1);
    size_t dot = strcspn(text, ".");
    size_t digits = dot < end ? end - dot - 1 : 0;

    buf_puts(&out, dot < end ? "" : ".");
    for (; digits < FRACTION; digits++) {
        buf_putc(&out, '0');
    }
    buf_putc(&out, 'Z');
    jw_string(w, key, buf_text(&out));
}

/* json_build_object() puts blanks around what it writes; texts keep theirs. */
static void write_json(struct json_writer *w, const char *key, const char *text,
                       size_t len)
{
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(len);
    bool in_text = false;

    for (size_t i = 0; i < len; i++) {
        if (!in_text && strchr(" \t\r\n", text[i]) != NULL) {
            continue;
        }
        buf_putc(&out, text[i]);
        if (in_text && text[i] == '\\' && i + 1 < len) {
            buf_putc(&out, text[++i]);
        } else if (text[i] == '"') {
            in_text = !in_text;
        }
    }
    jw_raw(w, key, buf_text(&out), out.len);
    w->out->failed |= out.failed;
}

static void write_value(const PGresult *result, int row, int column,
                        struct json_writer *w)
{
    const char *key = PQfname(result, column);
    const char *text = PQgetvalue(result, row, column);
    size_t len = (size_t)PQgetlength(result, row, column);

    if (PQgetisnull(result, row, column)) {
        jw_null(w, key);
        return;
    }
    switch (PQftype(result, column)) {
    case OID_BOOL:
        jw_bool(w, key, text[0] == 't');
        break;
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
        jw_raw(w, key, text, len);
        break;
    case OID_JSON:
    case OID_JSONB:
        write_json(w, key, text, len);
        break;
    case OID_TIMESTAMPTZ:
        write_time(w, key, text);
        break;
    default:
        jw_string_n(w, key, text, len);
        break;
    }
}

void row_set_write_row_but(const struct row_set *rows, size_t row,
                           struct json_writer *w, const char *key, const char *but)
{
    jw_object(w, key);
    for (int c = 0; c < PQnfields(result_of(rows)); c++) {
        if (strcmp(PQfname(result_of(rows), c), but) != 0) {
            write_value(result_of(rows), (int)row, c, w);
        }
    }
    jw_object_end(w);
}

void row_set_write_value(const struct row_set *rows, size_t row, const char *column,
                         struct json_writer *w)
{
    int c = column_of(rows, column);

    if (c >= 0) {
        write_value(result_of(rows), (int)row, c, w);
    }
}

void row_set_write_row(const struct row_set *rows, size_t row, struct json_writer *w,
                       const char *key)
{
    row_set_write_row_but(rows, row, w, key, "");
}

void row_set_write(const struct row_set *rows, struct json_writer *w, const char *key)
{
    jw_array(w, key);
    for (size_t i = 0; i < row_set_count(rows); i++) {
        row_set_write_row(rows, i, w, NULL);
    }
    jw_array_end(w);
}
