/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_args.c - what was written behind a command.
 *
 * The flag table becomes the tables of getopt_long(3), which knows all the
 * forms people write (-cFILE, --config=FILE, --, options behind operands).
 *
 * Not here: what a flag means.
 */
#include "cli/cli_args.h"

#include <getopt.h>
#include <string.h>

#define FIRST_LONG 256 /* getopt's code of flags[0]; above every letter */

/* getopt's two tables, made from ours. */
struct getopt_tables {
    struct option longs[CLI_MAX_FLAGS + 2];
    char letters[2 * CLI_MAX_FLAGS + 4];
};

static int make_tables(const struct cli_flag *flags, size_t n_flags,
                       struct getopt_tables *t, struct rider_error *err)
{
    size_t n = 0;

    if (n_flags > CLI_MAX_FLAGS) {
        return rider_fail(err, RIDER_E_INTERNAL, "a command has too many flags");
    }
    memset(t, 0, sizeof(*t));
    t->letters[n++] = ':'; /* tell a missing value from an unknown option */
    t->letters[n++] = 'h';
    for (size_t i = 0; i < n_flags; i++) {
        bool takes_value = flags[i].value != NULL;

        t->longs[i] = (struct option){flags[i].name,
                                      takes_value ? required_argument : no_argument,
                                      NULL, FIRST_LONG + (int)i};
        if (flags[i].letter != 0) {
            t->letters[n++] = flags[i].letter;
            if (takes_value) {
                t->letters[n++] = ':';
            }
        }
    }
    t->longs[n_flags] = (struct option){"help", no_argument, NULL, 'h'};
    return 0;
}

static const struct cli_flag *find_flag(const struct cli_flag *flags, size_t n_flags,
                                        int code)
{
    if (code >= FIRST_LONG && (size_t)(code - FIRST_LONG) < n_flags) {
        return &flags[code - FIRST_LONG];
    }
    for (size_t i = 0; i < n_flags; i++) {
        if (flags[i].letter != 0 && flags[i].letter == code) {
            return &flags[i];
        }
    }
    return NULL;
}

/* `word` is what getopt was looking at, `code` what it made of it. */
static int refuse(int code, const char *word, struct rider_error *err)
{
    const char *problem = code == ':' ? "needs a value" : "is not an option here";

    if (code != ':' && strchr(word, '=') != NULL) {
        problem = "is not an option here, or takes no value";
    }
    if (strncmp(word, "--", 2) == 0) {
        return rider_fail(err, RIDER_E_CONFIG, "\"%.*s\" %s", (int)strcspn(word, "="),
                          word, problem);
    }
    return rider_fail(err, RIDER_E_CONFIG, "\"-%c\" %s", optopt, problem);
}

int cli_args_parse(const struct cli_flag *flags, size_t n_flags, int argc, char **argv,
                   struct cli_args *ret, struct rider_error *err)
{
    struct getopt_tables tables;
    int code;
    int rc = make_tables(flags, n_flags, &tables, err);

    if (rc != 0) {
        return rc;
    }
    memset(ret, 0, sizeof(*ret));
    opterr = 0;
    optind = 0; /* glibc: start anew */
    /* Only the main thread parses. */
    while ((code = getopt_long(argc, argv, tables.letters, /* NOLINT */
                               tables.longs, NULL)) != -1) {
        if (code == 'h') {
            ret->help = true;
            continue;
        }
        const struct cli_flag *flag = find_flag(flags, n_flags, code);
        if (flag == NULL) {
            return refuse(code, argv[optind - 1], err);
        }
        if (ret->n_given == CLI_MAX_GIVEN) {
            return rider_fail(err, RIDER_E_CONFIG, "more than %d options",
                              CLI_MAX_GIVEN);
        }
        ret->given[ret->n_given].flag = flag;
        ret->given[ret->n_given++].value = optarg == NULL ? "" : optarg;
    }
    ret->operands = argv + optind;
    ret->n_operands = (size_t)(argc - optind);
    return 0;
}

const char *cli_arg_next(const struct cli_args *args, const char *name, size_t *at)
{
    while (*at < args->n_given) {
        size_t i = (*at)++;

        if (strcmp(args->given[i].flag->name, name) == 0) {
            return args->given[i].value;
        }
    }
    return NULL;
}

const char *cli_arg(const struct cli_args *args, const char *name)
{
    const char *last = NULL;
    const char *value;
    size_t at = 0;

    while ((value = cli_arg_next(args, name, &at)) != NULL) {
        last = value;
    }
    return last;
}

bool cli_given(const struct cli_args *args, const char *name)
{
    return cli_arg(args, name) != NULL;
}
