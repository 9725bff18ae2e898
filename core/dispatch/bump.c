/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bump.c - memory that is freed all at once.
 */
#include "dispatch/bump.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BUMP_FIRST ((size_t)16 * 1024)
#define BUMP_CHUNK ((size_t)256 * 1024) /* chunks double up to this */
#define BUMP_ALIGN alignof(max_align_t)

struct bump_chunk {
    struct bump_chunk *next;
    size_t used, cap;
    alignas(max_align_t) unsigned char data[];
};

static size_t aligned(size_t size)
{
    return (size + BUMP_ALIGN - 1) & ~(BUMP_ALIGN - 1);
}

static struct bump_chunk *add_chunk(struct bump *a, size_t need)
{
    size_t cap = a->chunks == NULL ? BUMP_FIRST : a->chunks->cap * 2;

    cap = cap > BUMP_CHUNK ? BUMP_CHUNK : cap;
    cap = need > cap ? need : cap;
    struct bump_chunk *chunk = malloc(sizeof(*chunk) + cap);

    if (chunk == NULL) {
        return NULL;
    }
    chunk->used = 0;
    chunk->cap = cap;
    chunk->next = a->chunks;
    a->chunks = chunk;
    return chunk;
}

void *bump_alloc(struct bump *a, size_t size)
{
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size_t need = aligned(size);
    struct bump_chunk *chunk = a->chunks;

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

void bump_trim(struct bump *a, void *last, size_t used)
{
    struct bump_chunk *chunk = a->chunks;
    size_t start = (size_t)((unsigned char *)last - chunk->data);
    size_t end = start + aligned(used);

    a->bytes -= chunk->used - end;
    chunk->used = end;
}

void *bump_copy(struct bump *a, const void *data, size_t len)
{
    void *p = bump_alloc(a, len);

    if (p != NULL && len > 0) {
        memcpy(p, data, len);
    }
    return p;
}

void bump_reset(struct bump *a)
{
    struct bump_chunk *keep = NULL;

    while (a->chunks != NULL) {
        struct bump_chunk *chunk = a->chunks;

        a->chunks = chunk->next;
        if (chunk->cap <= BUMP_CHUNK && (keep == NULL || keep->cap < chunk->cap)) {
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

void bump_wipe(struct bump *a)
{
    for (struct bump_chunk *chunk = a->chunks; chunk != NULL; chunk = chunk->next) {
        explicit_bzero(chunk->data, chunk->used);
    }
}

void bump_done(struct bump *a)
{
    while (a->chunks != NULL) {
        struct bump_chunk *chunk = a->chunks;

        a->chunks = chunk->next;
        free(chunk);
    }
    a->bytes = 0;
}
