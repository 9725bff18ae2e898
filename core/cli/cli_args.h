/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_args.h - what was written behind a command.
 *
 * A command declares its flags in a table; this module parses by it and
 * cli_help.h prints it. Flags are looked up by name.
 * Thread: main thread only, because getopt_long(3) keeps its state in globals.
 */
#ifndef CLI_CLI_ARGS_H
#define CLI_CLI_ARGS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define CLI_MAX_FLAGS 24 /* in one table */
#define CLI_MAX_GIVEN 64 /* on one command line */

struct cli_flag {
    const char *name;  /* "config": written --config */
    char letter;       /* 'c': written -c; 0: none */
    const char *value; /* what the value is called in the help; NULL: a switch */
    const char *help;
};

/* Flags that several commands share, so that they look the same everywhere. */
#define CLI_FLAG_CONFIG                                                     \
    {                                                                       \
        "config", 'c', "FILE", "the configuration file ($POSTRIDER_CONFIG)" \
    }
#define CLI_FLAG_ADAPTER_DIR                                                       \
    {                                                                              \
        "adapter-dir", 0, "DIR", "where the adapters are ($POSTRIDER_ADAPTER_DIR)" \
    }
#define CLI_FLAG_DSN                                                          \
    {                                                                         \
        "dsn", 0, "DSN",                                                      \
            "the database, instead of the one in the configuration file; no " \
            "password here, others can see it: use PGPASSWORD or ~/.pgpass"   \
    }
#define CLI_FLAG_JSON                              \
    {                                              \
        "json", 0, NULL, "print JSON for programs" \
    }

struct cli_args {
    struct {
        const struct cli_flag *flag;
        const char *value; /* "" for a switch */
    } given[CLI_MAX_GIVEN];
    size_t n_given;
    char *const *operands; /* borrowed from argv */
    size_t n_operands;
    bool help; /* --help or -h was given: nothing else matters */
};

/** Parses argv[1..]; argv[0] is the command's name. Reorders argv. --help and -h
 *  are always known. RIDER_E_CONFIG with a text for the user. */
int cli_args_parse(const struct cli_flag *flags, size_t n_flags, int argc, char **argv,
                   struct cli_args *ret, struct rider_error *err) RIDER_MUST_CHECK;

/** The last value given for a flag, or NULL. */
const char *cli_arg(const struct cli_args *args, const char *name);
bool cli_given(const struct cli_args *args, const char *name);

/** The values of a flag one by one: start with *at 0; NULL at the end. */
const char *cli_arg_next(const struct cli_args *args, const char *name, size_t *at);

#endif
