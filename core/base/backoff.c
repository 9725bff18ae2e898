/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backoff.c - exponential delay with full jitter.
 */
#include "base/backoff.h"

#include "base/clock.h"

#include <sys/random.h>
#include <unistd.h>

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct prng prng_make(uint64_t seed)
{
    struct prng g;

    for (int i = 0; i < 4; i++) {
        g.s[i] = splitmix(&seed);
    }
    return g;
}

struct prng prng_random(void)
{
    uint64_t seed;

    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed)) {
        seed = clock_mono_us() ^ ((uint64_t)getpid() << 40);
    }
    return prng_make(seed);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t prng_next(struct prng *g)
{
    uint64_t *s = g->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *g, uint64_t n)
{
    /* The bias of a plain remainder is below 2^-32 for the n used here. */
    return prng_next(g) % n;
}

uint64_t backoff_ms(struct prng *g, uint64_t initial_ms, uint64_t max_ms,
                    uint32_t attempt)
{
    uint64_t ceiling = initial_ms > 0 ? initial_ms : 1;

    for (uint32_t i = 1; i < attempt && ceiling < max_ms; i++) {
        ceiling *= 2;
    }
    if (ceiling > max_ms) {
        ceiling = max_ms;
    }
    uint64_t floor = initial_ms / 4;
    return ceiling <= floor ? ceiling : floor + prng_below(g, ceiling - floor + 1);
}
