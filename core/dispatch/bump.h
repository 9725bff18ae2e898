/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bump.h - memory that is freed all at once.
 *
 * A page of events lives in one struct bump: its strings and bodies are bump
 * allocated and go together when the page is settled. Pointers stay valid
 * until reset or done. Thread: one at a time.
 */
#ifndef DISPATCH_BUMP_H
#define DISPATCH_BUMP_H

#include <stddef.h>

struct bump_chunk;

struct bump {
    struct bump_chunk *chunks; /* newest first */
    size_t bytes;              /* handed out since the last reset */
};

/** `size` bytes aligned for any pointer, or NULL when out of memory. */
void *bump_alloc(struct bump *a, size_t size);

/** Gives back what the last bump_alloc() did not use; `used` <= its size. */
void bump_trim(struct bump *a, void *last, size_t used);

/** A copy of `len` bytes, or NULL when out of memory. */
void *bump_copy(struct bump *a, const void *data, size_t len);

/** Forgets everything and keeps its largest ordinary chunk for reuse. */
void bump_reset(struct bump *a);
void bump_done(struct bump *a);

/** Overwrites what was allocated, in a way the compiler keeps. */
void bump_wipe(struct bump *a);

#endif
