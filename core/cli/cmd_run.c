/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_run.c - postrider run: hands over to the daemon.
 */
#include "cli/cli_command.h"
#include "cli/cli_settings.h"
#include "daemon/daemon.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* A destination may hold thousands of connections, and the usual limit of 1024 is
 * for programs that call select(), which this one does not. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int run(const struct cli_args *args)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    char default_dir[512];
    const struct daemon_options options = {
        .config_path = cli_config_path(args),
        .adapter_dir = cli_adapter_dir_override(args),
        .default_adapter_dir = default_dir,
    };

    /* As with any mistake of the configuration, a restart would not help. */
    if (access(options.config_path, R_OK) != 0) {
        (void)rider_fail_errno(&err, RIDER_E_CONFIG, errno, "could not read \"%s\"",
                               options.config_path);
        return cli_fail(&err);
    }
    /* The process holds passwords and payloads: no core dumps, no debuggers. */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    raise_file_limit();
    if (cli_adapter_dir_default(default_dir, sizeof(default_dir), &err) != 0 ||
        daemon_run(&options, &err) != 0) {
        return cli_fail(&err);
    }
    return CLI_OK;
}

static const struct cli_flag flags[] = {
    CLI_FLAG_CONFIG,
    CLI_FLAG_ADAPTER_DIR,
};

const struct cli_command cmd_run = {
    .name = "run",
    .summary = "run the relay",
    .description =
        "Reads the outbox and delivers to every destination until it is told to stop.\n"
        "\n"
        "SIGTERM or SIGINT drains: nothing new is read, open deliveries end, leases "
        "are\n"
        "given up, the status is 0. A second signal stops at once; what was open is\n"
        "delivered again later. SIGHUP reads the configuration anew and keeps the old\n"
        "one if the new one is wrong. Logs go to standard error.\n"
        "\n"
        "A database or destination that is down is no reason to end: the relay keeps\n"
        "trying and says so in the log, in /readyz and in `postrider status`.",
    .examples =
        "  postrider run -c postrider.yaml\n"
        "  postrider check -c postrider.yaml && postrider run -c postrider.yaml\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .run = run,
};
