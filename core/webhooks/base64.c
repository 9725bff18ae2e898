/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64.c - strict base64 for keys and signatures.
 *
 * The decoder of libcrypto skips white space and reads padding as zero bytes, which
 * would let two texts stand for one key. This one accepts exactly what an encoder
 * writes. Characters are mapped by arithmetic instead of a table, so that no
 * memory address depends on a secret.
 *
 * Not here: URL-safe base64, which the published verifiers refuse.
 */
#include "webhooks/base64.h"

#include <stdint.h>

/** All bits set when lo <= c <= hi, else 0. */
static int in_range(int c, int lo, int hi)
{
    return -((c >= lo) & (c <= hi));
}

/** The six bits of `c`, or -1. */
static int sextet(char character)
{
    int c = (unsigned char)character;
    int v = -1;

    v += in_range(c, 'A', 'Z') & (c - 'A' + 1);
    v += in_range(c, 'a', 'z') & (c - 'a' + 26 + 1);
    v += in_range(c, '0', '9') & (c - '0' + 52 + 1);
    v += in_range(c, '+', '+') & (62 + 1);
    v += in_range(c, '/', '/') & (63 + 1);
    return v;
}

static char symbol(unsigned bits)
{
    int v = (int)bits;
    int c = 0;

    c += in_range(v, 0, 25) & (v + 'A');
    c += in_range(v, 26, 51) & (v - 26 + 'a');
    c += in_range(v, 52, 61) & (v - 52 + '0');
    c += in_range(v, 62, 62) & '+';
    c += in_range(v, 63, 63) & '/';
    return (char)c;
}

/** Reads one group of four that carries `n` bytes. */
static bool decode_group(const char *text, size_t n, unsigned char out[3])
{
    uint32_t bits = 0;
    int bad = 0;

    for (size_t i = 0; i < 4; i++) {
        int v = i <= n ? sextet(text[i]) : 0;

        bad |= v < 0;
        bits = bits << 6 | ((uint32_t)v & 63u);
    }
    out[0] = (unsigned char)(bits >> 16);
    out[1] = (unsigned char)(bits >> 8);
    out[2] = (unsigned char)bits;
    return bad == 0 && (n > 1 || out[1] == 0) && (n > 2 || out[2] == 0);
}

bool base64_decode(const char *text, size_t len, unsigned char *out, size_t cap,
                   size_t *ret_len)
{
    *ret_len = 0;
    if (len % 4 != 0) {
        return false;
    }
    size_t padding = 0;

    if (len > 0) {
        padding = text[len - 1] != '=' ? 0 : text[len - 2] != '=' ? 1 : 2;
    }
    size_t total = len / 4 * 3 - padding;

    for (size_t done = 0; done < total; done += 3) {
        unsigned char group[3];
        size_t n = total - done < 3 ? total - done : 3;

        if (!decode_group(text + done / 3 * 4, n, group)) {
            return false;
        }
        for (size_t i = 0; i < n && done + i < cap; i++) {
            out[done + i] = group[i];
        }
    }
    *ret_len = total;
    return total <= cap;
}

void base64_encode(const unsigned char *data, size_t len, char *out)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)data[i] << 16 |
                        (n > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                        (n > 2 ? (uint32_t)data[i + 2] : 0);

        *out++ = symbol(bits >> 18 & 63);
        *out++ = symbol(bits >> 12 & 63);
        *out++ = symbol(bits >> 6 & 63);
        *out++ = symbol(bits & 63);
        for (size_t missing = 3 - n; missing > 0; missing--) {
            out[-(ptrdiff_t)missing] = '=';
        }
    }
    *out = '\0';
}
