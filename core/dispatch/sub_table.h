/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sub_table.h - the subscriptions of a lane that have, or had, something to do.
 *
 * What is here is what sending needs: how fast the endpoint may be sent to, whether
 * rows are known to wait for it, and what has been heard of it since that was last
 * written down. Addresses and secrets are not: they come with each row.
 *
 * Entries do not move in memory. Thread: the lane's.
 */
#ifndef DISPATCH_SUB_TABLE_H
#define DISPATCH_SUB_TABLE_H

#include "dispatch/pace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define SUB_ERROR_MAX 240

struct sub_delivery;

struct sub {
    int64_t number;
    struct sub *next; /* in its slot of the table */
    struct pace pace;
    LIST_HEAD(, sub_delivery) open; /* in memory: read and not yet written */
    size_t n_open;
    size_t wanted, got;   /* of the read under way */
    bool listed;          /* by the list that is being read */
    uint64_t used_ms;     /* when the last of its rows left */
    bool pending;         /* PENDING rows are known to wait */
    uint32_t outages;     /* times the breaker opened; what was read before is stale */
    uint64_t retry_at_ms; /* the earliest RETRY row that is known; UINT64_MAX: none */

    /* since its health was last written */
    bool ok, touched;
    uint64_t failures; /* after the last success */
    uint32_t cause;
    char error[SUB_ERROR_MAX];
    bool failing; /* the database says so */
    uint64_t written_ms;
    int64_t success_us; /* wall clock; 0: none since the start */
};

struct sub_table;

/** NULL: out of memory. */
struct sub_table *sub_table_create(void);
void sub_table_destroy(struct sub_table *t);
void sub_table_clear(struct sub_table *t);

size_t sub_table_count(const struct sub_table *t);

/** NULL when it is not there. */
struct sub *sub_table_find(const struct sub_table *t, int64_t number);

/** Adds an entry with `pace`; the number is not there yet. NULL: out of memory. */
struct sub *sub_table_add(struct sub_table *t, int64_t number, const struct pace *pace);

/** The i-th of all entries: in the order of their coming while none is removed. */
struct sub *sub_table_at(const struct sub_table *t, size_t i);

/** Frees the i-th; the last one takes its place. Nothing may point to it. */
void sub_table_remove(struct sub_table *t, size_t i);

#endif
