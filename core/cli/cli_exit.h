/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_exit.h - exit statuses, after sysexits.h: scripts and service managers
 * branch on them, so they are part of the interface.
 */
#ifndef CLI_CLI_EXIT_H
#define CLI_CLI_EXIT_H

#include "base/error.h"

#include <stdio.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_USAGE = 64,
    CLI_DATA = 65,
    CLI_UNAVAILABLE = 69,
    CLI_INTERNAL = 70,
    CLI_IO = 74,
    CLI_TEMPORARY = 75,
    CLI_PERMISSION = 77,
    CLI_CONFIG = 78
};

/** The exit status for an error code. */
int cli_exit_of(enum rider_code code);

/** Says "postrider: <text>" on standard error and returns the exit status. */
int cli_fail(const struct rider_error *err);

/** The same with a text and status of the caller's own. */
int cli_fail_text(int status, const char *fmt, ...) RIDER_PRINTF_LIKE(2, 3);

/** Appends the table of exit statuses. */
void cli_exit_describe(FILE *out);

#endif
