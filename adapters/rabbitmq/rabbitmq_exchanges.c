/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_exchanges.c - a fixed hash table of exchange names.
 *
 * Each name has one set of WAYS slots, picked by its hash; a full set loses the
 * slot that was written longest ago. Losing a name costs one more lookup, never
 * a wrong answer, so there is no growing and no deletion.
 *
 * Not here: asking the broker (rabbitmq_conn.c).
 */
#include "rabbitmq/rabbitmq_exchanges.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 8
#define SETS (RABBITMQ_EXCHANGES_MAX / WAYS)

struct entry {
    uint8_t state; /* enum rabbitmq_exchange_state; UNKNOWN: free */
    uint8_t len;
    char name[255];
    uint64_t set_ms;
};

struct rabbitmq_exchanges {
    struct entry entries[SETS][WAYS];
};

int rabbitmq_exchanges_create(struct rabbitmq_exchanges **ret)
{
    struct rabbitmq_exchanges *x = calloc(1, sizeof(*x));
    if (!x) {
        return ENOMEM;
    }
    *ret = x;
    return 0;
}

void rabbitmq_exchanges_destroy(struct rabbitmq_exchanges *x)
{
    free(x);
}

/** FNV-1a, 32 bits. */
static size_t set_of(const char *name, size_t len)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    }
    return hash % SETS;
}

static const struct entry *find(const struct rabbitmq_exchanges *x, const char *name,
                                size_t len)
{
    const struct entry *set = x->entries[set_of(name, len)];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].state != RABBITMQ_EXCHANGE_UNKNOWN && set[i].len == len &&
            memcmp(set[i].name, name, len) == 0) {
            return &set[i];
        }
    }
    return NULL;
}

enum rabbitmq_exchange_state rabbitmq_exchanges_get(const struct rabbitmq_exchanges *x,
                                                    const char *name, size_t len,
                                                    uint64_t now_ms)
{
    if (len == 0) {
        return RABBITMQ_EXCHANGE_PRESENT;
    }
    const struct entry *e = find(x, name, len);
    if (!e) {
        return RABBITMQ_EXCHANGE_UNKNOWN;
    }
    if (e->state == RABBITMQ_EXCHANGE_PRESENT ||
        now_ms - e->set_ms < RABBITMQ_EXCHANGE_RECHECK_MS) {
        return (enum rabbitmq_exchange_state)e->state;
    }
    return e->state == RABBITMQ_EXCHANGE_REFUSED ? RABBITMQ_EXCHANGE_PROBE
                                                 : RABBITMQ_EXCHANGE_UNKNOWN;
}

/** The name's slot in its set, else a free one, else the one written first. */
static struct entry *slot_for(struct entry *set, const char *name, size_t len)
{
    struct entry *victim = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        struct entry *e = &set[i];
        if (e->state != RABBITMQ_EXCHANGE_UNKNOWN && e->len == len &&
            memcmp(e->name, name, len) == 0) {
            return e;
        }
        bool free_slot = e->state == RABBITMQ_EXCHANGE_UNKNOWN;
        bool older = e->set_ms < victim->set_ms;
        if (victim->state != RABBITMQ_EXCHANGE_UNKNOWN && (free_slot || older)) {
            victim = e;
        }
    }
    return victim;
}

void rabbitmq_exchanges_set(struct rabbitmq_exchanges *x, const char *name, size_t len,
                            enum rabbitmq_exchange_state state, uint64_t now_ms)
{
    if (len == 0 || len > sizeof(x->entries[0][0].name)) {
        return;
    }
    struct entry *e = slot_for(x->entries[set_of(name, len)], name, len);
    e->state = (uint8_t)state;
    e->len = (uint8_t)len;
    e->set_ms = now_ms;
    memcpy(e->name, name, len);
}

void rabbitmq_exchanges_doubt(struct rabbitmq_exchanges *x)
{
    for (size_t i = 0; i < SETS; i++) {
        for (size_t j = 0; j < WAYS; j++) {
            struct entry *e = &x->entries[i][j];
            if (e->state == RABBITMQ_EXCHANGE_PRESENT) {
                e->state = RABBITMQ_EXCHANGE_UNKNOWN;
            }
        }
    }
}

void rabbitmq_exchanges_clear(struct rabbitmq_exchanges *x)
{
    memset(x, 0, sizeof(*x));
}
