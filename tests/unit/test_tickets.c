/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_tickets.c - a ticket opens one door once.
 */
#include "dispatch/tickets.h"

#include "base/backoff.h"
#include "base/cleanup.h"
#include "dispatch/delivery.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

RIDER_DEFINE_PTR_CLEANUP(struct tickets, tickets_destroy);

static void a_ticket_is_good_once(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(tickets_destroy) struct tickets *t = tickets_create(2);
    struct delivery d[3];
    uint64_t first = tickets_open(t, &d[0]);
    uint64_t second = tickets_open(t, &d[1]);

    assert_true(first != 0 && second != 0 && first != second);
    assert_int_equal(tickets_open(t, &d[2]), 0); /* all are taken */
    assert_int_equal(tickets_count(t), 2);
    assert_ptr_equal(tickets_close(t, first), &d[0]);
    assert_null(tickets_close(t, first));
    uint64_t third = tickets_open(t, &d[2]);
    assert_true(third != first); /* the same slot, another generation */
    assert_null(tickets_close(t, first));
    assert_ptr_equal(tickets_close(t, third), &d[2]);
    assert_ptr_equal(tickets_close(t, second), &d[1]);
    assert_int_equal(tickets_count(t), 0);
}

static void made_up_tickets_find_nothing(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(tickets_destroy) struct tickets *t = tickets_create(3);
    struct delivery d;
    uint64_t ticket = tickets_open(t, &d);
    const uint64_t wrong[] = {
        0, 1, 3, 4, UINT64_MAX, ticket + 1, ticket + 3, ticket ^ (UINT64_C(1) << 32)};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_null(tickets_close(t, wrong[i]));
    }
    assert_int_equal(tickets_count(t), 1);
    assert_ptr_equal(tickets_close(t, ticket), &d);
}

static void open_and_closed_in_any_order(void **state)
{
    (void)state;
    struct prng g = prng_make(4);
    RIDER_CLEANUP_PTR(tickets_destroy) struct tickets *t = tickets_create(50);
    struct delivery d[50];
    uint64_t open[50] = {0};
    size_t n = 0;

    for (int i = 0; i < 20000; i++) {
        size_t k = (size_t)prng_below(&g, 50);
        if (open[k] == 0) {
            open[k] = tickets_open(t, &d[k]);
            assert_true(open[k] != 0);
            n++;
        } else {
            assert_ptr_equal(tickets_close(t, open[k]), &d[k]);
            assert_null(tickets_close(t, open[k]));
            open[k] = 0;
            n--;
        }
        assert_int_equal(tickets_count(t), n);
    }
}

static void no_room_at_all(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(tickets_destroy) struct tickets *t = tickets_create(0);
    struct delivery d;

    assert_int_equal(tickets_open(t, &d), 0);
    assert_null(tickets_close(t, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_is_good_once),
        cmocka_unit_test(made_up_tickets_find_nothing),
        cmocka_unit_test(open_and_closed_in_any_order),
        cmocka_unit_test(no_room_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
