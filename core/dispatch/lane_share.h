/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_share.h - which process should carry which lane.
 *
 * Every process computes the same answer from the same rows, so nobody has to
 * lead: each lane goes to a member that is configured for its destination, the
 * counts of members differ by as little as that allows, and a lane stays where
 * it is unless moving it makes the counts more even. Leases decide who may
 * really send; a wrong answer here costs time only.
 * Pure, any thread.
 */
#ifndef DISPATCH_LANE_SHARE_H
#define DISPATCH_LANE_SHARE_H

#include <stdbool.h>
#include <stddef.h>

#define LANE_SHARE_NOBODY ((size_t)-1)

/** One lane; `owner` and `ret_member` are indexes of members, or NOBODY. */
struct lane_share {
    size_t owner;      /* whose lease is valid now */
    size_t ret_member; /* who should have it */
};

/** Whether member `member` can carry lane `lane`. */
typedef bool lane_share_can_fn(void *arg, size_t member, size_t lane);

/** Fills ret_member of every lane. Members and lanes are in an order that all
 *  processes share. */
void lane_share_assign(struct lane_share *lanes, size_t n_lanes, size_t n_members,
                       lane_share_can_fn *can, void *arg);

#endif
