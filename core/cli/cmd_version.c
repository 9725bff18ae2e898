/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_version.c - postrider version.
 */
#include "cli/cli_command.h"
#include "outbox/migrate.h"
#include "postrider/publisher.h"
#include "postrider/version.h"

#include <stdio.h>

static int run(const struct cli_args *args)
{
    if (!cli_given(args, "json")) {
        (void)printf("postrider %s (adapter ABI %u.%u, outbox schema %d)\n",
                     RIDER_VERSION, RIDER_PUBLISHER_ABI_MAJOR,
                     RIDER_PUBLISHER_ABI_MINOR, outbox_schema_version());
        return CLI_OK;
    }
    (void)printf("{\"version\":\"%s\",\"abiMajor\":%u,\"abiMinor\":%u,"
                 "\"schemaVersion\":%d}\n",
                 RIDER_VERSION, RIDER_PUBLISHER_ABI_MAJOR, RIDER_PUBLISHER_ABI_MINOR,
                 outbox_schema_version());
    return CLI_OK;
}

static const struct cli_flag flags[] = {CLI_FLAG_JSON};

const struct cli_command cmd_version = {
    .name = "version",
    .summary = "print versions of program, adapter ABI and outbox schema",
    .description =
        "Prints the version of the program, of the ABI that adapters are built\n"
        "against, and of the outbox schema that `migrate` creates.",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .run = run,
};
