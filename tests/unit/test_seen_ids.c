/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_seen_ids.c - the newest N ids are known, older ones are forgotten, and
 * the chains survive that.
 */
#include "receiver/seen_ids.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const char *name(int i, char out[16])
{
    (void)snprintf(out, 16, "id-%d", i);
    return out;
}

static void exactly_the_newest_are_known(void **state)
{
    (void)state;
    enum { CAPACITY = 7, ALL = 500 };
    RIDER_CLEANUP_PTR(seen_ids_destroy) struct seen_ids *seen = NULL;
    struct rider_error err;
    char text[16];

    assert_int_equal(seen_ids_create(CAPACITY, &seen, &err), 0);
    for (int i = 0; i < ALL; i++) {
        assert_false(seen_ids_contains(seen, name(i, text)));
        assert_int_equal(seen_ids_add(seen, name(i, text), &err), 0);
        for (int j = 0; j <= i; j++) {
            assert_int_equal(seen_ids_contains(seen, name(j, text)), j > i - CAPACITY);
        }
    }
}

static void one_slot_is_enough(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(seen_ids_destroy) struct seen_ids *seen = NULL;
    struct rider_error err;

    assert_int_equal(seen_ids_create(1, &seen, &err), 0);
    assert_int_equal(seen_ids_add(seen, "a", &err), 0);
    assert_int_equal(seen_ids_add(seen, "b", &err), 0);
    assert_false(seen_ids_contains(seen, "a"));
    assert_true(seen_ids_contains(seen, "b"));
}

static void the_capacity_is_bounded(void **state)
{
    (void)state;
    struct seen_ids *seen = NULL;
    struct rider_error err;

    assert_int_equal(seen_ids_create(0, &seen, &err), RIDER_E_CONFIG);
    assert_int_equal(seen_ids_create(SIZE_MAX, &seen, &err), RIDER_E_CONFIG);
    assert_null(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_newest_are_known),
        cmocka_unit_test(one_slot_is_enough),
        cmocka_unit_test(the_capacity_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
