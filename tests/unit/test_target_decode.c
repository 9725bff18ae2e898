/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_target_decode.c - where a delivery goes, from a row: its secrets open in the row
 * that they were sealed for, and nowhere else.
 */
#include "outbox/target_decode.h"

#include "base/cleanup.h"
#include "outbox/secret_store.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#define COLUMNS 16
#define KEY_A   "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B   "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
#define PLAIN   "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define LEN     (sizeof(PLAIN) - 1)
#define SEALED  (LEN + KEY_RING_OVERHEAD)

RIDER_DEFINE_PTR_CLEANUP(PGresult, PQclear);
RIDER_DEFINE_PTR_CLEANUP(struct target_scratch, target_scratch_destroy);

struct cell {
    const char *data; /* NULL: SQL null */
    int len;
};

/* An entry as a row has it, sealed by the rules of who writes secrets. */
static void seal(const struct key_ring *ring, const char *subscription, const char *id,
                 char out[512])
{
    char context[SECRET_CONTEXT_SIZE];
    unsigned char sealed[SEALED];
    int n = snprintf(out, 512, "%s:%u:", id, key_ring_current(ring));

    secret_context(subscription, id, context);
    assert_int_equal(key_ring_seal(ring, context, PLAIN, LEN, sealed, NULL), 0);
    for (size_t i = 0; i < SEALED; i++) {
        n += snprintf(out + n, 512 - (size_t)n, "%02x", sealed[i]);
    }
}

static PGresult *make(const char *subscription, const char *secrets)
{
    const struct cell cells[COLUMNS] = {
        {"\0\0\0\0\0\0\0\x07", 8}, /* subscription */
        {"\0\0\0\x02", 4},         /* attempts */
        {"\0\0\0\x01", 4},         /* setbacks */
        {"\0\0\0\0", 4},           /* asked */
        {"schedule", 8},
        {"\0\0\0\0\0\0\0\x05", 8}, /* failed at */
        {subscription, (int)strlen(subscription)},
        {"https://a.example/", 18},
        {secrets, secrets == NULL ? -1 : (int)strlen(secrets)},
        {"{\"x-a\": \"1\"}", 12},
        {"\0\0\x0b\xb8", 4}, /* timeout */
        {"\x01", 1},         /* keep the response */
        {"5,300", 5},
        {NULL, -1},
        {NULL, -1},
        {"\0", 1}, /* v1a */
    };
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    PGresAttDesc columns[COLUMNS];
    char name[] = "column";

    assert_non_null(res);
    for (int i = 0; i < COLUMNS; i++) {
        columns[i] = (PGresAttDesc){.name = name, .format = 1};
    }
    assert_int_equal(PQsetResultAttrs(res, COLUMNS, columns), 1);
    for (int i = 0; i < COLUMNS; i++) {
        char *copy = cells[i].data == NULL ? NULL : malloc((size_t)cells[i].len + 1);
        if (copy != NULL && cells[i].len > 0) {
            memcpy(copy, cells[i].data, (size_t)cells[i].len);
        }
        assert_int_equal(PQsetvalue(res, 0, i, copy, cells[i].len), 1);
        free(copy);
    }
    return res;
}

static struct key_ring *ring_of(const char *text)
{
    char path[] = "/tmp/target_decode.XXXXXX";
    struct key_ring *ring = NULL;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
    assert_int_equal(key_ring_read(path, &ring, NULL), 0);
    assert_int_equal(unlink(path), 0);
    return ring;
}

static int set_up(void **state)
{
    *state = ring_of("1 " KEY_A "\n2 " KEY_B "\ncurrent 1\n");
    return 0;
}

static int tear_down(void **state)
{
    key_ring_destroy(*state);
    return 0;
}

/* What is said of a row of `subscription` with these secrets; NULL: all is well. */
static const char *problem_of(const struct key_ring *ring, const char *subscription,
                              const char *secrets)
{
    RIDER_CLEANUP_PTR(target_scratch_destroy)
    struct target_scratch *s = target_scratch_create(ring, NULL);
    RIDER_CLEANUP_PTR(PQclear) PGresult *res = make(subscription, secrets);
    struct event_row row = {.seq = 1};

    assert_true(target_decode(res, 0, 0, s, &row));
    const struct rider_target *target = &row.to->target;
    assert_int_equal(row.subscription, 7);
    assert_int_equal(target->id.len, strlen(subscription));
    for (uint32_t i = 0; row.to->problem == NULL && i < target->n_secrets; i++) {
        assert_int_equal(target->secrets[i].len, LEN);
        assert_memory_equal(target->secrets[i].data, PLAIN, LEN);
    }
    return row.to->problem;
}

static void a_row_is_decoded(void **state)
{
    RIDER_CLEANUP_PTR(target_scratch_destroy)
    struct target_scratch *s = target_scratch_create(*state, NULL);
    char secrets[512];
    struct event_row row = {.seq = 1};

    seal(*state, "sub_1", "key_1", secrets);
    RIDER_CLEANUP_PTR(PQclear) PGresult *res = make("sub_1", secrets);
    assert_true(target_decode(res, 0, 0, s, &row));
    assert_null(row.to->problem);
    assert_int_equal(row.attempts, 2);
    assert_int_equal(row.progress.setbacks, 1);
    assert_int_equal(row.progress.failed_at_us, 5);
    assert_string_equal(row.progress.trigger, "schedule");
    assert_int_equal(row.to->target.timeout_ms, 3000);
    assert_int_equal(row.to->target.n_headers, 1);
    assert_int_equal(row.to->n_schedule, 2);
    assert_int_equal(row.to->schedule_s[1], 300);
    assert_int_equal(row.to->target.n_secrets, 1);
}

static void secrets_open_in_their_own_row_only(void **state)
{
    char one[512];
    char other[512];
    char both[1100];

    seal(*state, "sub_1", "key_1", one);
    seal(*state, "sub_1", "key_2", other);
    (void)snprintf(both, sizeof(both), "%s,%s", one, other);
    assert_null(problem_of(*state, "sub_1", one));
    assert_null(problem_of(*state, "sub_1", both));
    /* Moved to another subscription. */
    assert_non_null(problem_of(*state, "sub_2", one));
    assert_non_null(problem_of(*state, "sub_", one));
    /* Put in the place of another secret of the same one. */
    one[strlen("key_")] = '2';
    assert_non_null(problem_of(*state, "sub_1", one));
    one[strlen("key_")] = '1';
    /* Said to be sealed with another key. */
    one[strlen("key_1:")] = '2';
    assert_non_null(problem_of(*state, "sub_1", one));
    one[strlen("key_1:")] = '1';
    /* One that does not open spoils them all. */
    both[strlen(both) - 1] = both[strlen(both) - 1] == '0' ? '1' : '0';
    assert_non_null(problem_of(*state, "sub_1", both));
    assert_null(problem_of(*state, "sub_1", one));
}

static void what_is_no_secret_is_named(void **state)
{
    static const char *const bad[] = {"",           "key_1",       "key_1:1",
                                      "key_1:1:",   "key_1:1:zz",  "key_1:1:abc",
                                      "key_1:1:ab", "key_1:9:abcd"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_non_null(problem_of(*state, "sub_1", bad[i]));
    }
    assert_non_null(problem_of(NULL, "sub_1", "key_1:1:abcd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_row_is_decoded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(secrets_open_in_their_own_row_only, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_secret_is_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
