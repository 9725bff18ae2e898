/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64.h - RFC 4648 section 4, strictly: standard alphabet, padding required,
 * unused bits zero, no white space. Pure functions, any thread.
 */
#ifndef WEBHOOKS_BASE64_H
#define WEBHOOKS_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/** Characters that `n` bytes become, without NUL. */
#define BASE64_LEN(n) (((n) + 2) / 3 * 4)

/** Decodes all of `text` into `out`, which holds `cap` bytes. False: not base64, or
 *  longer than `cap`; *ret_len is then 0 or the length that would be needed. */
bool base64_decode(const char *text, size_t len, unsigned char *out, size_t cap,
                   size_t *ret_len);

/** Writes BASE64_LEN(len) characters and a NUL. */
void base64_encode(const unsigned char *data, size_t len, char *out);

#endif
