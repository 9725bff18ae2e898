/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_share.c - which process should carry which lane.
 *
 * Lanes start with their owner; ownerless ones go, one by one, to the able
 * member with the fewest. Then lanes move from a fuller member to an able one
 * that has at least two fewer, until no such move is left: every move makes
 * the counts more even, so it ends.
 */
#include "dispatch/lane_share.h"

static size_t count_of(const struct lane_share *lanes, size_t n, size_t member)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        count += lanes[i].ret_member == member;
    }
    return count;
}

/* The able member with the fewest lanes; the first of equals. */
static size_t emptiest(const struct lane_share *lanes, size_t n_lanes, size_t n_members,
                       size_t lane, lane_share_can_fn *can, void *arg)
{
    size_t best = LANE_SHARE_NOBODY;
    size_t best_count = 0;

    for (size_t m = 0; m < n_members; m++) {
        size_t count = count_of(lanes, n_lanes, m);
        if (can(arg, m, lane) && (best == LANE_SHARE_NOBODY || count < best_count)) {
            best = m;
            best_count = count;
        }
    }
    return best;
}

static bool move_one(struct lane_share *lanes, size_t n_lanes, size_t n_members,
                     lane_share_can_fn *can, void *arg)
{
    for (size_t i = 0; i < n_lanes; i++) {
        size_t from = lanes[i].ret_member;
        size_t to = emptiest(lanes, n_lanes, n_members, i, can, arg);
        if (from != LANE_SHARE_NOBODY && to != LANE_SHARE_NOBODY &&
            count_of(lanes, n_lanes, from) > count_of(lanes, n_lanes, to) + 1) {
            lanes[i].ret_member = to;
            return true;
        }
    }
    return false;
}

void lane_share_assign(struct lane_share *lanes, size_t n_lanes, size_t n_members,
                       lane_share_can_fn *can, void *arg)
{
    for (size_t i = 0; i < n_lanes; i++) {
        size_t owner = lanes[i].owner;
        bool stays = owner < n_members && can(arg, owner, i);
        lanes[i].ret_member = stays ? owner : LANE_SHARE_NOBODY;
    }
    for (size_t i = 0; i < n_lanes; i++) {
        if (lanes[i].ret_member == LANE_SHARE_NOBODY) {
            lanes[i].ret_member = emptiest(lanes, n_lanes, n_members, i, can, arg);
        }
    }
    while (move_one(lanes, n_lanes, n_members, can, arg)) {
    }
}
