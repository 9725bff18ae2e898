/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sub_table.c - subscriptions are found by number, and stay where they are.
 */
#include "dispatch/sub_table.h"

#include "base/cleanup.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MANY 5000

RIDER_DEFINE_PTR_CLEANUP(struct sub_table, sub_table_destroy);

static const struct pace_limits limits = {.max_in_flight = 7};

/* Numbers that share their low bits. */
static int64_t number_of(size_t i)
{
    return (int64_t)i * 4096 + 1;
}

static struct sub *add(struct sub_table *t, int64_t number)
{
    struct pace pace = pace_make(&limits, 100, 1000, 0);
    struct sub *s = sub_table_add(t, number, &pace);

    assert_non_null(s);
    return s;
}

static void each_is_found_and_stays(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(sub_table_destroy) struct sub_table *t = sub_table_create();
    struct sub *seen[MANY];

    for (size_t i = 0; i < MANY; i++) {
        assert_null(sub_table_find(t, number_of(i)));
        seen[i] = add(t, number_of(i));
    }
    assert_int_equal(sub_table_count(t), MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_ptr_equal(sub_table_find(t, number_of(i)), seen[i]);
        assert_ptr_equal(sub_table_at(t, i), seen[i]);
        assert_int_equal(seen[i]->number, number_of(i));
    }
    assert_null(sub_table_find(t, 2));
    assert_null(sub_table_find(t, INT64_MAX));
}

static void a_new_one_has_nothing_to_do(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(sub_table_destroy) struct sub_table *t = sub_table_create();
    struct sub *s = add(t, 3);

    assert_int_equal(s->pace.limits.max_in_flight, 7);
    assert_true(LIST_EMPTY(&s->open));
    assert_false(s->pending);
    assert_true(s->retry_at_ms == UINT64_MAX);
    assert_false(s->touched);
}

static void a_cleared_table_starts_anew(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(sub_table_destroy) struct sub_table *t = sub_table_create();

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 300; i++) {
            add(t, number_of(i))->pending = true;
        }
        sub_table_clear(t);
        assert_int_equal(sub_table_count(t), 0);
        for (size_t i = 0; i < 300; i++) {
            assert_null(sub_table_find(t, number_of(i)));
        }
    }
    assert_false(add(t, number_of(1))->pending);
}

static void what_is_removed_is_gone_and_nothing_else(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(sub_table_destroy) struct sub_table *t = sub_table_create();

    for (size_t i = 0; i < MANY; i++) {
        (void)add(t, number_of(i));
    }
    for (size_t i = MANY; i > 0; i--) {
        if (sub_table_at(t, i - 1)->number % 3 != 0) {
            sub_table_remove(t, i - 1);
        }
    }
    size_t left = 0;
    for (size_t i = 0; i < MANY; i++) {
        const struct sub *s = sub_table_find(t, number_of(i));
        assert_int_equal(s != NULL, number_of(i) % 3 == 0);
        left += s != NULL;
    }
    assert_int_equal(sub_table_count(t), left);
    for (size_t i = 0; i < left; i++) {
        assert_int_equal(sub_table_at(t, i)->number % 3, 0);
    }
    assert_non_null(add(t, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_found_and_stays),
        cmocka_unit_test(a_new_one_has_nothing_to_do),
        cmocka_unit_test(a_cleared_table_starts_anew),
        cmocka_unit_test(what_is_removed_is_gone_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
