/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trial.h - one instance of the adapter under test with a host of its own.
 *
 * Thread: the program's.
 */
#ifndef CONFORMANCE_TRIAL_H
#define CONFORMANCE_TRIAL_H

#include "conformance/suite.h"
#include "support/fake_host.h"

/** More than a deadline may be missed by on a busy machine with sanitizers; whoever
 *  keeps none takes as long as the peer does, half a minute and more. */
#define TRIAL_SLACK_MS 10000u

/** Milliseconds that the calling thread has run or waited for something: all time but
 *  that in which it could run and others did. */
uint64_t trial_clock_ms(void);
uint64_t trial_since_ms(uint64_t began_ms);

struct trial {
    struct suite *suite;
    const char *check;
    struct fake_host *fake;
    void *config;
    struct publisher *self;
    bool started, failed;
};

/** Creates an instance, and starts it if `start`. False: the check has failed and
 *  was reported; trial_end() is due in either case. */
bool trial_begin(struct trial *t, struct suite *s, const char *check, bool start);

/** Reports a failure of the check; more than one may follow. */
void trial_fail(struct trial *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/** Offers `n` events like `like` (keys differ) and waits for writable() after a
 *  short publish(), up to the suite's timeout. Returns how many were taken. */
size_t trial_publish(struct trial *t, const struct fake_event *like, size_t n);

/** Stops with a deadline from now and checks the time, that nothing stays open,
 *  that results were well formed and no ticket ended twice. */
void trial_stop(struct trial *t, uint64_t deadline_ms);

/** Stops if needed, destroys, and reports a pass if nothing failed. */
void trial_end(struct trial *t);

#endif
