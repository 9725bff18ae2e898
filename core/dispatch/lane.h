/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane.h - carries the outbox to one destination.
 *
 * A lane is a state machine without a thread, a clock or a socket of its own:
 * whoever drives it calls lane_step() when the store had news, when the inbox
 * is readable, or when lane_deadline() has come. In the daemon that is one
 * thread per lane; in the tests it is the test.
 *
 *   window of the log -> route -> render -> key gate -> ready -> adapter
 *        ^                                                  |
 *        |                                             completion
 *        +--- settle: cursor over the done prefix, failures to outbox.delivery
 *
 * Invariants: the cursor never passes an event that is neither delivered,
 * routed nowhere, nor written to outbox.delivery in the same statement. At
 * most one delivery of a key is open (ordering: key). Nothing is sent after
 * the lease's own deadline. At most max_in_flight events are sent and not
 * settled, which bounds the duplicates of a crash.
 *
 * With subscriptions the log is expanded into rows of outbox.delivery, by the store
 * and in one transaction with the cursor; the lane then takes rows that may go, as
 * fast as each endpoint may be sent to, and writes down how they ended:
 *
 *   window of the log -> rows -> take -> ready -> adapter -> end
 */
#ifndef DISPATCH_LANE_H
#define DISPATCH_LANE_H

#include "base/error.h"
#include "dispatch/inbox.h"
#include "dispatch/lane_stats.h"
#include "dispatch/lane_store.h"
#include "postrider/publisher.h"

#include <stdbool.h>
#include <stdint.h>

/** Decides whether an event goes to this lane's destination. Lane's thread. */
typedef bool lane_route_fn(void *arg, struct rider_bytes type,
                           struct rider_bytes aggregate_type,
                           struct rider_bytes aggregate_id);

struct lane_config {
    const char *name;   /* of the destination; borrowed */
    uint32_t envelope;  /* enum rider_envelope */
    bool ordered;       /* one open delivery per key */
    bool hold_dead;     /* a dead event holds its key */
    bool subscriptions; /* each event goes to those who have asked for it */
    uint64_t retry_initial_ms, retry_max_ms;
    uint32_t max_attempts;
    size_t max_in_flight;
    size_t max_bytes;
    size_t batch; /* rows per read */
    uint64_t poll_min_ms, poll_max_ms;
    uint64_t lease_ms;
    uint64_t seed; /* of the jitter */
    lane_route_fn *route;
    void *route_arg;
};

/** What a lane works with; all borrowed, all outlive the lane. */
struct lane_ports {
    struct lane_store *store; /* its events are set by lane_create() */
    struct inbox *inbox;
    const struct publisher_vtable *vt;
    struct publisher *publisher; /* started */
    struct lane_stats *stats;
    uint64_t (*now_ms)(void *arg); /* monotonic */
    int64_t (*wall_us)(void *arg);
    void *clock_arg;
};

struct lane;

int lane_create(const struct lane_config *config, const struct lane_ports *ports,
                struct lane **ret, struct rider_error *err) RIDER_MUST_CHECK;
/** The publisher must be stopped: it may not hold borrowed events any more. */
void lane_destroy(struct lane *lane);

/** Does all that can be done now. Never blocks. */
void lane_step(struct lane *lane);

/** Monotonic time at which lane_step() is due even without news. */
uint64_t lane_deadline(const struct lane *lane);

/** Replaces the routing decision; events already in memory keep theirs. */
void lane_set_route(struct lane *lane, lane_route_fn *route, void *arg);

/** What the adapter says of its peer; shown where the lane's state is kept while
 *  nothing else explains why it stands still. RIDER_CAUSE_NONE: it is fine. */
void lane_set_health(struct lane *lane, uint32_t cause, const char *detail);

/** Whether this process should carry the lane. One that is not wanted is given
 *  back when its open deliveries have ended, and not claimed again; initially a
 *  lane is wanted. */
void lane_set_wanted(struct lane *lane, bool wanted);

/** Stops reading, and sending but for what is older than the last event sent;
 *  open deliveries go on to their end. */
void lane_drain(struct lane *lane);
/** No delivery is open with the adapter, and none has to be sent to close a gap. */
bool lane_is_quiet(struct lane *lane);
/** After lane_drain(), when the publisher is quiet or stopped: settles what is
 *  done and gives the lease back. */
void lane_release(struct lane *lane);
/** True when lane_release() has come to its end, or there was no lease. */
bool lane_is_released(const struct lane *lane);

#endif
