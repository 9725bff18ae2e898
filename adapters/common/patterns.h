/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patterns.h - a list of patterns as one option value: "*.deleted order.voided".
 *
 * Patterns are separated by spaces or commas; "*" stands for any text, "?" for one
 * byte, as in the routes of a configuration. Pure, any thread.
 */
#ifndef ADAPTER_PATTERNS_H
#define ADAPTER_PATTERNS_H

#include "postrider/publisher.h"

#include <stdbool.h>

/** Whether a pattern of `list` fits the whole of `text`. Linear in text.len times
 *  the number of stars. */
bool patterns_match(const char *list, struct rider_bytes text);

#endif
