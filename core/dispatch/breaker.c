/* SPDX-License-Identifier: Apache-2.0 */
/*
 * breaker.c - stops sending to a destination that cannot take events.
 */
#include "dispatch/breaker.h"

struct breaker breaker_make(size_t limit, uint64_t initial_ms, uint64_t max_ms)
{
    return (struct breaker){
        .state = BREAKER_CLOSED,
        .ramp = limit,
        .limit = limit,
        .initial_ms = initial_ms,
        .max_ms = max_ms,
    };
}

size_t breaker_allows(struct breaker *b, uint64_t now_ms)
{
    if (b->state == BREAKER_OPEN && now_ms >= b->retry_at_ms) {
        b->state = BREAKER_HALF_OPEN;
    }
    switch (b->state) {
    case BREAKER_OPEN:
        return 0;
    case BREAKER_HALF_OPEN:
        return 1;
    case BREAKER_CLOSED:
        break;
    }
    return b->ramp;
}

static void close_or_ramp(struct breaker *b, size_t grow_by)
{
    if (b->state != BREAKER_CLOSED) {
        b->state = BREAKER_CLOSED;
        b->ramp = 1;
    }
    b->trips = 0;
    /* One more per success: the window doubles with every round trip. */
    b->ramp = grow_by >= b->limit - b->ramp ? b->limit : b->ramp + grow_by;
}

void breaker_success(struct breaker *b, size_t n)
{
    b->streak = 0;
    if (b->state != BREAKER_CLOSED || b->ramp < b->limit) {
        close_or_ramp(b, n);
    }
}

static void open_now(struct breaker *b, struct prng *g, uint64_t now_ms, uint32_t cause,
                     uint64_t floor_ms)
{
    b->trips++;
    uint64_t delay = backoff_ms(g, b->initial_ms, b->max_ms, b->trips);

    b->state = BREAKER_OPEN;
    b->retry_at_ms = now_ms + (delay > floor_ms ? delay : floor_ms);
    b->cause = cause;
    b->streak = 0;
    b->ramp = 1;
}

void breaker_unavailable(struct breaker *b, struct prng *g, uint64_t now_ms,
                         uint32_t cause, uint64_t retry_after_ms)
{
    if (b->state == BREAKER_OPEN) {
        /* Deliveries that were out when it opened: only a later floor counts. */
        if (now_ms + retry_after_ms > b->retry_at_ms) {
            b->retry_at_ms = now_ms + retry_after_ms;
        }
        return;
    }
    open_now(b, g, now_ms, cause, retry_after_ms);
}

void breaker_event_failed(struct breaker *b, struct prng *g, uint64_t now_ms,
                          uint32_t cause, uint32_t limit)
{
    if (b->state == BREAKER_OPEN) {
        return;
    }
    if (b->state == BREAKER_HALF_OPEN && limit == BREAKER_UNROUTABLE &&
        cause != b->cause) {
        close_or_ramp(b, 1); /* it answers again, about the address */
        return;
    }
    b->streak++;
    if (b->state == BREAKER_HALF_OPEN || b->streak >= limit) {
        open_now(b, g, now_ms, cause, 0);
    }
}
