/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cause.h - the closed list of causes, in the words that SQL, metrics, logs and
 * commands share. Pure functions, any thread.
 */
#ifndef DISPATCH_CAUSE_H
#define DISPATCH_CAUSE_H

#include <stdint.h>

/** The word for an enum rider_cause; values outside the list are "unknown". */
const char *cause_word(uint32_t cause);

#endif
