/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - the program `postrider`.
 */
#include "cli/cli.h"
#include "daemon/daemon.h"

#include <signal.h>

static int run(const struct cli_run_paths *paths, struct rider_error *err)
{
    const struct daemon_options options = {
        .config_path = paths->config_path,
        .adapter_dir = paths->adapter_dir,
        .default_adapter_dir = paths->default_adapter_dir,
    };

    return daemon_run(&options, err);
}

int main(int argc, char **argv)
{
    static const struct cli_hooks hooks = {.run = run};
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    /* A peer that hangs up must be an error code, not the end of the process. */
    (void)sigaction(SIGPIPE, &ignore, NULL);
    return cli_main(argc, argv, &hooks);
}
