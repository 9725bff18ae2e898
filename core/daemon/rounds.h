/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rounds.h - a thread that does one step again and again until it is told to stop.
 *
 * Thread: create and destroy from the thread that owns what `arg` points to.
 */
#ifndef DAEMON_ROUNDS_H
#define DAEMON_ROUNDS_H

#include "base/error.h"

#include <stdint.h>

struct rounds;

/** One round, on the thread of the rounds; returns the pause before the next one in
 *  milliseconds. May block; rounds_destroy() waits for it. */
typedef uint64_t rounds_step_fn(void *arg);

/** Starts the thread; the first round begins at once. `arg` is borrowed until
 *  rounds_destroy() returns. `what` names the thread in *err. RIDER_E_NOMEM, RIDER_E_IO. */
int rounds_create(const char *what, rounds_step_fn *step, void *arg,
                  struct rounds **ret, struct rider_error *err) RIDER_MUST_CHECK;

/** Ends a pause at once, waits for a round under way, and frees. Accepts NULL. */
void rounds_destroy(struct rounds *rounds);

#endif
