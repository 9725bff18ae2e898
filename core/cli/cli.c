/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.c - finds the command and runs it.
 *
 * Not here: what commands do (cmd_*.c), how flags are parsed (cli_args.c).
 */
#include "cli/cli.h"

#include "cli/cli_command.h"
#include "cli/cli_help.h"
#include "config/nearest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct cli_command *const commands[] = {
    &cmd_run,     &cmd_check,  &cmd_migrate, &cmd_publish,   &cmd_status,
    &cmd_stuck,   &cmd_trace,  &cmd_doctor,  &cmd_dead,      &cmd_held,
    &cmd_pause,   &cmd_resume, &cmd_secrets, &cmd_explain,   &cmd_adapters,
    &cmd_receive, &cmd_verify, &cmd_version, &cmd_reference, NULL,
};

const struct cli_command *const *cli_commands(void)
{
    return commands;
}

static const struct cli_command *find_command(const char *name)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static int refuse_command(const char *name)
{
    struct nearest near = nearest_to(name);

    for (size_t i = 0; commands[i] != NULL; i++) {
        nearest_offer(&near, commands[i]->name);
    }
    if (near.best != NULL) {
        return cli_fail_text(CLI_USAGE, "\"%s\" is not a command; did you mean \"%s\"?",
                             name, near.best);
    }
    return cli_fail_text(
        CLI_USAGE, "\"%s\" is not a command; `postrider --help` lists them", name);
}

static int refuse_usage(const struct cli_command *command, const char *text)
{
    return cli_fail_text(CLI_USAGE,
                         "%s: %s; `postrider %s --help` explains the command",
                         command->name, text, command->name);
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
    struct cli_args args;
    struct rider_error err;

    if (cli_args_parse(command->flags, command->n_flags, argc, argv, &args, &err) !=
        0) {
        return refuse_usage(command, err.text);
    }
    if (args.help) {
        cli_help_command(stdout, command);
        return CLI_OK;
    }
    if (args.n_operands < command->min_operands) {
        (void)rider_fail(&err, RIDER_E_CONFIG, "%s is missing", command->operands);
        return refuse_usage(command, err.text);
    }
    if (args.n_operands > command->max_operands) {
        (void)rider_fail(&err, RIDER_E_CONFIG, "\"%.200s\" is too much",
                         args.operands[command->max_operands]);
        return refuse_usage(command, err.text);
    }
    return command->run(&args);
}

static int dispatch(int argc, char **argv)
{
    const struct cli_command *command;

    if (argc < 2) {
        cli_help_overview(stderr, commands);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        argv[1] = argv[0];
        return run_command(&cmd_version, argc - 1, argv + 1);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        command = argc > 2 ? find_command(argv[2]) : NULL;
        if (argc > 2 && command == NULL) {
            return refuse_command(argv[2]);
        }
        if (command != NULL) {
            cli_help_command(stdout, command);
        } else {
            cli_help_overview(stdout, commands);
        }
        return CLI_OK;
    }
    command = find_command(argv[1]);
    if (command == NULL) {
        return refuse_command(argv[1]);
    }
    return run_command(command, argc - 1, argv + 1);
}

int cli_main(int argc, char **argv)
{
    int status = dispatch(argc, argv);

    /* A full disk or a closed pipe must not look like success. */
    if ((fflush(stdout) != 0 || ferror(stdout) != 0) && status == CLI_OK) {
        struct rider_error err;

        (void)rider_fail_errno(&err, RIDER_E_IO, errno,
                               "could not write to standard output");
        return cli_fail(&err);
    }
    return status;
}
