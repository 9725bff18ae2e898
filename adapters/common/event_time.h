/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_time.h - an instant as RFC 3339 text in UTC. Pure, any thread.
 */
#ifndef ADAPTER_EVENT_TIME_H
#define ADAPTER_EVENT_TIME_H

#include <stddef.h>
#include <stdint.h>

#define EVENT_TIME_SIZE 32

/** Writes "2026-11-24T03:00:49.123456Z" with a closing NUL for microseconds
 *  since 1970-01-01 UTC, as the canonical envelope spells it, and returns the
 *  length without the NUL. Outside the years 1 to 9999 the nearest of them. */
size_t event_time_format(int64_t us, char out[EVENT_TIME_SIZE]);

#endif
