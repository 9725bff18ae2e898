/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parse.h - checked numbers, durations and sizes. The whole text must match;
 * a failure leaves *ret alone and returns a negative code whose text says what
 * was expected. Pure functions, any thread.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

int parse_int(const char *text, int64_t *ret, struct rider_error *err) RIDER_MUST_CHECK;
/** "250ms", "5s", "2m", "1h", "7d", or "0". */
int parse_duration_ms(const char *text, uint64_t *ret,
                      struct rider_error *err) RIDER_MUST_CHECK;
/** "512", "64KB", "16MB", "1GB": powers of 1024. */
int parse_size(const char *text, uint64_t *ret,
               struct rider_error *err) RIDER_MUST_CHECK;
int parse_bool(const char *text, bool *ret, struct rider_error *err) RIDER_MUST_CHECK;
/** A UUID in its 36-character text form, either case. */
bool parse_is_uuid(const char *text);

#endif
