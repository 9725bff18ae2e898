/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - the command line.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/error.h"

/** Finds the command, runs it and returns the exit status of the process, see
 *  cli_exit.h. Writes to standard output and standard error. Main thread. */
int cli_main(int argc, char **argv) RIDER_MUST_CHECK;

#endif
