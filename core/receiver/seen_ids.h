/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seen_ids.h - the last N ids, to tell a repeated one.
 *
 * A signature proves who wrote a request, not that it is new; a receiver that
 * remembers ids closes that gap. Memory is bounded: the oldest id is forgotten
 * first, so N should be more than what arrives in twice the signature tolerance.
 * Thread: one at a time.
 */
#ifndef RECEIVER_SEEN_IDS_H
#define RECEIVER_SEEN_IDS_H

#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define SEEN_IDS_MAX_LEN 255

struct seen_ids;

/** Remembers up to `capacity` ids (1 to 16 million); memory for their texts is
 *  taken as they come. */
int seen_ids_create(size_t capacity, struct seen_ids **ret,
                    struct rider_error *err) RIDER_MUST_CHECK;
void seen_ids_destroy(struct seen_ids *seen);
RIDER_DEFINE_PTR_CLEANUP(struct seen_ids, seen_ids_destroy);

bool seen_ids_contains(const struct seen_ids *seen, const char *id);

/** Remembers `id` (1 to SEEN_IDS_MAX_LEN bytes, copied), which is not contained
 *  yet. RIDER_E_NOMEM: it was not remembered. */
int seen_ids_add(struct seen_ids *seen, const char *id,
                 struct rider_error *err) RIDER_MUST_CHECK;

#endif
