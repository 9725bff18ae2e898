/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.h - events written together, and how far each of them got.
 *
 * Thread: the worker's.
 */
#ifndef STDOUT_BATCH_H
#define STDOUT_BATCH_H

#include "postrider/publisher.h"
#include "stdout/output.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_MAX 256

/** Some events on their way out, borrowed from the host. */
struct batch {
    const struct rider_event *events[BATCH_MAX];
    uint64_t tickets[BATCH_MAX];
    uint64_t ends[BATCH_MAX]; /* output.put behind each line */
    uint64_t start;           /* output.put before the first */
    size_t n;
};

/** Writes the body of each event and a newline; with `one_line`, line breaks in
 *  a body become spaces (in JSON they can only stand between tokens); with
 *  `sync`, brings all to the disk. Waits for the reader. Returns how many events,
 *  from the first, are out as wanted; *ret_failed gets 0, or the errno value
 *  that kept the others back. */
size_t batch_write(struct batch *batch, struct output *out, bool one_line, bool sync,
                   int *ret_failed);

/** How many events, from the first, had at least one byte written. */
size_t batch_begun(const struct batch *batch, uint64_t sent);

#endif
