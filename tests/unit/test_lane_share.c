/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lane_share.c - every process computes the same even share.
 */
#include "dispatch/lane_share.h"

#include "base/backoff.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LANES   12
#define MEMBERS 5

static bool everybody(void *arg, size_t member, size_t lane)
{
    (void)arg;
    (void)member;
    (void)lane;
    return true;
}

struct ability {
    bool can[MEMBERS][LANES];
};

static bool by_table(void *arg, size_t member, size_t lane)
{
    const struct ability *a = arg;

    return a->can[member][lane];
}

static void count(const struct lane_share *lanes, size_t n, size_t counts[MEMBERS])
{
    for (size_t m = 0; m < MEMBERS; m++) {
        counts[m] = 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (lanes[i].ret_member != LANE_SHARE_NOBODY) {
            assert_true(lanes[i].ret_member < MEMBERS);
            counts[lanes[i].ret_member]++;
        }
    }
}

static void a_fresh_start_is_even(void **state)
{
    (void)state;
    for (size_t members = 1; members <= MEMBERS; members++) {
        struct lane_share lanes[LANES];
        size_t counts[MEMBERS];

        for (size_t i = 0; i < LANES; i++) {
            lanes[i].owner = LANE_SHARE_NOBODY;
        }
        lane_share_assign(lanes, LANES, members, everybody, NULL);
        count(lanes, LANES, counts);
        for (size_t m = 0; m < members; m++) {
            assert_in_range(counts[m], LANES / members,
                            (LANES + members - 1) / members);
        }
    }
}

static void an_even_share_is_left_alone(void **state)
{
    (void)state;
    struct lane_share lanes[LANES];

    for (size_t i = 0; i < LANES; i++) {
        lanes[i].owner = (i * 7) % 3;
    }
    lane_share_assign(lanes, LANES, 3, everybody, NULL);
    for (size_t i = 0; i < LANES; i++) {
        assert_int_equal(lanes[i].ret_member, lanes[i].owner);
    }
}

static void a_new_member_gets_its_part_and_no_more_moves(void **state)
{
    (void)state;
    struct lane_share lanes[LANES];
    size_t counts[MEMBERS];
    size_t moved = 0;

    for (size_t i = 0; i < LANES; i++) {
        lanes[i].owner = i % 2;
    }
    lane_share_assign(lanes, LANES, 3, everybody, NULL);
    count(lanes, LANES, counts);
    for (size_t i = 0; i < LANES; i++) {
        moved += lanes[i].ret_member != lanes[i].owner;
        assert_true(lanes[i].ret_member == lanes[i].owner || lanes[i].ret_member == 2);
    }
    assert_int_equal(moved, 4);
    assert_int_equal(counts[2], 4);
}

static void nobody_can_mean_nobody(void **state)
{
    (void)state;
    struct ability a = {.can = {{false}}};
    struct lane_share lanes[2] = {{.owner = 0}, {.owner = 77}};

    a.can[1][1] = true;
    lane_share_assign(lanes, 2, 2, by_table, &a);
    assert_int_equal(lanes[0].ret_member, LANE_SHARE_NOBODY);
    assert_int_equal(lanes[1].ret_member, 1);
    lane_share_assign(lanes, 2, 0, by_table, &a);
    assert_int_equal(lanes[1].ret_member, LANE_SHARE_NOBODY);
}

/* Whatever can be carried is carried by somebody able, the same for all; no single
 * move would make it more even; and then it stays. */
static void any_situation_settles(void **state)
{
    (void)state;
    struct prng g = prng_make(8);

    for (int round = 0; round < 3000; round++) {
        struct ability a;
        struct lane_share lanes[LANES];
        struct lane_share again[LANES];
        size_t counts[MEMBERS];
        for (size_t i = 0; i < LANES; i++) {
            lanes[i].owner = (size_t)prng_below(&g, MEMBERS + 2);
            for (size_t m = 0; m < MEMBERS; m++) {
                a.can[m][i] = prng_below(&g, 3) > 0;
            }
        }
        lane_share_assign(lanes, LANES, MEMBERS, by_table, &a);
        count(lanes, LANES, counts);
        for (size_t i = 0; i < LANES; i++) {
            size_t has = lanes[i].ret_member;
            for (size_t m = 0; m < MEMBERS; m++) {
                assert_false(has == LANE_SHARE_NOBODY && a.can[m][i]);
                assert_false(has != LANE_SHARE_NOBODY && a.can[m][i] &&
                             counts[has] > counts[m] + 1);
            }
            assert_true(has == LANE_SHARE_NOBODY || a.can[has][i]);
            again[i].owner = has;
        }
        lane_share_assign(again, LANES, MEMBERS, by_table, &a);
        for (size_t i = 0; i < LANES; i++) {
            assert_int_equal(again[i].ret_member, lanes[i].ret_member);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_start_is_even),
        cmocka_unit_test(an_even_share_is_left_alone),
        cmocka_unit_test(a_new_member_gets_its_part_and_no_more_moves),
        cmocka_unit_test(nobody_can_mean_nobody),
        cmocka_unit_test(any_situation_settles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
