/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rfc3339.h - whether a text is a time: "2026-11-27T12:00:00Z", with up to nine digits of
 * a fraction, or an offset in place of the Z. Pure; any thread.
 */
#ifndef API_RFC3339_H
#define API_RFC3339_H

#include <stdbool.h>

/** A day that its month does not have is left to the database. */
bool rfc3339_is_time(const char *text);

#endif
