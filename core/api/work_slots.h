/* SPDX-License-Identifier: Apache-2.0 */
/*
 * work_slots.h - how many requests of the API are at work at once.
 *
 * Most work is with the database, and short. What waits for somebody else, a name that
 * is looked up or an endpoint that is tried, gives its slot back meanwhile and counts
 * under a smaller cap of its own: slow endpoints keep nobody else waiting.
 *
 * Thread: any, concurrently.
 */
#ifndef API_WORK_SLOTS_H
#define API_WORK_SLOTS_H

#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>

struct work_slots;

int work_slots_create(struct work_slots **ret,
                      struct rider_error *err) RIDER_MUST_CHECK;
/** Nothing may be at work. Accepts NULL. */
void work_slots_destroy(struct work_slots *slots);
RIDER_DEFINE_PTR_CLEANUP(struct work_slots, work_slots_destroy);

/** A slot for one request; false when there is none. Blocks some seconds for it. */
bool work_slots_begin(struct work_slots *slots);
void work_slots_end(struct work_slots *slots);

/** Gives the slot of a request back until work_slots_trial_end(), which does not block.
 *  `who`, the principal, lives until then. False, and there is a slot again: too
 *  many wait for others, of this principal or of all. Blocks a moment for that to change,
 *  and then for a slot. */
bool work_slots_trial_begin(struct work_slots *slots, const char *who);
void work_slots_trial_end(struct work_slots *slots, const char *who);

#endif
