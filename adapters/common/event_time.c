/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_time.c - prints instants for headers.
 *
 * gmtime_r does the calendar and the digits are put by hand: one call an event,
 * without the locale work of strftime.
 *
 * Not here: the clock. Adapters take time from the event or the host.
 */
#include "common/event_time.h"

#include <string.h>
#include <time.h>

#define US_PER_SECOND 1000000
#define FIRST_SECOND  INT64_C(-62135596800) /* 0001-01-01T00:00:00Z */
#define LAST_SECOND   INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

static void put_digits(char *at, uint32_t value, size_t width)
{
    while (width-- > 0) {
        at[width] = (char)('0' + value % 10);
        value /= 10;
    }
}

size_t event_time_format(int64_t us, char out[EVENT_TIME_SIZE])
{
    static const char shape[] = "0000-00-00T00:00:00.000000Z";
    int64_t second = us / US_PER_SECOND;
    int64_t fraction = us % US_PER_SECOND;
    struct tm tm = {0};

    if (fraction < 0) {
        fraction += US_PER_SECOND;
        second--;
    }
    if (second < FIRST_SECOND || second > LAST_SECOND) {
        fraction = second < FIRST_SECOND ? 0 : US_PER_SECOND - 1;
        second = second < FIRST_SECOND ? FIRST_SECOND : LAST_SECOND;
    }
    time_t when = (time_t)second;
    (void)gmtime_r(&when, &tm);
    memcpy(out, shape, sizeof(shape));
    put_digits(out, (uint32_t)tm.tm_year + 1900, 4);
    put_digits(out + 5, (uint32_t)tm.tm_mon + 1, 2);
    put_digits(out + 8, (uint32_t)tm.tm_mday, 2);
    put_digits(out + 11, (uint32_t)tm.tm_hour, 2);
    put_digits(out + 14, (uint32_t)tm.tm_min, 2);
    put_digits(out + 17, (uint32_t)tm.tm_sec, 2);
    put_digits(out + 20, (uint32_t)fraction, 6);
    return sizeof(shape) - 1;
}
