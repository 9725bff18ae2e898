/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.c - reads the clocks and prints instants.
 *
 * The calendar is computed by hand (days to civil date in the proleptic
 * Gregorian calendar), because an event costs one format on the hot path and
 * gmtime_r with strftime is ten times slower.
 */
#include "base/clock.h"

#include <time.h>

#define US_PER_SECOND 1000000
#define US_PER_DAY    (INT64_C(86400) * US_PER_SECOND)

uint64_t clock_mono_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * US_PER_SECOND + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t clock_wall_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * US_PER_SECOND + ts.tv_nsec / 1000;
}

static char *put_digits(char *p, uint32_t value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        p[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return p + width;
}

struct civil {
    uint32_t year, month, day;
};

/* Howard Hinnant's days-to-civil: eras of 400 years that start on 1 March. */
static struct civil civil_from_days(int64_t days)
{
    days += 719468;
    int64_t era = days / 146097;
    uint32_t doe = (uint32_t)(days - era * 146097);
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint32_t mp = (5 * doy + 2) / 153;
    struct civil c = {
        .year = yoe + (uint32_t)era * 400,
        .month = mp < 10 ? mp + 3 : mp - 9,
        .day = doy - (153 * mp + 2) / 5 + 1,
    };
    c.year += c.month <= 2;
    return c;
}

size_t clock_format_rfc3339(int64_t wall_us, char out[CLOCK_RFC3339_SIZE])
{
    const int64_t first = INT64_C(-62135596800) * US_PER_SECOND; /* 0001-01-01 */
    const int64_t last = INT64_C(253402300799) * US_PER_SECOND;  /* 9999-12-31 */

    if (wall_us < first) {
        wall_us = first;
    }
    if (wall_us > last) {
        wall_us = last;
    }
    int64_t shifted = wall_us - first; /* never negative: divisions truncate */
    int64_t days = shifted / US_PER_DAY + first / US_PER_DAY;
    uint64_t rest = (uint64_t)(shifted % US_PER_DAY);
    uint32_t seconds = (uint32_t)(rest / US_PER_SECOND);
    struct civil c = civil_from_days(days);
    char *p = out;

    p = put_digits(p, c.year, 4);
    *p++ = '-';
    p = put_digits(p, c.month, 2);
    *p++ = '-';
    p = put_digits(p, c.day, 2);
    *p++ = 'T';
    p = put_digits(p, seconds / 3600, 2);
    *p++ = ':';
    p = put_digits(p, seconds / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, seconds % 60, 2);
    *p++ = '.';
    p = put_digits(p, (uint32_t)(rest % US_PER_SECOND), 6);
    *p++ = 'Z';
    *p = '\0';
    return (size_t)(p - out);
}
