/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory that is freed all at once.
 *
 * A page of events lives in one arena: its strings and bodies are bump
 * allocated and go together when the page is settled. Pointers stay valid
 * until reset or done. Thread: one at a time.
 */
#ifndef DISPATCH_ARENA_H
#define DISPATCH_ARENA_H

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t bytes;               /* handed out since the last reset */
};

/** `size` bytes aligned for any pointer, or NULL when out of memory. */
void *arena_alloc(struct arena *a, size_t size);

/** Gives back what the last arena_alloc() did not use; `used` <= its size. */
void arena_trim(struct arena *a, void *last, size_t used);

/** A copy of `len` bytes, or NULL when out of memory. */
void *arena_copy(struct arena *a, const void *data, size_t len);

/** Forgets everything and keeps its largest ordinary chunk for reuse. */
void arena_reset(struct arena *a);
void arena_done(struct arena *a);

#endif
