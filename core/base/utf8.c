/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8.c - well-formed UTF-8 (RFC 3629, table 3-7 of the Unicode standard).
 */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

struct lead {
    uint8_t first, last; /* range of the first byte */
    uint8_t low, high;   /* range of the second byte */
    uint8_t len;
};

static const struct lead leads[] = {
    {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2},
    {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
    {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
    {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static const struct lead *find_lead(uint8_t byte)
{
    for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++) {
        if (byte >= leads[i].first && byte <= leads[i].last) {
            return &leads[i];
        }
    }
    return NULL;
}

size_t utf8_sequence(const char *s, size_t len)
{
    if (len == 0) {
        return 0;
    }
    const struct lead *lead = find_lead((uint8_t)s[0]);
    if (lead == NULL || lead->len > len) {
        return 0;
    }
    if (lead->len > 1 && ((uint8_t)s[1] < lead->low || (uint8_t)s[1] > lead->high)) {
        return 0;
    }
    for (size_t i = 2; i < lead->len; i++) {
        if (((uint8_t)s[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return lead->len;
}

bool utf8_valid(const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(s + i, len - i);
        if (n == 0) {
            return false;
        }
        i += n;
    }
    return true;
}

void utf8_scrub(char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(text + i, len - i);
        bool control = n == 1 && ((uint8_t)text[i] < 0x20 || text[i] == 0x7f);
        if (n == 0 || control) {
            text[i] = '?';
            n = 1;
        }
        i += n;
    }
}
