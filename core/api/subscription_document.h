/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subscription_document.h - a subscription as a client writes it, checked, and as the
 * row that outbox/subscriptions.h takes.
 *
 * A new one and a merged one are read alike, so that a PATCH is checked as strictly as
 * a POST. Defaults stand in for what is not there.
 * Pure; thread: one at a time.
 */
#ifndef API_SUBSCRIPTION_DOCUMENT_H
#define API_SUBSCRIPTION_DOCUMENT_H

#include "api/api_body.h"

#include <stdbool.h>

#define SUBSCRIPTION_MAX_HEADERS 32

/** Texts live as long as the tree that they were read from. */
struct subscription_document {
    const char *url, *status, *ca_ref, *cert_ref;
    const struct json_node *headers;     /* an object of texts, or NULL */
    const struct json_node *event_types; /* a list of texts, or NULL */
    const struct json_node *v1a;         /* where this scheme is asked for, or NULL */
    /* of a new one only */
    const char *destination, *secret, *verify;
    const char *since,
        *from_event; /* of start_from; both NULL and not beginning: now */
    bool beginning;
};

/** Reads a body: `create` with the members of a new one. Faults go to the problem of
 *  `f`. */
void subscription_document_read(const struct api_fields *f, bool create,
                                struct subscription_document *ret);

/** Writes the row, after a reading without faults. `id` and the destination NULL: the
 *  row of an update. */
void subscription_document_row(const struct json_node *body,
                               const struct subscription_document *d, const char *id,
                               struct buf *out);

#endif
