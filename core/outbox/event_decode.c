/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_decode.c - one row of a binary result to a struct event_row.
 *
 * Binary formats: int8 and int4 in network order, uuid as 16 bytes,
 * timestamptz as microseconds since 2000-01-01 UTC, json as its text
 * (PostgreSQL sources, the *_send functions).
 */
#include "outbox/event_decode.h"

#include <endian.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define POSTGRES_EPOCH_US INT64_C(946684800000000) /* 2000-01-01 */

enum column {
    COL_SEQ,
    COL_ID,
    COL_TYPE,
    COL_AGG_TYPE,
    COL_AGG_ID,
    COL_VERSION,
    COL_OCCURRED,
    COL_PAYLOAD,
    COL_HEADERS,
    COL_COUNT
};

struct event_scratch {
    json_t *document;
    char *texts[EVENT_MAX_HEADERS]; /* JSON text of values that are no strings */
    size_t n_texts;
    struct rider_header headers[EVENT_MAX_HEADERS];
};

struct event_scratch *event_scratch_create(void)
{
    return calloc(1, sizeof(struct event_scratch));
}

static void forget(struct event_scratch *s)
{
    if (s->document == NULL) {
        return;
    }
    json_decref(s->document);
    s->document = NULL;
    while (s->n_texts > 0) {
        free(s->texts[--s->n_texts]);
    }
}

void event_scratch_destroy(struct event_scratch *s)
{
    if (s != NULL) {
        forget(s);
        free(s);
    }
}

int64_t event_decode_int(const PGresult *res, int r, int column)
{
    const char *raw = PQgetvalue(res, r, column);
    int len = PQgetlength(res, r, column); /* 0 for NULL */
    uint64_t wide = 0;
    uint32_t narrow = 0;

    if (len == (int)sizeof(wide)) {
        memcpy(&wide, raw, sizeof(wide));
        return (int64_t)be64toh(wide);
    }
    if (len == (int)sizeof(narrow)) {
        memcpy(&narrow, raw, sizeof(narrow));
        return (int32_t)be32toh(narrow);
    }
    return 0;
}

static struct rider_bytes bytes_at(const PGresult *res, int r, int column)
{
    return (struct rider_bytes){PQgetvalue(res, r, column),
                                (size_t)PQgetlength(res, r, column)};
}

static void format_uuid(const unsigned char *raw, char out[EVENT_ID_LEN + 1])
{
    static const char hex[] = "0123456789abcdef";
    char *p = out;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *p++ = '-';
        }
        *p++ = hex[raw[i] >> 4];
        *p++ = hex[raw[i] & 15];
    }
    *p = '\0';
}

static struct rider_bytes header_value(struct event_scratch *s, json_t *value)
{
    if (json_is_string(value)) {
        return (struct rider_bytes){json_string_value(value),
                                    json_string_length(value)};
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text == NULL) {
        return (struct rider_bytes){"", 0};
    }
    s->texts[s->n_texts++] = text;
    return (struct rider_bytes){text, strlen(text)};
}

static void decode_headers(struct event_scratch *s, struct rider_bytes text,
                           struct event_row *ret)
{
    const char *name;
    json_t *value;
    size_t n = 0;

    s->document = json_loadb(text.data, text.len, 0, NULL);
    if (!json_is_object(s->document)) {
        return; /* the table allows objects only */
    }
    json_object_foreach(s->document, name, value)
    {
        if (n == EVENT_MAX_HEADERS) {
            break;
        }
        s->headers[n].name = (struct rider_bytes){name, strlen(name)};
        s->headers[n].value = header_value(s, value);
        n++;
    }
    ret->headers = s->headers;
    ret->n_headers = n;
}

static bool shape_is_right(const PGresult *res, int r)
{
    return PQnfields(res) >= COL_COUNT && PQgetlength(res, r, COL_SEQ) == 8 &&
           PQgetlength(res, r, COL_ID) == 16 && PQgetlength(res, r, COL_VERSION) == 4 &&
           PQgetlength(res, r, COL_OCCURRED) == 8;
}

int event_decode(const PGresult *res, int r, struct event_scratch *scratch,
                 struct event_row *ret, struct rider_error *err)
{
    forget(scratch);
    if (!shape_is_right(res, r)) {
        return rider_fail(err, RIDER_E_PROTOCOL,
                          "the database sent rows that are no events");
    }
    *ret = (struct event_row){
        .seq = event_decode_int(res, r, COL_SEQ),
        .version = (int32_t)event_decode_int(res, r, COL_VERSION),
        .occurred_at_us = event_decode_int(res, r, COL_OCCURRED) + POSTGRES_EPOCH_US,
        .type = bytes_at(res, r, COL_TYPE),
        .aggregate_type = bytes_at(res, r, COL_AGG_TYPE),
        .aggregate_id = bytes_at(res, r, COL_AGG_ID),
        .payload = bytes_at(res, r, COL_PAYLOAD),
    };
    format_uuid((const unsigned char *)PQgetvalue(res, r, COL_ID), ret->id);
    if (!PQgetisnull(res, r, COL_HEADERS)) {
        decode_headers(scratch, bytes_at(res, r, COL_HEADERS), ret);
    }
    return 0;
}
