/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dead_filter.h - filters of dead letters as clients of the API write them.
 *
 * Two parts of the API name the keys of outbox.dead_letters() differently; what a key
 * takes is the same. The result is the members of the filter that the database gets.
 * Thread: one at a time. Nothing blocks.
 */
#ifndef API_DEAD_FILTER_H
#define API_DEAD_FILTER_H

#include "api/api_body.h"
#include "api/api_request.h"

enum dead_filter_kind {
    DEAD_FILTER_TEXT,
    DEAD_FILTER_UUID,
    DEAD_FILTER_UUIDS, /* one, or in a body a list */
    DEAD_FILTER_TIME
};

struct dead_filter_key {
    const char *name; /* in the request */
    const char *key;  /* in the filter */
    enum dead_filter_kind kind;
};

/** Reads the member "filter" of a body, which has to name something: a null, too, is a
 *  fault, since what it leaves out might be all that narrows the filter. Writes the
 *  members into the object that is open in `w`. */
void dead_filter_read(const struct api_fields *body, const struct dead_filter_key *keys,
                      size_t n, struct json_writer *w);

/** Writes those of the parameters, one for each key, that were given. RIDER_E_CONFIG
 *  with call->problem set. */
int dead_filter_parameters(struct api_call *call, const struct api_parameter *p,
                           const struct dead_filter_key *keys, size_t n,
                           struct json_writer *w) RIDER_MUST_CHECK;

#endif
