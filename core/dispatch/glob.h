/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob.h - patterns of routes: "*" stands for any text, "?" for one byte.
 * Pure functions, any thread.
 */
#ifndef DISPATCH_GLOB_H
#define DISPATCH_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/** Linear in len times the number of stars; never recurses. */
bool glob_match(const char *pattern, const char *text, size_t len);

#endif
