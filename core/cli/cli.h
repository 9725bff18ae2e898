/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - the command line.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/error.h"

/** Runs the relay until it is told to stop; both paths are resolved already and
 *  `adapter_dir` is NULL unless the user named one: then it wins over the file's. */
typedef int cli_run_fn(const char *config_path, const char *adapter_dir,
                       struct rider_error *err);

/** What commands use and this module must not know. */
struct cli_hooks {
    cli_run_fn *run; /* NULL: this program has no daemon */
};

/** Finds the command, runs it and returns the exit status of the process, see
 *  cli_exit.h. Writes to standard output and standard error. Main thread. */
int cli_main(int argc, char **argv, const struct cli_hooks *hooks) RIDER_MUST_CHECK;

#endif
