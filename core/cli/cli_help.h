/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_help.h - what --help prints.
 */
#ifndef CLI_CLI_HELP_H
#define CLI_CLI_HELP_H

#include "cli/cli_command.h"

#include <stdio.h>

/** The overview: what the program is, its commands, where to start. */
void cli_help_overview(FILE *out, const struct cli_command *const *commands);

/** All about one command. */
void cli_help_command(FILE *out, const struct cli_command *command);

/** The same without exit statuses, which all commands share. */
void cli_help_text(FILE *out, const struct cli_command *command);

#endif
