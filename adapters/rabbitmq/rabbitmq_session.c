/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_session.c - keeps and ends the events of one instance.
 *
 * Deliveries are batched for complete_many(), everything else is rare and
 * completed singly. The inbox is told of completions after the host was, so
 * that flush() never returns 0 while a completion is still to come.
 *
 * Invariant: each event taken from the inbox is in exactly one of pending,
 * confirm and the batch.
 */
#include "rabbitmq/rabbitmq_session.h"

#include "rabbitmq/rabbitmq_conn.h"
#include "rabbitmq/rabbitmq_exchanges.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOW_FACTOR 5

int rabbitmq_session_create(const struct rabbitmq_session_setup *setup,
                            struct rabbitmq_session **ret)
{
    struct rabbitmq_session *s = calloc(1, sizeof(*s));
    if (!s) {
        return ENOMEM;
    }
    s->host = setup->host;
    s->inbox = setup->inbox;
    s->addressing = setup->addressing;
    s->counters = setup->counters;
    s->confirm_timeout_ms = setup->confirm_timeout_ms;
    s->pending.size = setup->window;
    s->pending.items = calloc(setup->window, sizeof(s->pending.items[0]));
    /* Twice the window: one slow confirm must not stop the ones behind it. */
    if (!s->pending.items ||
        rabbitmq_confirm_create(2 * setup->window, &s->confirm) != 0 ||
        rabbitmq_exchanges_create(&s->exchanges) != 0) {
        rabbitmq_session_destroy(s);
        return ENOMEM;
    }
    *ret = s;
    return 0;
}

void rabbitmq_session_destroy(struct rabbitmq_session *s)
{
    if (!s) {
        return;
    }
    rabbitmq_exchanges_destroy(s->exchanges);
    rabbitmq_confirm_destroy(s->confirm);
    free(s->pending.items);
    free(s);
}

void rabbitmq_session_attach(struct rabbitmq_session *s, struct rabbitmq_conn *conn)
{
    s->conn = conn;
    s->blocked = false;
    s->solo = false;
    s->returning = false;
    s->closing = false;
    s->stage = RABBITMQ_IDLE;
    s->fruitless = 0;
    s->too_large = 0;
    s->confirmed_ms = s->unblocked_ms = rabbitmq_now_ms();
    rabbitmq_exchanges_clear(s->exchanges);
}

static void forget(void *arg, const struct rabbitmq_item *item)
{
    struct rabbitmq_session *s = arg;
    struct rabbitmq_item maybe = *item;
    maybe.flags |= RABBITMQ_ITEM_MAYBE;
    rabbitmq_session_push_front(s, &maybe);
}

void rabbitmq_session_detach(struct rabbitmq_session *s,
                             const struct rabbitmq_failure *why,
                             uint64_t retry_after_ms)
{
    s->conn = NULL;
    rabbitmq_session_flush(s);
    rabbitmq_confirm_reset(s->confirm, forget, s);
    struct rider_result result = {.struct_size = sizeof(result),
                                  .outcome = RIDER_UNAVAILABLE,
                                  .cause = why->cause,
                                  .retry_after_ms = retry_after_ms > UINT32_MAX
                                                        ? UINT32_MAX
                                                        : (uint32_t)retry_after_ms,
                                  .remote_code = why->code,
                                  .reason = why->text};
    const struct rabbitmq_item *item;
    while ((item = rabbitmq_session_front(s)) != NULL) {
        bool maybe = item->flags & RABBITMQ_ITEM_MAYBE;
        result.flags = maybe ? RIDER_RESULT_MAYBE_DELIVERED : 0;
        s->host->complete(s->host, item->event->ticket, &result);
        rabbitmq_session_pop(s);
        s->n_settled++;
    }
    rabbitmq_session_flush(s);
}

void rabbitmq_session_drain(struct rabbitmq_session *s)
{
    static const struct rabbitmq_failure stopping = {
        .cause = RIDER_CAUSE_UNREACHABLE, .text = "stopped before it was sent"};
    struct rabbitmq_item *item;
    s->draining = true;
    while ((item = rabbitmq_session_front(s)) != NULL) {
        struct rabbitmq_item copy = *item;
        rabbitmq_session_pop(s);
        rabbitmq_session_end(s, &copy, RIDER_UNAVAILABLE, &stopping);
    }
    rabbitmq_session_flush(s);
}

bool rabbitmq_session_overdue(const struct rabbitmq_session *s,
                              struct rabbitmq_failure *why)
{
    const struct rabbitmq_item *oldest = rabbitmq_confirm_oldest(s->confirm);
    if (!oldest || s->blocked) {
        return false;
    }
    /* A slow broker that still confirms something gets more time than a silent
     * one, but one queue must not hold its events for ever beside busy others. */
    uint64_t now = rabbitmq_now_ms();
    uint64_t sent =
        oldest->sent_ms > s->unblocked_ms ? oldest->sent_ms : s->unblocked_ms;
    uint64_t silent = sent > s->confirmed_ms ? sent : s->confirmed_ms;
    if (now - silent < s->confirm_timeout_ms &&
        now - sent < SLOW_FACTOR * s->confirm_timeout_ms) {
        return false;
    }
    *why = (struct rabbitmq_failure){.cause = RIDER_CAUSE_TIMEOUT};
    (void)snprintf(why->text, sizeof(why->text), "no confirm for %llu ms",
                   (unsigned long long)s->confirm_timeout_ms);
    return true;
}

void rabbitmq_session_end(struct rabbitmq_session *s, const struct rabbitmq_item *item,
                          uint32_t outcome, const struct rabbitmq_failure *why)
{
    struct rider_result result = {.struct_size = sizeof(result),
                                  .outcome = outcome,
                                  .cause = why->cause,
                                  .remote_code = why->code,
                                  .reason = why->text};
    if (item->flags & RABBITMQ_ITEM_MAYBE) {
        result.flags = RIDER_RESULT_MAYBE_DELIVERED;
    }
    s->host->complete(s->host, item->event->ticket, &result);
    s->n_settled++;
}

void rabbitmq_session_delivered(struct rabbitmq_session *s,
                                const struct rabbitmq_item *item)
{
    s->acked[s->n_acked++] = item->event->ticket;
    s->n_settled++;
    if (s->n_acked == RABBITMQ_BATCH) {
        rabbitmq_session_flush(s);
    }
}

void rabbitmq_session_flush(struct rabbitmq_session *s)
{
    if (s->n_acked > 0) {
        static const struct rider_result delivered = {.struct_size = sizeof(delivered),
                                                      .outcome = RIDER_DELIVERED};
        s->host->complete_many(s->host, s->acked, s->n_acked, &delivered);
        atomic_fetch_add_explicit(&s->counters->confirmed, s->n_acked,
                                  memory_order_relaxed);
        s->n_acked = 0;
    }
    if (s->n_settled > 0) {
        size_t n = s->n_settled;
        s->n_settled = 0;
        if (rabbitmq_inbox_settled(s->inbox, n)) {
            s->host->writable(s->host);
        }
    }
}

struct rabbitmq_item *rabbitmq_session_front(struct rabbitmq_session *s)
{
    struct rabbitmq_pending *p = &s->pending;
    if (p->n == 0) {
        const struct rider_event *events[RABBITMQ_BATCH];
        p->n = rabbitmq_inbox_take(s->inbox, events,
                                   p->size < RABBITMQ_BATCH ? p->size : RABBITMQ_BATCH);
        p->head = 0;
        for (size_t i = 0; i < p->n; i++) {
            p->items[i] = (struct rabbitmq_item){.event = events[i]};
        }
    }
    return p->n > 0 ? &p->items[p->head] : NULL;
}

void rabbitmq_session_pop(struct rabbitmq_session *s)
{
    struct rabbitmq_pending *p = &s->pending;
    p->head = (p->head + 1) % p->size;
    p->n--;
}

void rabbitmq_session_push_front(struct rabbitmq_session *s,
                                 const struct rabbitmq_item *item)
{
    struct rabbitmq_pending *p = &s->pending;
    p->head = (p->head + p->size - 1) % p->size;
    p->items[p->head] = *item;
    p->n++;
}
