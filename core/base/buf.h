/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf.h - a growing byte buffer with a stated maximum.
 *
 * Failure is sticky: once an append failed (out of memory, or over the
 * maximum) buf.failed stays set and later appends do nothing, so that a writer
 * checks once at its end. The data always ends with a NUL that len leaves out.
 * Thread: one at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL until the first append */
    size_t len, cap, max;
    bool failed;
};

/** An empty buffer that never grows beyond `max` bytes. Allocates nothing. */
struct buf buf_make(size_t max);
void buf_done(struct buf *b);
void buf_reset(struct buf *b);

void buf_append(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *text);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) RIDER_PRINTF_LIKE(2, 3);

/** The text so far, never NULL. Borrowed until the next append. */
const char *buf_text(const struct buf *b);

/** Hands the data to the caller, who frees it; NULL if anything failed. */
char *buf_steal(struct buf *b);

#endif
