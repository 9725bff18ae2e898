/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_inbox.h - the bounded hand-over from the host's thread to the client's.
 *
 * Every open delivery occupies a slot from webhook_inbox_put() to
 * webhook_inbox_release(); slots are allocated once. Each function takes the lock
 * for a few instructions and calls nothing outside under it.
 */
#ifndef WEBHOOK_INBOX_H
#define WEBHOOK_INBOX_H

#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/** One open delivery; the event is the host's until its ticket is completed. */
struct webhook_delivery {
    const struct rider_event *event;
    STAILQ_ENTRY(webhook_delivery) link;
};

STAILQ_HEAD(webhook_delivery_list, webhook_delivery);

struct webhook_inbox;

/** NULL: out of memory. */
struct webhook_inbox *webhook_inbox_create(size_t capacity);
void webhook_inbox_destroy(struct webhook_inbox *inbox);

/** Takes as many events from the front as slots are free. Thread: host. */
size_t webhook_inbox_put(struct webhook_inbox *inbox,
                         const struct rider_event *const *events, size_t n);

/** Appends all that was put to `list`. Thread: client. */
void webhook_inbox_take(struct webhook_inbox *inbox,
                        struct webhook_delivery_list *list);

/** Frees the slot of a delivery whose ticket has been completed. True: an earlier
 *  put was short, so the host wants writable(). Thread: client. */
bool webhook_inbox_release(struct webhook_inbox *inbox,
                           struct webhook_delivery *delivery);

/** Deliveries put and not yet released. Any thread. */
size_t webhook_inbox_open(struct webhook_inbox *inbox);

/** Waits up to `wait_ms` for the inbox to become empty; returns the number of
 *  deliveries still open. Thread: host. */
size_t webhook_inbox_wait_empty(struct webhook_inbox *inbox, uint64_t wait_ms);

#endif
