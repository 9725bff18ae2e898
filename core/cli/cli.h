/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - the command line.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/error.h"

/** Where the relay finds its files; borrowed. */
struct cli_run_paths {
    const char *config_path;
    const char *adapter_dir; /* the user's, which wins over the file's; or NULL */
    const char *default_adapter_dir; /* when neither says */
};

/** Runs the relay until it is told to stop. */
typedef int cli_run_fn(const struct cli_run_paths *paths, struct rider_error *err);

/** What commands use and this module must not know. */
struct cli_hooks {
    cli_run_fn *run; /* NULL: this program has no daemon */
};

/** Finds the command, runs it and returns the exit status of the process, see
 *  cli_exit.h. Writes to standard output and standard error. Main thread. */
int cli_main(int argc, char **argv, const struct cli_hooks *hooks) RIDER_MUST_CHECK;

#endif
