/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace.h - how fast one subscription's endpoint is sent to.
 *
 * Three limits, of which the tightest holds: the breaker (an endpoint that cannot
 * take events is left alone, then probed, then ramped up), deliveries in flight, and
 * a token bucket. The bucket's rate is the subscription's own, and lower while the
 * endpoint says that it is overloaded: halved at each such answer, raised a little
 * with each success, until it is no limit any more (additive increase,
 * multiplicative decrease).
 * Pure but for the generator. Thread: the lane's.
 */
#ifndef DISPATCH_PACE_H
#define DISPATCH_PACE_H

#include "dispatch/breaker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What a subscription's owner asked for. */
struct pace_limits {
    size_t max_in_flight;
    double rate;  /* deliveries a second; 0: no limit */
    double burst; /* that may go at once; 0: a second's worth, at least one */
};

struct pace {
    struct pace_limits limits;
    struct breaker breaker;
    size_t in_flight;
    double tokens;
    uint64_t filled_ms; /* when `tokens` was right */
    double lowered;     /* rate while the endpoint is overloaded; 0: it is not */
    uint64_t sample_ms; /* the successes below are since then */
    uint64_t successes;
};

struct pace pace_make(const struct pace_limits *limits, uint64_t initial_ms,
                      uint64_t max_ms, uint64_t now_ms);

/** Takes changed limits; what is known of the endpoint stays. */
void pace_set_limits(struct pace *p, const struct pace_limits *limits);

/** How many more deliveries may be sent now. */
size_t pace_allows(struct pace *p, uint64_t now_ms);

/** When pace_allows() may be more than 0 without a completion; UINT64_MAX: only
 *  after one. */
uint64_t pace_next_ms(const struct pace *p, uint64_t now_ms);

/** It is as a new one would be. */
bool pace_is_at_rest(struct pace *p, uint64_t now_ms);

void pace_sent(struct pace *p, uint64_t now_ms);
/** Every delivery that was sent ends in one of these; `unsent` gives the place back
 *  as if it had never been taken. */
void pace_succeeded(struct pace *p, uint64_t now_ms);
/** The endpoint is unavailable; `overloaded`: it said that it gets too much. */
void pace_unavailable(struct pace *p, struct prng *g, uint64_t now_ms, uint32_t cause,
                      uint64_t retry_after_ms, bool overloaded);
/** It answered, and refused this event only. */
void pace_event_failed(struct pace *p, struct prng *g, uint64_t now_ms, uint32_t cause,
                       bool counts);
void pace_unsent(struct pace *p);

/** Nothing is sent before `until_ms`: another process has learnt so. */
void pace_hold(struct pace *p, uint64_t until_ms, uint32_t cause);

#endif
