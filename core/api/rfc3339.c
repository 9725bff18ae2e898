/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rfc3339.c - whether a text is a time (RFC 3339 section 5.6).
 */
#include "api/rfc3339.h"

#include <stddef.h>
#include <string.h>

/* Two digits from `low` to `high`. */
static bool is_two(const char *text, int low, int high)
{
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') {
        return false;
    }
    int value = (text[0] - '0') * 10 + text[1] - '0';
    return value >= low && value <= high;
}

static bool is_zone(const char *text)
{
    if (strcmp(text, "Z") == 0) {
        return true;
    }
    return (text[0] == '+' || text[0] == '-') && strlen(text) == 6 && text[3] == ':' &&
           is_two(text + 1, 0, 14) && is_two(text + 4, 0, 59);
}

static int number(const char *text, size_t n)
{
    int value = 0;

    for (size_t i = 0; i < n; i++) {
        value = value * 10 + text[i] - '0';
    }
    return value;
}

/* `date` is YYYY-MM-DD with a month that there is. The calendar has no year 0. */
static bool is_date(const char *date)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = number(date, 4);
    int month = number(date + 5, 2);
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int last = days[month - 1] + (month == 2 && leap);

    return year > 0 && number(date + 8, 2) <= last;
}

bool rfc3339_is_time(const char *text)
{
    static const struct {
        char before; /* the character in front of the two digits */
        int low, high;
    } parts[] = {{'-', 1, 12}, {'-', 1, 31}, {'T', 0, 23}, {':', 0, 59}, {':', 0, 59}};

    const char *date = text;

    if (!is_two(text, 0, 99) || !is_two(text + 2, 0, 99)) {
        return false;
    }
    text += 4;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (text[0] != parts[i].before ||
            !is_two(text + 1, parts[i].low, parts[i].high)) {
            return false;
        }
        text += 3;
    }
    if (!is_date(date)) {
        return false;
    }
    if (*text == '.') {
        size_t n = strspn(text + 1, "0123456789");
        if (n == 0 || n > 9) {
            return false;
        }
        text += n + 1;
    }
    return is_zone(text);
}
