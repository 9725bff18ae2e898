/* SPDX-License-Identifier: Apache-2.0 */
/*
 * breaker.h - stops sending to a destination that cannot take events.
 *
 *   CLOSED     everything may be open at once, up to the ramp
 *   OPEN       nothing is sent until the delay is over
 *   HALF_OPEN  one delivery is out as a probe
 *
  * It opens at once when the destination as a whole is unavailable, and after
 * BREAKER_STREAK failures in a row of events themselves with no success between
 * them. Events whose address is missing are many for one mistake and say little
 * about the others: it takes BREAKER_UNROUTABLE of them, which bounds how many
 * are parked when every address is wrong. After it closes, the number of open deliveries doubles from one, so
 * that a receiver that has just come back is not flattened.
 * Pure but for the generator. Thread: the lane's.
 */
#ifndef DISPATCH_BREAKER_H
#define DISPATCH_BREAKER_H

#include "base/backoff.h"

#include <stddef.h>
#include <stdint.h>

#define BREAKER_STREAK     32
#define BREAKER_UNROUTABLE 1000

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker {
    enum breaker_state state;
    uint32_t trips;       /* openings in a row without a success */
    uint32_t streak;      /* failed events in a row */
    uint64_t retry_at_ms; /* OPEN: monotonic time of the probe */
    size_t ramp;          /* how many may be open; grows to `limit` */
    size_t limit;
    uint64_t initial_ms, max_ms;
    uint32_t cause; /* enum rider_cause of the last opening */
};

struct breaker breaker_make(size_t limit, uint64_t initial_ms, uint64_t max_ms);

/** How many deliveries may be open now. Moves OPEN to HALF_OPEN when due. */
size_t breaker_allows(struct breaker *b, uint64_t now_ms);

void breaker_success(struct breaker *b, size_t n);
/** The destination is unavailable; `retry_after_ms` is a floor for the delay. */
void breaker_unavailable(struct breaker *b, struct prng *g, uint64_t now_ms,
                         uint32_t cause, uint64_t retry_after_ms);
/** An event failed by itself; `limit` of these in a row open the breaker. */
void breaker_event_failed(struct breaker *b, struct prng *g, uint64_t now_ms,
                          uint32_t cause, uint32_t limit);

#endif
