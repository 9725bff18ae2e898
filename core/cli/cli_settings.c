/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_settings.c - the configuration as commands read it.
 *
 * Adapters are looked up in the user's directory if one was named, else in the
 * file's, else in the default. The registry opens at the first lookup, when the
 * directory is known.
 *
 * Not here: the rules of the file (config/settings.h).
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

static int look_up(void *arg, const char *adapter_dir, const char *type,
                   struct adapter_options *ret, struct rider_error *err)
{
    struct cli_settings *s = arg;
    const struct publisher_vtable *vt = NULL;
    int rc = 0;

    if (s->registry == NULL) {
        const char *dir = s->adapter_dir != NULL ? s->adapter_dir : adapter_dir;

        rc = plugin_registry_create(dir, &s->registry, err);
    }
    if (rc == 0) {
        rc = plugin_registry_get(s->registry, type, &vt, err);
    }
    if (rc != 0) {
        return rc;
    }
    *ret = (struct adapter_options){vt->options, vt->option_size, vt->config_size,
                                    vt->caps};
    return 0;
}

int cli_settings_read(const struct cli_args *args, struct cli_settings *ret,
                      struct rider_error *err)
{
    *ret = (struct cli_settings){
        .adapter_dir = cli_adapter_dir_override(args),
        .problems = buf_make(MAX_PROBLEMS),
    };
    int rc = cli_adapter_dir_default(ret->default_dir, sizeof(ret->default_dir), err);
    if (rc != 0) {
        return rc;
    }
    const struct settings_load load = {
        .path = cli_config_path(args),
        .default_adapter_dir =
            ret->adapter_dir != NULL ? ret->adapter_dir : ret->default_dir,
        .lookup = look_up,
        .lookup_arg = ret,
    };
    return settings_read(&load, &ret->settings, &ret->problems, err);
}

void cli_settings_done(struct cli_settings *s)
{
    settings_destroy(s->settings);
    plugin_registry_destroy(s->registry);
    buf_done(&s->problems);
    s->settings = NULL;
    s->registry = NULL;
}

/* A file that is missing or unreadable is a mistake of the configuration as well:
 * trying again, as after another I/O error, does not help. */
static int fail_reading(const struct rider_error *err)
{
    int status = cli_fail(err);

    return status == CLI_IO ? CLI_CONFIG : status;
}

/* Whether the user, or the installation, has a configuration file. */
static bool has_config(const struct cli_args *args)
{
    return cli_given(args, "config") || environment("POSTRIDER_CONFIG") != NULL ||
           access(POSTRIDER_CONFIG_PATH, F_OK) == 0;
}

/* The file alone: these commands must work where adapters are not installed. */
static int read_dsn(const struct cli_args *args, struct cli_settings *s)
{
    const struct settings_load load = {
        .path = cli_config_path(args),
        .default_adapter_dir = POSTRIDER_ADAPTER_DIR,
    };
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    int rc = settings_read(&load, &s->settings, &s->problems, &err);

    /* The only problem may be the summary itself. */
    if (strncmp(buf_text(&s->problems), err.text, strlen(err.text)) != 0 || rc == 0) {
        (void)fputs(buf_text(&s->problems), stderr);
    }
    return rc == 0 ? CLI_OK : fail_reading(&err);
}

int cli_dsn(const struct cli_args *args, struct cli_settings *s, const char **ret_dsn)
{
    const char *dsn = cli_arg(args, "dsn");

    *s = (struct cli_settings){.problems = buf_make(MAX_PROBLEMS)};
    if (dsn == NULL && !has_config(args)) {
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
