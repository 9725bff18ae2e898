/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor_checks.h - the questions that doctor.c asks.
 */
#ifndef OUTBOX_DOCTOR_CHECKS_H
#define OUTBOX_DOCTOR_CHECKS_H

/** A statement that yields one row a finding: severity, subject, text, advice, and
 *  cause (the advice is then doctor_cause_advice()). No row: all is well.
 *  It sees the options as p(slow_ms, destinations, retention_ms, is_relay, version). */
struct doctor_check {
    const char *name;
    const char *well; /* what to say without a finding */
    const char *sql;
};

/** In the order of the report; ends with a NULL name. */
extern const struct doctor_check doctor_checks[];

#endif
