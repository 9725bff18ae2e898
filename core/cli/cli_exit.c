/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_exit.c - exit statuses, after sysexits.h.
 *
 * One table maps error codes, one table explains the statuses; every command
 * leaves through them.
 */
#include "cli/cli_exit.h"

#include <stdarg.h>
#include <stddef.h>

static const struct {
    enum rider_code code;
    enum cli_exit status;
} statuses[] = {
    {RIDER_OK, CLI_OK},
    {RIDER_E_NOMEM, CLI_TEMPORARY},
    {RIDER_E_CONFIG, CLI_CONFIG},
    {RIDER_E_IO, CLI_IO},
    {RIDER_E_TIMEOUT, CLI_TEMPORARY},
    {RIDER_E_PROTOCOL, CLI_INTERNAL},
    {RIDER_E_PERMISSION, CLI_PERMISSION},
    {RIDER_E_NOT_FOUND, CLI_DATA},
    {RIDER_E_DB, CLI_INTERNAL},
    {RIDER_E_DB_LOST, CLI_UNAVAILABLE},
    {RIDER_E_SCHEMA, CLI_CONFIG},
    {RIDER_E_FENCED, CLI_TEMPORARY},
    {RIDER_E_INTERNAL, CLI_INTERNAL},
};

static const struct {
    enum cli_exit status;
    const char *meaning;
} meanings[] = {
    {CLI_OK, "success"},
    {CLI_USAGE, "usage: an unknown command or option, or a missing one"},
    {CLI_DATA, "data: an event, signature or id that is wrong or unknown"},
    {CLI_UNAVAILABLE, "unavailable: the database cannot be reached"},
    {CLI_INTERNAL, "internal: the database refused, or a defect"},
    {CLI_IO, "I/O: a file or a socket failed"},
    {CLI_TEMPORARY, "temporary: try again later"},
    {CLI_PERMISSION, "permission: a file or a database right is missing"},
    {CLI_CONFIG, "configuration: the file, an adapter or the schema is wrong"},
};

int cli_exit_of(enum rider_code code)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (statuses[i].code == code) {
            return (int)statuses[i].status;
        }
    }
    return CLI_INTERNAL;
}

int cli_fail(const struct rider_error *err)
{
    return cli_fail_text(cli_exit_of(err->code), "%s", err->text);
}

int cli_fail_text(int status, const char *fmt, ...)
{
    va_list ap;

    (void)fflush(stdout);
    (void)fputs("postrider: ", stderr);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
    return status;
}

void cli_exit_describe(FILE *out)
{
    (void)fputs("\nExit status:\n", out);
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        (void)fprintf(out, "  %2d  %s\n", (int)meanings[i].status, meanings[i].meaning);
    }
}
