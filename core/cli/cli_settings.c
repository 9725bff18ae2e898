/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_settings.c - the configuration as commands read it.
 *
 * Adapters are looked up in the user's directory if one was named, else in the
 * file's, else in the default.
 *
 * Not here: reading (daemon/configuration.h), the rules of the file
 * (config/settings.h).
 */
#include "cli/cli_settings.h"

#include "cli/cli_exit.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PROBLEMS ((size_t)256 * 1024)

/* The environment is read on the main thread, before others start. */
static const char *environment(const char *name)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe) */

    return value == NULL || value[0] == '\0' ? NULL : value;
}

const char *cli_config_path(const struct cli_args *args)
{
    const char *path = cli_arg(args, "config");

    if (path == NULL) {
        path = environment("POSTRIDER_CONFIG");
    }
    return path == NULL ? POSTRIDER_CONFIG_PATH : path;
}

const char *cli_adapter_dir_override(const struct cli_args *args)
{
    const char *dir = cli_arg(args, "adapter-dir");

    return dir == NULL ? environment("POSTRIDER_ADAPTER_DIR") : dir;
}

int cli_adapter_dir_default(char *out, size_t size, struct rider_error *err)
{
    char exe[PATH_MAX];
    struct stat st;
    ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    if (len > 0) {
        exe[len] = '\0';
        char *slash = strrchr(exe, '/');
        int n = slash == NULL
                    ? -1
                    : snprintf(out, size, "%.*s/adapters", (int)(slash - exe), exe);

        if (n > 0 && (size_t)n < size && stat(out, &st) == 0 && S_ISDIR(st.st_mode)) {
            return 0;
        }
    }
    if (snprintf(out, size, "%s", POSTRIDER_ADAPTER_DIR) >= (int)size) {
        return rider_fail(err, RIDER_E_INTERNAL,
                          "the adapter directory's name is too long");
    }
    return 0;
}

int cli_registry_open(const struct cli_args *args, struct plugin_registry **ret,
                      struct rider_error *err)
{
    const char *dir = cli_adapter_dir_override(args);
    char default_dir[512];

    if (dir == NULL) {
        int rc = cli_adapter_dir_default(default_dir, sizeof(default_dir), err);
        if (rc != 0) {
            return rc;
        }
        dir = default_dir;
    }
    return plugin_registry_create(dir, ret, err);
}

static int read_into(struct cli_settings *s, struct rider_error *err)
{
    int rc = configuration_read(&s->source, &s->configuration, &s->problems, err);

    if (rc == 0) {
        s->settings = s->configuration->settings;
    }
    return rc;
}

int cli_settings_read(const struct cli_args *args, struct cli_settings *ret,
                      struct rider_error *err)
{
    *ret = (struct cli_settings){
        .source = {.path = cli_config_path(args),
                   .adapter_dir = cli_adapter_dir_override(args),
                   .default_adapter_dir = ret->default_dir},
        .problems = buf_make(MAX_PROBLEMS),
    };
    int rc = cli_adapter_dir_default(ret->default_dir, sizeof(ret->default_dir), err);

    return rc == 0 ? read_into(ret, err) : rc;
}

void cli_settings_done(struct cli_settings *s)
{
    configuration_unref(s->configuration);
    configuration_source_done(&s->source);
    buf_done(&s->problems);
    s->configuration = NULL;
    s->settings = NULL;
}

/* A file that is missing or unreadable is a mistake of the configuration as well:
 * trying again, as after another I/O error, does not help. */
static int fail_reading(const struct rider_error *err)
{
    int status = cli_fail(err);

    return status == CLI_IO ? CLI_CONFIG : status;
}

/* Says what the reading found; an exit status. */
static int say_problems(const struct cli_settings *s, int rc,
                        const struct rider_error *err)
{
    /* The only problem may be the summary itself. */
    if (rc == 0 || strncmp(buf_text(&s->problems), err->text, strlen(err->text)) != 0) {
        (void)fputs(buf_text(&s->problems), stderr);
    }
    return rc == 0 ? CLI_OK : fail_reading(err);
}

int cli_settings_load(const struct cli_args *args, struct cli_settings *ret)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    int rc = cli_settings_read(args, ret, &err);

    return say_problems(ret, rc, &err);
}

bool cli_has_config(const struct cli_args *args)
{
    return cli_given(args, "config") || environment("POSTRIDER_CONFIG") != NULL ||
           access(POSTRIDER_CONFIG_PATH, F_OK) == 0;
}

/* The file alone: these commands must work where adapters are not installed. */
static int read_dsn(const struct cli_args *args, struct cli_settings *s)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};

    s->source.path = cli_config_path(args);
    s->source.default_adapter_dir = POSTRIDER_ADAPTER_DIR;
    s->source.no_adapters = true;
    int rc = read_into(s, &err);

    return say_problems(s, rc, &err);
}

int cli_dsn(const struct cli_args *args, struct cli_settings *s, const char **ret_dsn)
{
    const char *dsn = cli_arg(args, "dsn");

    *s = (struct cli_settings){.problems = buf_make(MAX_PROBLEMS)};
    if (dsn == NULL && !cli_has_config(args)) {
        dsn = environment("DATABASE_URL");
    }
    if (dsn == NULL) {
        int status = read_dsn(args, s);

        if (status != CLI_OK) {
            return status;
        }
        dsn = s->settings->source.dsn;
    }
    *ret_dsn = dsn;
    return CLI_OK;
}
