/* SPDX-License-Identifier: Apache-2.0 */
/*
 * option_value.h - one value of one row: text to typed field, and back to text
 * for messages and the reference page.
 */
#ifndef CONFIG_OPTION_VALUE_H
#define CONFIG_OPTION_VALUE_H

#include "base/buf.h"
#include "base/error.h"
#include "config/arena.h"
#include "postrider/options.h"

#include <stdint.h>

/** A type of the core's own tables, beside enum rider_option_type: one text or a
 *  list of texts; const char *const *, NULL-terminated, NULL when absent. */
#define OPTION_TEXTS 0x100u

/** Size of the field that a type fills, 0 for an unknown type. */
size_t option_value_size(uint32_t type);

/** Reads `text` into the field at `field`, which is left alone on failure.
 *  Strings are copied into `arena`. Not for RIDER_PROPERTIES and OPTION_TEXTS.
 *  The text of an error never shows a secret. */
int option_value_parse(const struct rider_option *row, const char *text,
                       struct arena *arena, void *field,
                       struct rider_error *err) RIDER_MUST_CHECK;

/** Appends a bound of the row as one would write it: "16MB", "10s", "1000". */
void option_value_print(const struct rider_option *row, int64_t value, struct buf *out);

/** "text", "duration" and so on. */
const char *option_value_type_name(const struct rider_option *row);

/** The fields a template may use, NULL-terminated. */
const char *const *option_value_template_fields(void);

#endif
