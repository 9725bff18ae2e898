/* SPDX-License-Identifier: Apache-2.0 */
/*
 * held_keys.c - ordering keys that have open rows in outbox.delivery.
 *
 * A chained hash table that doubles. Entries exist only for keys that failed,
 * so one allocation each is cheap; the strings are needed to promote a key.
 */
#include "dispatch/held_keys.h"

#include <stdlib.h>
#include <string.h>

#define HELD_FIRST_SIZE 64 /* a power of two */

struct held_keys {
    struct held_key **buckets;
    size_t mask, n;
};

struct held_keys *held_keys_create(void)
{
    struct held_keys *h = calloc(1, sizeof(*h));

    if (h == NULL) {
        return NULL;
    }
    h->buckets = calloc(HELD_FIRST_SIZE, sizeof(struct held_key *));
    if (h->buckets == NULL) {
        free(h);
        return NULL;
    }
    h->mask = HELD_FIRST_SIZE - 1;
    return h;
}

void held_keys_clear(struct held_keys *h)
{
    for (size_t i = 0; i <= h->mask; i++) {
        while (h->buckets[i] != NULL) {
            struct held_key *key = h->buckets[i];
            h->buckets[i] = key->next;
            free(key);
        }
    }
    h->n = 0;
}

void held_keys_destroy(struct held_keys *h)
{
    if (h != NULL) {
        held_keys_clear(h);
        free(h->buckets);
        free(h);
    }
}

size_t held_keys_count(const struct held_keys *h)
{
    return h->n;
}

static bool same_bytes(struct rider_bytes a, struct rider_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

struct held_key *held_keys_find(const struct held_keys *h, uint64_t hash,
                                int64_t subscription, struct rider_bytes aggregate_type,
                                struct rider_bytes aggregate_id)
{
    for (struct held_key *key = h->buckets[hash & h->mask]; key != NULL;
         key = key->next) {
        if (key->hash == hash && key->subscription == subscription &&
            same_bytes(key->aggregate_type, aggregate_type) &&
            same_bytes(key->aggregate_id, aggregate_id)) {
            return key;
        }
    }
    return NULL;
}

static void grow(struct held_keys *h)
{
    size_t size = (h->mask + 1) * 2;
    struct held_key **buckets = calloc(size, sizeof(struct held_key *));

    if (buckets == NULL) {
        return; /* longer chains, still correct */
    }
    for (size_t i = 0; i <= h->mask; i++) {
        while (h->buckets[i] != NULL) {
            struct held_key *key = h->buckets[i];
            h->buckets[i] = key->next;
            key->next = buckets[key->hash & (size - 1)];
            buckets[key->hash & (size - 1)] = key;
        }
    }
    free(h->buckets);
    h->buckets = buckets;
    h->mask = size - 1;
}

struct held_key *held_keys_hold(struct held_keys *h, uint64_t hash,
                                int64_t subscription, struct rider_bytes aggregate_type,
                                struct rider_bytes aggregate_id)
{
    struct held_key *key =
        held_keys_find(h, hash, subscription, aggregate_type, aggregate_id);

    if (key != NULL) {
        return key;
    }
    key = calloc(1, sizeof(*key) + aggregate_type.len + aggregate_id.len);
    if (key == NULL) {
        return NULL;
    }
    char *text = (char *)(key + 1);
    if (aggregate_type.len > 0) {
        memcpy(text, aggregate_type.data, aggregate_type.len);
    }
    if (aggregate_id.len > 0) {
        memcpy(text + aggregate_type.len, aggregate_id.data, aggregate_id.len);
    }
    key->hash = hash;
    key->subscription = subscription;
    key->aggregate_type = (struct rider_bytes){text, aggregate_type.len};
    key->aggregate_id =
        (struct rider_bytes){text + aggregate_type.len, aggregate_id.len};
    if (h->n > h->mask) {
        grow(h);
    }
    key->next = h->buckets[hash & h->mask];
    h->buckets[hash & h->mask] = key;
    h->n++;
    return key;
}

void held_keys_remove(struct held_keys *h, struct held_key *key)
{
    struct held_key **link = &h->buckets[key->hash & h->mask];

    while (*link != key) {
        link = &(*link)->next;
    }
    *link = key->next;
    free(key);
    h->n--;
}

void held_keys_each(struct held_keys *h, void (*fn)(void *arg, struct held_key *key),
                    void *arg)
{
    for (size_t i = 0; i <= h->mask; i++) {
        for (struct held_key *key = h->buckets[i]; key != NULL; key = key->next) {
            fn(arg, key);
        }
    }
}
