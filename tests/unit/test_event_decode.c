/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_event_decode.c - rows of a binary result, good and bad.
 */
#include "outbox/event_decode.h"

#include "base/buf.h"
#include "base/cleanup.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COLUMNS 9

RIDER_DEFINE_PTR_CLEANUP(struct event_scratch, event_scratch_destroy);
RIDER_DEFINE_PTR_CLEANUP(PGresult, PQclear);

struct cell {
    const char *data; /* NULL: SQL null */
    int len;
};

static const char id_bytes[] = "\x01\x92\xf1\xe0\x7c\x1a\x7b\x3e"
                               "\x9d\x55\x0a\x1b\x2c\x3d\x4e\x5f";

/* One event: seq, id, type, aggregate type and id, version, occurred, payload,
 * headers. */
static const struct cell good[COLUMNS] = {
    {"\0\0\0\0\x80\0\0\x01", 8},
    {id_bytes, 16},
    {"TASK", 4},
    {"task", 4},
    {"42", 2},
    {"\0\0\0\x03", 4},
    {"\0\x02\xb5\x4c\x76\x5b\xca\x40", 8},
    {"{\"a\": 1}", 8},
    {NULL, -1},
};

static PGresult *make(const struct cell *cells, int n)
{
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc columns[COLUMNS + 2];
    char name[] = "column";

    assert_non_null(res);
    for (int i = 0; i < n; i++) {
        columns[i] = (PGresAttDesc){.name = name, .format = 1};
    }
    assert_int_equal(PQsetResultAttrs(res, n, columns), 1);
    for (int i = 0; i < n; i++) {
        char *copy = cells[i].data == NULL ? NULL : malloc((size_t)cells[i].len + 1);
        if (copy != NULL) {
            memcpy(copy, cells[i].data, (size_t)cells[i].len);
        }
        assert_int_equal(PQsetvalue(res, 0, i, copy, cells[i].len), 1);
        free(copy);
    }
    return res;
}

static void assert_text(struct rider_bytes got, const char *expected)
{
    assert_int_equal(got.len, strlen(expected));
    assert_memory_equal(got.data, expected, got.len);
}

static void an_event_is_decoded(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(event_scratch_destroy)
    struct event_scratch *s = event_scratch_create();
    RIDER_CLEANUP_PTR(PQclear) PGresult *res = make(good, COLUMNS);
    struct event_row row;
    struct rider_error err;

    assert_int_equal(event_decode(res, 0, s, &row, &err), 0);
    assert_int_equal(row.seq, INT64_C(0x80000001));
    assert_string_equal(row.id, "0192f1e0-7c1a-7b3e-9d55-0a1b2c3d4e5f");
    assert_text(row.type, "TASK");
    assert_text(row.aggregate_type, "task");
    assert_text(row.aggregate_id, "42");
    assert_int_equal(row.version, 3);
    assert_int_equal(row.occurred_at_us,
                     INT64_C(0x0002b54c765bca40) + INT64_C(946684800000000));
    assert_text(row.payload, "{\"a\": 1}");
    assert_int_equal(row.n_headers, 0);
    assert_int_equal(row.attempts, 0);
    assert_int_equal(row.subscription, 0);
}

struct mistake {
    int column, len;
};

static void a_column_of_another_length_is_refused(void **state)
{
    (void)state;
    static const struct mistake mistakes[] = {
        {0, 4}, {0, 0}, {0, -1}, {1, 15}, {1, 36}, {1, -1},
        {5, 8}, {5, 2}, {5, -1}, {6, 4},  {6, -1},
    };
    static const char zeros[64];
    RIDER_CLEANUP_PTR(event_scratch_destroy)
    struct event_scratch *s = event_scratch_create();

    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        struct cell cells[COLUMNS];
        memcpy(cells, good, sizeof(cells));
        cells[mistakes[i].column] =
            (struct cell){mistakes[i].len < 0 ? NULL : zeros, mistakes[i].len};
        RIDER_CLEANUP_PTR(PQclear) PGresult *res = make(cells, COLUMNS);
        struct event_row row;
        struct rider_error err;
        assert_int_equal(event_decode(res, 0, s, &row, &err), RIDER_E_PROTOCOL);
        assert_non_null(strstr(err.text, "no events"));
    }
}

static void fewer_columns_are_refused_and_more_ignored(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(event_scratch_destroy)
    struct event_scratch *s = event_scratch_create();
    struct cell cells[COLUMNS + 2];
    struct event_row row;
    struct rider_error err;

    memcpy(cells, good, sizeof(good));
    cells[COLUMNS] = cells[COLUMNS + 1] = (struct cell){"x", 1};
    for (int n = 1; n <= COLUMNS + 2; n++) {
        RIDER_CLEANUP_PTR(PQclear) PGresult *res = make(cells, n);
        assert_int_equal(event_decode(res, 0, s, &row, &err),
                         n < COLUMNS ? RIDER_E_PROTOCOL : 0);
    }
}

static PGresult *with_headers(const char *json)
{
    struct cell cells[COLUMNS];

    memcpy(cells, good, sizeof(cells));
    cells[COLUMNS - 1] = (struct cell){json, (int)strlen(json)};
    return make(cells, COLUMNS);
}

static void headers_of_every_kind(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(event_scratch_destroy)
    struct event_scratch *s = event_scratch_create();
    RIDER_CLEANUP_PTR(PQclear)
    PGresult *res =
        with_headers("{\"s\":\"te\\u00e9xt\",\"e\":\"\",\"n\":12,\"t\":true,\"z\":null,"
                     "\"o\":{\"a\":[1, 2]}}");
    static const char *const expected[][2] = {
        {"s", "te\xc3\xa9xt"}, {"e", ""},     {"n", "12"},
        {"t", "true"},         {"z", "null"}, {"o", "{\"a\":[1,2]}"},
    };
    struct event_row row;
    struct rider_error err;

    for (int again = 0; again < 3; again++) { /* the scratch is used anew */
        assert_int_equal(event_decode(res, 0, s, &row, &err), 0);
        assert_int_equal(row.n_headers, 6);
        for (size_t i = 0; i < 6; i++) {
            assert_text(row.headers[i].name, expected[i][0]);
            assert_text(row.headers[i].value, expected[i][1]);
        }
    }
}

static void headers_that_are_no_object_are_none(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "[]", "\"x\"", "1", "", "{", "{\"a\":\"\\u0000\"}", "{}"};
    RIDER_CLEANUP_PTR(event_scratch_destroy)
    struct event_scratch *s = event_scratch_create();

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        RIDER_CLEANUP_PTR(PQclear) PGresult *res = with_headers(texts[i]);
        struct event_row row;
        struct rider_error err;
        assert_int_equal(event_decode(res, 0, s, &row, &err), 0);
        assert_int_equal(row.n_headers, 0);
    }
}

static void too_many_headers_are_cut(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(event_scratch_destroy)
    struct event_scratch *s = event_scratch_create();
    RIDER_CLEANUP(buf_done) struct buf json = buf_make(4096);
    struct event_row row;
    struct rider_error err;

    for (int i = 0; i < EVENT_MAX_HEADERS + 10; i++) {
        buf_printf(&json, "%c\"h%d\":%d", i == 0 ? '{' : ',', i, i);
    }
    buf_putc(&json, '}');
    RIDER_CLEANUP_PTR(PQclear) PGresult *res = with_headers(buf_text(&json));
    assert_int_equal(event_decode(res, 0, s, &row, &err), 0);
    assert_int_equal(row.n_headers, EVENT_MAX_HEADERS);
    assert_text(row.headers[EVENT_MAX_HEADERS - 1].value, "63");
}

static void integers_of_both_sizes(void **state)
{
    (void)state;
    const struct cell cells[] = {
        {"\xff\xff\xff\xff\xff\xff\xff\xfe", 8},
        {"\xff\xff\xff\xfd", 4},
        {"\x7f\xff\xff\xff\xff\xff\xff\xff", 8},
        {NULL, -1},
        {"\0\x07", 2},
        {"", 0},
    };
    static const int64_t expected[] = {-2, -3, INT64_MAX, 0, 0, 0};
    RIDER_CLEANUP_PTR(PQclear) PGresult *res = make(cells, 6);

    for (int i = 0; i < 6; i++) {
        assert_true(event_decode_int(res, 0, i) == expected[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_decoded),
        cmocka_unit_test(a_column_of_another_length_is_refused),
        cmocka_unit_test(fewer_columns_are_refused_and_more_ignored),
        cmocka_unit_test(headers_of_every_kind),
        cmocka_unit_test(headers_that_are_no_object_are_none),
        cmocka_unit_test(too_many_headers_are_cut),
        cmocka_unit_test(integers_of_both_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
