/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_confirm.h - which published message a publisher confirm ends.
 *
 * The broker numbers the messages of a channel from 1 (the delivery tag) and
 * confirms them in any order, singly or "all up to this tag"
 * (www.rabbitmq.com/docs/confirms). An unroutable mandatory message is first
 * returned, which carries no tag but the message id, and then acknowledged.
 * Pure: no I/O, no clock. Thread: the connection's.
 */
#ifndef RABBITMQ_CONFIRM_H
#define RABBITMQ_CONFIRM_H

#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RABBITMQ_ITEM_MAYBE    (1u << 0) /* an earlier try may have reached the broker */
#define RABBITMQ_ITEM_SOLO     (1u << 1) /* to be published with nothing else in flight */
#define RABBITMQ_ITEM_RETURNED (1u << 2) /* the broker found no queue for it */

/** One event on its way. */
struct rabbitmq_item {
    const struct rider_event *event; /* the host's, until completed */
    uint64_t sent_ms;
    uint32_t flags; /* RABBITMQ_ITEM_* */
};

struct rabbitmq_confirm;

/** Called for each message that a call below ends; must not call back. */
typedef void rabbitmq_item_fn(void *arg, const struct rabbitmq_item *item);

/** Makes room for `capacity` tags between the oldest open one and the newest (up
 *  to the next power of two). Returns 0 or ENOMEM. */
int rabbitmq_confirm_create(size_t capacity, struct rabbitmq_confirm **ret);
/** Frees; accepts NULL. Open items are forgotten. */
void rabbitmq_confirm_destroy(struct rabbitmq_confirm *c);

/** False when the next tag would overtake the oldest open one. */
bool rabbitmq_confirm_has_room(const struct rabbitmq_confirm *c);
/** Opens the next tag for `item` and returns it. Needs room. */
uint64_t rabbitmq_confirm_add(struct rabbitmq_confirm *c,
                              const struct rabbitmq_item *item);
/** Messages without a confirm. */
size_t rabbitmq_confirm_open(const struct rabbitmq_confirm *c);
/** The open item with the lowest tag, or NULL. */
const struct rabbitmq_item *rabbitmq_confirm_oldest(const struct rabbitmq_confirm *c);

/** Marks the open message with this id as returned. False if there is none. */
bool rabbitmq_confirm_returned(struct rabbitmq_confirm *c, struct rider_bytes id);
/** Ends the open tag `tag`, or all open ones up to it (`multiple`; tag 0 then
 *  means all), lowest first. Returns how many ended, or -1 if the broker named
 *  a tag that was never sent. A tag that ended before counts as none. */
long rabbitmq_confirm_settle(struct rabbitmq_confirm *c, uint64_t tag, bool multiple,
                             rabbitmq_item_fn *fn, void *arg);
/** Ends all open tags, highest first, and begins again at 1: a new channel. */
void rabbitmq_confirm_reset(struct rabbitmq_confirm *c, rabbitmq_item_fn *fn,
                            void *arg);

#endif
