/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_array.h - array parameters in text form: {1,2} and {"a","b"}.
 * Thread: one at a time.
 */
#ifndef OUTBOX_PG_ARRAY_H
#define OUTBOX_PG_ARRAY_H

#include "base/buf.h"

#include <stdint.h>

struct pg_array {
    struct buf text;
    unsigned int n;
};

void pg_array_init(struct pg_array *a);
void pg_array_done(struct pg_array *a);
void pg_array_reset(struct pg_array *a);

void pg_array_add_int(struct pg_array *a, int64_t value);
/** Quotes as needed; a NUL byte ends the text. */
void pg_array_add_text(struct pg_array *a, const char *data, size_t len);
void pg_array_add_null(struct pg_array *a);

/** Closes the literal and returns it, or NULL when memory ran out. Once between
 *  two resets; borrowed until the next one. */
const char *pg_array_text(struct pg_array *a);

#endif
