/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_command.h - one subcommand: how it is called, what it explains, what it
 * does.
 */
#ifndef CLI_CLI_COMMAND_H
#define CLI_CLI_COMMAND_H

#include "cli/cli_args.h"
#include "cli/cli_exit.h"

struct cli_command {
    const char *name;
    const char *summary;     /* one line for the overview */
    const char *operands;    /* "EVENT-ID", "[ADAPTER]"; NULL: it takes none */
    const char *description; /* what it is for, in paragraphs */
    const char *examples;    /* lines to copy */
    const struct cli_flag *flags;
    size_t n_flags;
    size_t min_operands, max_operands;
    /** Returns an exit status; says on standard error what went wrong. */
    int (*run)(const struct cli_args *args);
};

extern const struct cli_command cmd_run;
extern const struct cli_command cmd_check;
extern const struct cli_command cmd_migrate;
extern const struct cli_command cmd_publish;
extern const struct cli_command cmd_status;
extern const struct cli_command cmd_stuck;
extern const struct cli_command cmd_trace;
extern const struct cli_command cmd_dead;
extern const struct cli_command cmd_held;
extern const struct cli_command cmd_pause;
extern const struct cli_command cmd_resume;
extern const struct cli_command cmd_doctor;
extern const struct cli_command cmd_secrets;
extern const struct cli_command cmd_explain;
extern const struct cli_command cmd_adapters;
extern const struct cli_command cmd_receive;
extern const struct cli_command cmd_verify;
extern const struct cli_command cmd_version;
extern const struct cli_command cmd_reference;

/** All of them, as the overview lists them; NULL-terminated, static. */
const struct cli_command *const *cli_commands(void);

#endif
