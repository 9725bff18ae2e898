/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target_prober.h - trials of targets: an adapter instance for each destination with
 * subscriptions, apart from the one of its lane.
 *
 * Thread: create, add and destroy from one; the interface from any, concurrently.
 */
#ifndef DAEMON_TARGET_PROBER_H
#define DAEMON_TARGET_PROBER_H

#include "api/prober.h"
#include "config/settings.h"

#include <stddef.h>

struct target_prober;

/** Room for `capacity` destinations. */
int target_prober_create(size_t capacity, struct target_prober **ret,
                         struct rider_error *err) RIDER_MUST_CHECK;
/** Starts an instance; the settings must outlive it. RIDER_E_CONFIG: the adapter
 *  refuses. */
int target_prober_add(struct target_prober *p, const struct destination_settings *d,
                      const struct publisher_vtable *vt,
                      struct rider_error *err) RIDER_MUST_CHECK;
/** Nobody may use the interface any more. Joins the adapters' threads. Accepts NULL. */
void target_prober_destroy(struct target_prober *p);

struct prober target_prober_interface(struct target_prober *p);

#endif
