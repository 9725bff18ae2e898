/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace.c - breaker, window and token bucket of one subscription.
 */
#include "dispatch/pace.h"

#define SLOWEST    0.2   /* deliveries a second: an overloaded endpoint still hears */
#define RISE       0.5   /* added to a lowered rate by each success */
#define NO_LIMIT   200.0 /* a lowered rate that has come so far is none */
#define FIRST_RATE 20.0  /* assumed when too little was seen to measure it */

static double burst_of(const struct pace_limits *limits)
{
    double burst = limits->burst > 0 ? limits->burst : limits->rate;

    return burst < 1 ? 1 : burst;
}

struct pace pace_make(const struct pace_limits *limits, uint64_t initial_ms,
                      uint64_t max_ms, uint64_t now_ms)
{
    return (struct pace){
        .limits = *limits,
        .breaker = breaker_make(limits->max_in_flight, initial_ms, max_ms),
        .tokens = burst_of(limits),
        .filled_ms = now_ms,
        .sample_ms = now_ms,
    };
}

void pace_set_limits(struct pace *p, const struct pace_limits *limits)
{
    struct breaker *b = &p->breaker;

    /* While it is not closed the ramp is one, whatever the limit. */
    if (b->state == BREAKER_CLOSED &&
        (b->ramp == b->limit || b->ramp > limits->max_in_flight)) {
        b->ramp = limits->max_in_flight;
    }
    b->limit = limits->max_in_flight;
    p->limits = *limits;
}

/* The rate in force; 0: none. */
static double rate_of(const struct pace *p)
{
    if (p->lowered > 0 && (p->limits.rate == 0 || p->lowered < p->limits.rate)) {
        return p->lowered;
    }
    return p->limits.rate;
}

static void fill(struct pace *p, uint64_t now_ms)
{
    double most = p->lowered > 0 ? 1 : burst_of(&p->limits);

    p->tokens += rate_of(p) * (double)(now_ms - p->filled_ms) / 1000.0;
    p->tokens = p->tokens > most ? most : p->tokens;
    p->filled_ms = now_ms;
}

size_t pace_allows(struct pace *p, uint64_t now_ms)
{
    size_t window = breaker_allows(&p->breaker, now_ms);

    window = window < p->limits.max_in_flight ? window : p->limits.max_in_flight;
    if (window <= p->in_flight) {
        return 0;
    }
    window -= p->in_flight;
    if (rate_of(p) == 0) {
        return window;
    }
    fill(p, now_ms);
    if (p->tokens < 1) {
        return 0;
    }
    return p->tokens < (double)window ? (size_t)p->tokens : window;
}

uint64_t pace_next_ms(const struct pace *p, uint64_t now_ms)
{
    double rate = rate_of(p);
    size_t window = p->breaker.state == BREAKER_CLOSED ? p->breaker.ramp : 1;

    if (p->breaker.state == BREAKER_OPEN && p->breaker.retry_at_ms > now_ms) {
        return p->breaker.retry_at_ms;
    }
    if (p->in_flight >= p->limits.max_in_flight || p->in_flight >= window) {
        return UINT64_MAX;
    }
    if (rate > 0 && p->tokens < 1) {
        return p->filled_ms + (uint64_t)((1 - p->tokens) / rate * 1000.0) + 1;
    }
    return now_ms;
}

bool pace_is_at_rest(struct pace *p, uint64_t now_ms)
{
    const struct breaker *b = &p->breaker;

    if (p->in_flight > 0 || b->state != BREAKER_CLOSED || b->ramp < b->limit ||
        b->streak > 0 || p->lowered > 0) {
        return false;
    }
    fill(p, now_ms);
    return rate_of(p) == 0 || p->tokens >= burst_of(&p->limits);
}

void pace_sent(struct pace *p, uint64_t now_ms)
{
    p->in_flight++;
    if (rate_of(p) > 0) {
        fill(p, now_ms);
        p->tokens -= 1;
    }
}

static void back(struct pace *p)
{
    p->in_flight -= p->in_flight > 0;
}

void pace_unsent(struct pace *p)
{
    back(p);
    if (rate_of(p) > 0) {
        p->tokens += 1;
    }
}

/* It took something, or refused one event only. What was out when the breaker opened
 * does not close it: the endpoint has said since then when it wants to be asked. */
static void answered(struct pace *p)
{
    if (p->breaker.state != BREAKER_OPEN) {
        breaker_success(&p->breaker, 1);
    }
}

void pace_succeeded(struct pace *p, uint64_t now_ms)
{
    back(p);
    answered(p);
    p->successes++;
    if (p->lowered == 0) {
        return;
    }
    fill(p, now_ms);
    p->lowered += RISE;
    if (p->lowered >= NO_LIMIT ||
        (p->limits.rate > 0 && p->lowered >= p->limits.rate)) {
        p->lowered = 0;
    }
}

/* What the endpoint has taken a second since the last time it was asked for. */
static double measure(struct pace *p, uint64_t now_ms)
{
    uint64_t ms = now_ms - p->sample_ms;
    double rate = FIRST_RATE;

    if (ms >= 100 && p->successes > 0) {
        rate = (double)p->successes * 1000.0 / (double)ms;
    }
    p->sample_ms = now_ms;
    p->successes = 0;
    return rate;
}

static void lower(struct pace *p, uint64_t now_ms)
{
    double now = rate_of(p);
    double seen = measure(p, now_ms);
    bool limited = p->lowered > 0 || (now > 0 && now < seen);

    fill(p, now_ms);
    p->lowered = (limited ? now : seen) / 2;
    p->lowered = p->lowered < SLOWEST ? SLOWEST : p->lowered;
    p->tokens = p->tokens > 1 ? 1 : p->tokens;
}

void pace_unavailable(struct pace *p, struct prng *g, uint64_t now_ms, uint32_t cause,
                      uint64_t retry_after_ms, bool overloaded)
{
    bool first = p->breaker.state != BREAKER_OPEN;

    back(p);
    /* The answers of one burst say one thing. */
    if (overloaded && first) {
        lower(p, now_ms);
    }
    breaker_unavailable(&p->breaker, g, now_ms, cause, retry_after_ms);
}

void pace_event_failed(struct pace *p, struct prng *g, uint64_t now_ms, uint32_t cause,
                       bool counts)
{
    back(p);
    if (counts) {
        breaker_event_failed(&p->breaker, g, now_ms, cause, BREAKER_STREAK);
    } else {
        answered(p);
    }
}

void pace_hold(struct pace *p, uint64_t until_ms, uint32_t cause)
{
    struct breaker *b = &p->breaker;

    if (b->state == BREAKER_CLOSED) {
        b->state = BREAKER_OPEN;
        b->trips = 1;
        b->ramp = 1;
        b->cause = cause;
        b->retry_at_ms = until_ms;
    } else if (b->state == BREAKER_OPEN && b->retry_at_ms < until_ms) {
        b->retry_at_ms = until_ms;
    }
}
