/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory that lives and dies together: a configuration is hundreds of
 * small strings that nobody frees one by one.
 *
 * Failure is sticky, as in buf.h: after one failed allocation `failed` stays set
 * and the owner checks it once at the end. Thread: one at a time.
 */
#ifndef CONFIG_ARENA_H
#define CONFIG_ARENA_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

struct arena {
    struct arena_block *blocks;
    bool failed;
};

/** Zeroed memory for any type, NULL when there is none. The arena owns it. */
void *arena_alloc(struct arena *a, size_t size);
/** An array of `n` zeroed elements. */
void *arena_array(struct arena *a, size_t n, size_t size);
/** Copies `len` bytes and adds a NUL. */
char *arena_text(struct arena *a, const char *text, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) RIDER_PRINTF_LIKE(2, 3);

/** Overwrites everything (there are secrets among it) and frees it. */
void arena_done(struct arena *a);

#endif
