/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob.c - patterns of routes.
 */
#include "dispatch/glob.h"

bool glob_match(const char *pattern, const char *text, size_t len)
{
    const char *star = NULL; /* the last star, and how much it swallows so far */
    size_t star_at = 0;
    size_t i = 0;

    while (i < len) {
        if (*pattern == '*' && pattern[1] == '\0') {
            return true;
        }
        if (*pattern == '*') {
            star = pattern++;
            star_at = i;
        } else if (*pattern != '\0' && (*pattern == '?' || *pattern == text[i])) {
            pattern++;
            i++;
        } else if (star != NULL) {
            pattern = star + 1;
            i = ++star_at;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}
