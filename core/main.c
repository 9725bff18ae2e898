/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the program `postrider`.
 */
#include "cli/cli.h"

#include <signal.h>
#include <stddef.h>

int main(int argc, char **argv)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    /* A peer that hangs up must be an error code, not the end of the process. */
    (void)sigaction(SIGPIPE, &ignore, NULL);
    return cli_main(argc, argv);
}
