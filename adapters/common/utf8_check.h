/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8_check.h - whether text is UTF-8, for names that a broker wants so.
 * Pure, any thread.
 */
#ifndef ADAPTER_UTF8_CHECK_H
#define ADAPTER_UTF8_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/** True if all `len` bytes at `text` are well-formed UTF-8 (RFC 3629): nothing
 *  overlong, no surrogates, nothing above U+10FFFF. Empty text is. */
bool utf8_check(const char *text, size_t len);

#endif
