/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_settings.h - the configuration as commands read it: which file, which
 * adapters, which database.
 */
#ifndef CLI_CLI_SETTINGS_H
#define CLI_CLI_SETTINGS_H

#include "base/buf.h"
#include "cli/cli_args.h"
#include "daemon/configuration.h"

/** --config, $POSTRIDER_CONFIG, or the installed path. Borrowed. */
const char *cli_config_path(const struct cli_args *args);

/** --adapter-dir or $POSTRIDER_ADAPTER_DIR; NULL when the user named none. */
const char *cli_adapter_dir_override(const struct cli_args *args);

/** Where adapters are when neither the user nor the file says: "adapters" beside
 *  this program (a build tree), or the installed directory. */
int cli_adapter_dir_default(char *out, size_t size,
                            struct rider_error *err) RIDER_MUST_CHECK;

/** The adapters of the directory that the user names, or of the default one; no
 *  configuration is read. Caller ends it with plugin_registry_destroy(). */
int cli_registry_open(const struct cli_args *args, struct plugin_registry **ret,
                      struct rider_error *err) RIDER_MUST_CHECK;

/** Settings and the adapters they name. */
struct cli_settings {
    struct configuration_source source; /* its registry is NULL: no adapter named */
    struct configuration *configuration;
    const struct settings *settings; /* the configuration's; NULL after a failure */
    char default_dir[512];
    struct buf problems; /* one mistake, or warning, a line */
};

/** Reads the file and checks options against the adapters' tables. Fills
 *  problems either way; the caller ends *ret with cli_settings_done() even after
 *  a failure. Blocks on files and loads adapters. */
int cli_settings_read(const struct cli_args *args, struct cli_settings *ret,
                      struct rider_error *err) RIDER_MUST_CHECK;
void cli_settings_done(struct cli_settings *s);

/** The same, and says on standard error what is wrong with the file. Returns an
 *  exit status. */
int cli_settings_load(const struct cli_args *args,
                      struct cli_settings *ret) RIDER_MUST_CHECK;

/** Whether the user, or the installation, has a configuration file. */
bool cli_has_config(const struct cli_args *args);

/** Finds the database: --dsn, else the configuration file's, else, where there is
 *  no file, $DATABASE_URL. Loads no adapter. The text lives as long as `args` and
 *  `s`; the caller ends `s` with cli_settings_done(), whatever comes back. Returns
 *  an exit status. */
int cli_dsn(const struct cli_args *args, struct cli_settings *s,
            const char **ret_dsn) RIDER_MUST_CHECK;

#endif
