/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - time. Deadlines and intervals use the monotonic clock; the wall
 * clock only names instants to people and receivers.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/** Milliseconds and microseconds of CLOCK_MONOTONIC. Any thread. */
uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);

/** Microseconds since 1970-01-01 UTC. Any thread. */
int64_t clock_wall_us(void);

#define CLOCK_RFC3339_SIZE 40

/** Writes "2026-11-24T03:00:49.123456Z" and returns its length (no NUL counted).
 *  Years 1 to 9999; others are clamped. */
size_t clock_format_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_SIZE]);

#endif
