/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.h - finds what stops progress and names who holds it.
 *
 * A list of checks, each one question to the database. What a check may not look at
 * becomes a finding of its own; it never hides the others. Needs the rights of
 * outbox_monitor, and pg_monitor to see the sessions of others.
 * Thread: any. Blocking: at most 10 s a check.
 */
#ifndef OUTBOX_DOCTOR_H
#define OUTBOX_DOCTOR_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum doctor_severity { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_CRITICAL };

/** Borrowed for the call. */
struct doctor_finding {
    enum doctor_severity severity;
    const char *check;   /* "lease": one of a fixed list */
    const char *subject; /* "stream", "pid 4711", "" */
    const char *text;    /* what is, in one sentence */
    const char *advice;  /* what to do next; "" when all is well */
};

typedef void doctor_emit_fn(void *arg, const struct doctor_finding *finding);

struct doctor_options {
    const char *dsn;
    bool is_relay;            /* the user of `dsn` is the one the relay runs as */
    const char *destinations; /* of the configuration, as a PostgreSQL array; NULL:
                                 not known */
    const char *key_ring;     /* of the configuration; NULL: not known, or no
                                 destination has subscriptions */
    int64_t retention_ms;     /* of the configuration; -1: not known */
    int64_t slow_ms;          /* what is older than this counts as slow */
};

/** Emits at least one finding a check, in a fixed order. A database that cannot be
 *  reached is a finding, too. Returns the worst severity. */
enum doctor_severity doctor_examine(const struct doctor_options *options,
                                    doctor_emit_fn *emit, void *arg);

/** "ok", "warning", "critical". */
const char *doctor_severity_word(enum doctor_severity severity);

/** What to do about a cause of the closed list; the advice for "unknown" for any
 *  other word. */
const char *doctor_cause_advice(const char *cause);

#endif
