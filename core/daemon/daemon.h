/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.h - `postrider run`.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "base/error.h"

struct daemon_options {
    const char *config_path;
    const char *adapter_dir;         /* overrides the file's; or NULL */
    const char *default_adapter_dir; /* when nobody names one */
};

/** Runs until SIGTERM or SIGINT, then drains and returns 0; SIGHUP reloads. A
 *  second SIGTERM ends the process at once. Fails only at the start: the text
 *  says why, and what is wrong with the file is on standard error by then. A
 *  database or destination that is down is no failure. Main thread. */
int daemon_run(const struct daemon_options *options,
               struct rider_error *err) RIDER_MUST_CHECK;

#endif
