/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seen_ids.c - the last N ids, to tell a repeated one.
 *
 * Slots form a ring in the order of arrival; each slot also hangs in the chain
 * of its hash bucket. Adding to a full ring unlinks the slot it overwrites.
 * Ids come with valid signatures, so nobody without the secret can aim at one
 * bucket.
 *
 * Invariant: a slot with a text is in exactly one chain, a slot without in none.
 *
 * Not here: signatures and timestamps (receiver.c).
 */
#include "receiver/seen_ids.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CAPACITY 16777216u
#define NONE         UINT32_MAX

struct slot {
    char *id;
    uint32_t next; /* in the chain, or NONE */
};

struct seen_ids {
    struct slot *slots;
    uint32_t *buckets; /* first slot of each chain, or NONE */
    uint32_t capacity;
    uint32_t at; /* the slot that is written next: the oldest one when full */
};

int seen_ids_create(size_t capacity, struct seen_ids **ret, struct rider_error *err)
{
    if (capacity == 0 || capacity > MAX_CAPACITY) {
        return rider_fail(err, RIDER_E_CONFIG, "cannot remember %zu ids: 1 to %u",
                          capacity, MAX_CAPACITY);
    }
    struct seen_ids *seen = calloc(1, sizeof(*seen));
    if (seen != NULL) {
        seen->slots = calloc(capacity, sizeof(*seen->slots));
        seen->buckets = malloc(capacity * sizeof(*seen->buckets));
        seen->capacity = (uint32_t)capacity;
    }
    if (seen == NULL || seen->slots == NULL || seen->buckets == NULL) {
        seen_ids_destroy(seen);
        return rider_fail(err, RIDER_E_NOMEM, "could not allocate memory for %zu ids",
                          capacity);
    }
    for (size_t i = 0; i < capacity; i++) {
        seen->buckets[i] = NONE;
    }
    *ret = seen;
    return 0;
}

void seen_ids_destroy(struct seen_ids *seen)
{
    if (seen == NULL) {
        return;
    }
    for (uint32_t i = 0; seen->slots != NULL && i < seen->capacity; i++) {
        free(seen->slots[i].id);
    }
    free(seen->slots);
    free(seen->buckets);
    free(seen);
}

/* FNV-1a, 64 bits. */
static uint32_t *bucket_of(const struct seen_ids *seen, const char *id)
{
    uint64_t hash = 14695981039346656037u;

    for (; *id != '\0'; id++) {
        hash = (hash ^ (unsigned char)*id) * 1099511628211u;
    }
    return &seen->buckets[hash % seen->capacity];
}

bool seen_ids_contains(const struct seen_ids *seen, const char *id)
{
    for (uint32_t i = *bucket_of(seen, id); i != NONE; i = seen->slots[i].next) {
        if (strcmp(seen->slots[i].id, id) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes the slot out of its chain and drops its text. */
static void forget(struct seen_ids *seen, uint32_t slot)
{
    uint32_t *link = bucket_of(seen, seen->slots[slot].id);

    while (*link != slot) {
        link = &seen->slots[*link].next;
    }
    *link = seen->slots[slot].next;
    free(seen->slots[slot].id);
    seen->slots[slot].id = NULL;
}

int seen_ids_add(struct seen_ids *seen, const char *id, struct rider_error *err)
{
    char *copy = strdup(id);

    if (copy == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "could not remember an id");
    }
    struct slot *slot = &seen->slots[seen->at];
    if (slot->id != NULL) {
        forget(seen, seen->at);
    }
    uint32_t *bucket = bucket_of(seen, copy);
    slot->id = copy;
    slot->next = *bucket;
    *bucket = seen->at;
    seen->at = (seen->at + 1) % seen->capacity;
    return 0;
}
