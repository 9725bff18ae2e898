/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backoff.h - exponential delay with full jitter: uniform between 0 and
 * min(max, initial * 2^attempt), never below a quarter of `initial`, so that a
 * draw near zero does not make a hot loop. Pure but for the generator.
 */
#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H

#include <stdint.h>

/** xoshiro256**: fast, seedable, not for secrets. Thread: one at a time. */
struct prng {
    uint64_t s[4];
};

struct prng prng_make(uint64_t seed);
/** Seeds from the kernel. */
struct prng prng_random(void);
uint64_t prng_next(struct prng *g);
/** Uniform in [0, n); n > 0. */
uint64_t prng_below(struct prng *g, uint64_t n);

/** Delay before try number `attempt` + 1; `attempt` counts failures, from 1. */
uint64_t backoff_ms(struct prng *g, uint64_t initial_ms, uint64_t max_ms,
                    uint32_t attempt);

#endif
