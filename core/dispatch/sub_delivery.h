/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sub_delivery.h - what a delivery to a subscription carries besides its event.
 * Thread: the lane's.
 */
#ifndef DISPATCH_SUB_DELIVERY_H
#define DISPATCH_SUB_DELIVERY_H

#include "dispatch/bump.h"
#include "dispatch/delivery.h"
#include "dispatch/event_row.h"

/** Copies what `row` says of its subscription into `memory`. `before`, a delivery in
 *  the same memory or NULL, shares the texts when it goes to the same subscription.
 *  NULL: out of memory. */
struct sub_delivery *sub_delivery_create(struct bump *memory,
                                         const struct event_row *row,
                                         const struct delivery *before);

/** Frees what it owns besides `memory`. Accepts NULL. */
void sub_delivery_done(struct sub_delivery *to);

#endif
