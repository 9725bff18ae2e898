/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.c - memory that is freed all at once.
 */
#include "dispatch/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_FIRST ((size_t)16 * 1024)
#define ARENA_CHUNK ((size_t)256 * 1024) /* chunks double up to this */
#define ARENA_ALIGN alignof(max_align_t)

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, cap;
    alignas(max_align_t) unsigned char data[];
};

static size_t aligned(size_t size)
{
    return (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
}

static struct arena_chunk *add_chunk(struct arena *a, size_t need)
{
    size_t cap = a->chunks == NULL ? ARENA_FIRST : a->chunks->cap * 2;

    cap = cap > ARENA_CHUNK ? ARENA_CHUNK : cap;
    cap = need > cap ? need : cap;
    struct arena_chunk *chunk = malloc(sizeof(*chunk) + cap);

    if (chunk == NULL) {
        return NULL;
    }
    chunk->used = 0;
    chunk->cap = cap;
    chunk->next = a->chunks;
    a->chunks = chunk;
    return chunk;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size_t need = aligned(size);
    struct arena_chunk *chunk = a->chunks;

    if (chunk == NULL || chunk->cap - chunk->used < need) {
        chunk = add_chunk(a, need);
        if (chunk == NULL) {
            return NULL;
        }
    }
    void *p = chunk->data + chunk->used;
    chunk->used += need;
    a->bytes += need;
    return p;
}

void arena_trim(struct arena *a, void *last, size_t used)
{
    struct arena_chunk *chunk = a->chunks;
    size_t start = (size_t)((unsigned char *)last - chunk->data);
    size_t end = start + aligned(used);

    a->bytes -= chunk->used - end;
    chunk->used = end;
}

void *arena_copy(struct arena *a, const void *data, size_t len)
{
    void *p = arena_alloc(a, len);

    if (p != NULL && len > 0) {
        memcpy(p, data, len);
    }
    return p;
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *keep = NULL;

    while (a->chunks != NULL) {
        struct arena_chunk *chunk = a->chunks;

        a->chunks = chunk->next;
        if (chunk->cap <= ARENA_CHUNK && (keep == NULL || keep->cap < chunk->cap)) {
            free(keep);
            keep = chunk;
        } else {
            free(chunk);
        }
    }
    if (keep != NULL) {
        keep->next = NULL;
        keep->used = 0;
        a->chunks = keep;
    }
    a->bytes = 0;
}

void arena_done(struct arena *a)
{
    while (a->chunks != NULL) {
        struct arena_chunk *chunk = a->chunks;

        a->chunks = chunk->next;
        free(chunk);
    }
    a->bytes = 0;
}
