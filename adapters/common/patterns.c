/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patterns.c - matches a text against a list of patterns.
 *
 * Each pattern is tried where it stands in the list, nothing is copied. After a
 * mismatch the last star takes one byte more and matching goes on behind it.
 *
 * Not here: the routes' patterns (core/dispatch/glob.c).
 */
#include "common/patterns.h"

#include <stddef.h>
#include <string.h>

static bool fits(const char *pattern, size_t n, const char *text, size_t len)
{
    size_t p = 0;
    size_t t = 0;
    size_t star = n; /* n: none seen */
    size_t resume = 0;

    while (t < len) {
        if (p < n && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < n && (pattern[p] == '?' || pattern[p] == text[t])) {
            p++;
            t++;
        } else if (star < n) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < n && pattern[p] == '*') {
        p++;
    }
    return p == n;
}

bool patterns_match(const char *list, struct rider_bytes text)
{
    static const char separators[] = " ,";

    for (const char *at = list + strspn(list, separators); *at != '\0';) {
        size_t n = strcspn(at, separators);

        if (fits(at, n, text.data, text.len)) {
            return true;
        }
        at += n;
        at += strspn(at, separators);
    }
    return false;
}
