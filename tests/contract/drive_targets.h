/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drive_targets.h - the subscriptions that drive_adapter addresses events to.
 *
 * Keys on the command line, each with the prefix "target.":
 *     url=URL           "{n}" in it becomes the number of the target
 *     count=N           that many targets, events go to them in turn (1)
 *     sick_url=URL      for every target whose number is below sick
 *     sick=N            (0)
 *     secret=TEXT       may be repeated; the first is the current one
 *     header=NAME:VALUE may be repeated
 *     timeout_ms=N keep_response=N flags=N ca_ref=NAME cert_ref=NAME
 *     sick_ca_ref=NAME sick_cert_ref=NAME
 *     rate=N            that many events become due each second (all at once)
 *     step=1            each event but the first becomes due when SIGUSR1 comes
 *     one_id=1          the targets are one subscription whose URL changes
 *     no_events=1       the targets are checked, events go without one
 *     check=1           prints what check_target() says, one JSON object a target
 *     explain=1         prints what explain() says about the first event
 * Thread: the program's.
 */
#ifndef CONTRACT_DRIVE_TARGETS_H
#define CONTRACT_DRIVE_TARGETS_H

#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRIVE_TARGETS_SECRETS 12
#define DRIVE_TARGETS_HEADERS 8

struct drive_target {
    struct rider_target target;
    char id[32], url[2300];
};

struct drive_targets {
    struct drive_target *list;
    size_t n, sick, rate;
    struct rider_bytes url, sick_url; /* NUL-terminated */
    struct rider_target like;         /* what all have in common */
    struct rider_bytes sick_ca_ref, sick_cert_ref;
    struct rider_bytes secrets[DRIVE_TARGETS_SECRETS];
    struct rider_header headers[DRIVE_TARGETS_HEADERS];
    bool one_id, step, no_events, check, explain;
};

/** Takes its keys out of `pairs`, which has to outlive *ret, and counts them off
 *  *n_pairs. 0, or -1: a bad key or value, or no memory. */
int drive_targets_init(struct drive_targets *ret, char **pairs, size_t *n_pairs);
void drive_targets_done(struct drive_targets *targets);

/** The target of the event with this number, or NULL, and the target's number. */
const struct rider_target *drive_targets_get(const struct drive_targets *targets,
                                             uint64_t event);
size_t drive_targets_of(const struct drive_targets *targets, uint64_t event);

/** Prints what the adapter says about each target, if that was asked for. */
void drive_targets_check(const struct drive_targets *targets,
                         const struct publisher_vtable *vt, struct publisher *self);

#endif
