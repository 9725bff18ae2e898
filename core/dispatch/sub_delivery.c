/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sub_delivery.c - copies a subscription's target along with its row.
 */
#include "dispatch/sub_delivery.h"

#include "dispatch/lane_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool copy(struct bump *memory, struct rider_bytes *bytes)
{
    const void *data = bump_copy(memory, bytes->data, bytes->len);

    if (data == NULL && bytes->len > 0) {
        return false;
    }
    bytes->data = data;
    return true;
}

static bool copy_secrets(struct bump *memory, struct rider_target *target)
{
    struct rider_bytes *secrets =
        bump_alloc(memory, target->n_secrets * sizeof(*secrets) + 1);

    if (secrets == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < target->n_secrets; i++) {
        secrets[i] = target->secrets[i];
        if (!copy(memory, &secrets[i])) {
            return false;
        }
    }
    target->secrets = secrets;
    return true;
}

static bool copy_headers(struct bump *memory, struct rider_target *target)
{
    struct rider_header *headers =
        bump_alloc(memory, target->n_headers * sizeof(*headers) + 1);

    if (headers == NULL) {
        return false;
    }
    for (size_t i = 0; i < target->n_headers; i++) {
        headers[i] = target->headers[i];
        if (!copy(memory, &headers[i].name) || !copy(memory, &headers[i].value)) {
            return false;
        }
    }
    target->headers = headers;
    return true;
}

static bool copy_target(struct bump *memory, const struct subscription_row *from,
                        struct sub_delivery *to)
{
    size_t bytes = from->n_schedule * sizeof(*from->schedule_s);

    to->target = from->target;
    to->problem = from->problem; /* static */
    to->n_schedule = from->n_schedule;
    to->schedule_s = bytes == 0 ? NULL : bump_copy(memory, from->schedule_s, bytes);
    return (bytes == 0 || to->schedule_s != NULL) && copy(memory, &to->target.id) &&
           copy(memory, &to->target.url) && copy(memory, &to->target.ca_ref) &&
           copy(memory, &to->target.cert_ref) && copy_secrets(memory, &to->target) &&
           copy_headers(memory, &to->target);
}

struct sub_delivery *sub_delivery_create(struct bump *memory,
                                         const struct event_row *row,
                                         const struct delivery *before)
{
    struct sub_delivery *to = bump_alloc(memory, sizeof(*to));

    if (to == NULL) {
        return NULL;
    }
    memset(to, 0, sizeof(*to));
    if (before != NULL && before->to != NULL &&
        before->subscription == row->subscription) {
        to->target = before->to->target;
        to->problem = before->to->problem;
        to->schedule_s = before->to->schedule_s;
        to->n_schedule = before->to->n_schedule;
    } else if (!copy_target(memory, row->to, to)) {
        return NULL;
    }
    to->seq = row->seq;
    to->setbacks = row->progress.setbacks;
    to->asked = row->progress.asked;
    to->failed_at_us = row->progress.failed_at_us;
    (void)snprintf(to->trigger, sizeof(to->trigger), "%s", row->progress.trigger);
    return to;
}

void sub_delivery_done(struct sub_delivery *to)
{
    if (to != NULL && to->end != NULL) {
        free(to->end->response);
        free(to->end);
        to->end = NULL;
    }
}
