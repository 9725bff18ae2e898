/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tickets.h - names of deliveries that are open with an adapter.
 *
 * A ticket is a slot and the slot's generation, so a late, repeated or made-up
 * one finds nothing instead of somebody else's delivery. Thread: the lane's.
 */
#ifndef DISPATCH_TICKETS_H
#define DISPATCH_TICKETS_H

#include <stddef.h>
#include <stdint.h>

struct delivery;
struct tickets;

/** Room for `capacity` open tickets, or NULL when out of memory. */
struct tickets *tickets_create(size_t capacity);
void tickets_destroy(struct tickets *t);

/** Opens one for `d`; 0 when all are taken. */
uint64_t tickets_open(struct tickets *t, struct delivery *d);

/** Closes it and returns its delivery, or NULL when it is not open. */
struct delivery *tickets_close(struct tickets *t, uint64_t ticket);

size_t tickets_count(const struct tickets *t);

#endif
