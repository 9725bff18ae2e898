/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_change.h - what commands that change something have in common: a filter from
 * flags, a question before, a progress line, and who did it.
 */
#ifndef CLI_CLI_CHANGE_H
#define CLI_CLI_CHANGE_H

#include "base/buf.h"
#include "cli/cli_args.h"

#include <stdbool.h>
#include <stdint.h>

/** Appends the JSON filter (schema/005_operators.sql) of the flags destination, type,
 *  cause, event, aggregate-type, aggregate-id, since and until, and of operands from
 *  `first_event` on, which are event ids. since and until are times, or durations
 *  back from now. `allowed_empty` false: RIDER_E_CONFIG without any. */
int cli_filter(const struct cli_args *args, size_t first_event, bool allowed_empty,
               struct buf *ret, struct rider_error *err) RIDER_MUST_CHECK;

/** True with --yes, or when a person answers yes to "<question> [y/N] ". Otherwise
 *  false, and *ret_status says whether that was a no (CLI_OK) or nobody was there to
 *  ask (CLI_USAGE, said on standard error). */
bool cli_confirm(const struct cli_args *args, const char *question, int *ret_status);

/** "cli alice@host", for the audit row. */
void cli_actor(char *out, size_t size);

/** A line on standard error that tells how far long work is: on a terminal from the
 *  first second on, elsewhere every ten seconds. */
struct cli_progress {
    const char *what; /* "replayed" */
    int64_t total;
    uint64_t started_ms, said_ms;
    bool terminal, said;
};

struct cli_progress cli_progress_start(const char *what, int64_t total);
void cli_progress_show(struct cli_progress *p, int64_t done);
/** Ends the line. */
void cli_progress_end(struct cli_progress *p);

#endif
