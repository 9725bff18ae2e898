/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_router.c - which event goes to which lane.
 */
#include "dispatch/router.h"

#include "base/cleanup.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

RIDER_DEFINE_PTR_CLEANUP(struct router, router_destroy);

static struct rider_bytes text(const char *s)
{
    return (struct rider_bytes){s, strlen(s)};
}

static bool wants(struct router *r, const char *type, const char *aggregate)
{
    return router_wants(r, text(type), text(aggregate), text("1"));
}

static void any_rule_is_enough_and_a_rule_needs_both(void **state)
{
    (void)state;
    static const char *const requests[] = {"REQUEST_*", "TASK_DECIDED", NULL};
    static const char *const orders[] = {"order", NULL};
    static const char *const none[] = {NULL};
    const struct route_rule rules[] = {
        {requests, NULL}, {NULL, orders}, {requests, orders}, {none, NULL}};
    RIDER_CLEANUP_PTR(router_destroy) struct router *r = router_create(rules, 4, 0, 1);

    assert_true(wants(r, "REQUEST_SUBMITTED", "x"));
    assert_true(wants(r, "TASK_DECIDED", ""));
    assert_true(wants(r, "ANYTHING", "order"));
    assert_false(wants(r, "TASK_ASSIGNED", "x"));
    assert_false(wants(r, "TASK_ASSIGNED", "orders"));
}

static void no_rules_match_nothing_and_an_empty_rule_all(void **state)
{
    (void)state;
    const struct route_rule all = {NULL, NULL};
    RIDER_CLEANUP_PTR(router_destroy)
    struct router *nothing = router_create(NULL, 0, 0, 1);
    RIDER_CLEANUP_PTR(router_destroy)
    struct router *everything = router_create(&all, 1, 0, 1);

    assert_false(wants(nothing, "T", "a"));
    assert_true(wants(everything, "T", "a"));
    assert_true(wants(everything, "", ""));
}

static void rules_are_copied(void **state)
{
    (void)state;
    char glob[] = "ABC";
    const char *types[] = {glob, NULL};
    struct route_rule rule = {types, NULL};
    RIDER_CLEANUP_PTR(router_destroy) struct router *r = router_create(&rule, 1, 0, 1);

    memset(glob, 'x', 3);
    types[0] = NULL;
    assert_true(wants(r, "ABC", ""));
}

static void every_aggregate_falls_to_one_part(void **state)
{
    (void)state;
    const struct route_rule all = {NULL, NULL};
    struct router *parts[3];
    size_t counts[3] = {0};

    for (uint32_t p = 0; p < 3; p++) {
        parts[p] = router_create(&all, 1, p, 3);
        assert_non_null(parts[p]);
    }
    for (int i = 0; i < 3000; i++) {
        char id[16];
        int takers = 0;
        (void)snprintf(id, sizeof(id), "%d", i);
        for (size_t p = 0; p < 3; p++) {
            bool mine = router_wants(parts[p], text("T"), text("order"), text(id));
            counts[p] += mine;
            takers += mine;
        }
        assert_int_equal(takers, 1);
    }
    for (size_t p = 0; p < 3; p++) {
        assert_in_range(counts[p], 850, 1150);
        router_destroy(parts[p]);
    }
}

struct place {
    const char *type, *id;
    uint32_t part; /* of 4 */
};

/* Computed apart from the code: versions that share a database must agree. */
static void the_part_of_an_aggregate_never_changes(void **state)
{
    (void)state;
    static const struct place cases[] = {
        {"order", "1", 3},
        {"order", "2", 2},
        {"order", "3", 1},
        {"order", "4711", 3},
        {"", "", 3},
        {"request", "0192f1e0-7c1a-7b3e-9d55-0a1b2c3d4e5f", 2},
        {"a", "bc", 1},
        {"ab", "c", 0},
        {"Gr\xc3\xb6\xc3\x9f"
         "e",
         "1", 3},
    };
    const struct route_rule all = {NULL, NULL};

    for (uint32_t p = 0; p < 4; p++) {
        RIDER_CLEANUP_PTR(router_destroy)
        struct router *r = router_create(&all, 1, p, 4);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            assert_int_equal(
                router_wants(r, text("T"), text(cases[i].type), text(cases[i].id)),
                cases[i].part == p);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_rule_is_enough_and_a_rule_needs_both),
        cmocka_unit_test(no_rules_match_nothing_and_an_empty_rule_all),
        cmocka_unit_test(rules_are_copied),
        cmocka_unit_test(every_aggregate_falls_to_one_part),
        cmocka_unit_test(the_part_of_an_aggregate_never_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
