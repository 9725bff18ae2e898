/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8_check.c - decodes each character and compares it with its own length.
 *
 * A character is overlong if it would fit into fewer bytes; the lowest code
 * point of each length tells that without a table of byte ranges.
 */
#include "common/utf8_check.h"

#include <stdint.h>

/** Bytes of the character that begins with `lead`; 0: none does. */
static size_t length_of(uint8_t lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xc0 || lead > 0xf7) {
        return 0;
    }
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

bool utf8_check(const char *text, size_t len)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};

    for (size_t i = 0; i < len;) {
        uint8_t lead = (uint8_t)text[i];
        size_t n = length_of(lead);
        if (n == 0 || n > len - i) {
            return false;
        }
        uint32_t code = n == 1 ? lead : lead & (0xffu >> (n + 1));
        for (size_t k = 1; k < n; k++) {
            uint8_t byte = (uint8_t)text[i + k];
            if ((byte & 0xc0) != 0x80) {
                return false;
            }
            code = code << 6 | (byte & 0x3f);
        }
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        if (code < lowest[n] || surrogate || code > 0x10ffff) {
            return false;
        }
        i += n;
    }
    return true;
}
