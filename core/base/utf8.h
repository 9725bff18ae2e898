/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8.h - well-formed UTF-8 (RFC 3629). Pure functions, any thread.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/** Length of the well-formed sequence at `s`, 0 when there is none. */
size_t utf8_sequence(const char *s, size_t len);

/** Makes `text` fit for logs and for the database: control characters and bytes
 *  that are no UTF-8, a sequence cut at the end included, become '?'. */
void utf8_scrub(char *text);

/** True if all of `s` is well-formed. */
bool utf8_valid(const char *s, size_t len);

#endif
