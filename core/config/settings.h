/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.h - what the configuration file says, checked and typed.
 *
 * One immutable object per read of the file; a reload makes a new one and the
 * old one lives until nothing refers to it. Every mistake of the file is
 * reported at once, each as file:line:col: path: reason.
 *
 * Adapter options are checked against the adapter's own table, which this
 * module asks of the caller: it never loads a plugin itself.
 */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "base/buf.h"
#include "base/error.h"
#include "postrider/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum settings_ordering { ORDERING_KEY, ORDERING_NONE };
enum settings_on_dead { ON_DEAD_SKIP, ON_DEAD_HOLD };
enum settings_start { START_BEGINNING, START_NOW };

struct source_settings {
    const char *dsn;       /* libpq connection string or URI; secret */
    uint64_t poll_min_ms;  /* pause between polls while events arrive */
    uint64_t poll_max_ms;  /* pause the poll backs off to when idle */
    uint64_t lease_ms;     /* how long a lane stays with a silent process */
    uint64_t retention_ms; /* how long settled events are kept */
    int64_t batch;         /* rows per read: 1 to 1000 */
};

struct retry_settings {
    uint64_t initial_ms, max_ms;
    int64_t max_attempts; /* an event is dead after so many failures of its own */
};

struct destination_settings {
    const char *name;    /* [a-z][a-z0-9_-]{0,62} */
    const char *adapter; /* "kafka": postrider-kafka.so */
    uint32_t envelope;   /* enum rider_envelope */
    uint32_t ordering;   /* enum settings_ordering */
    uint32_t on_dead;    /* enum settings_on_dead */
    uint32_t start_from; /* enum settings_start, for a lane that does not exist yet */
    struct retry_settings retry;
    int64_t max_in_flight;   /* events handed to the adapter and not yet settled */
    int64_t partitions;      /* lanes it is split into, by aggregate */
    uint64_t max_bytes;      /* memory for events of this destination */
    const char *dead_letter; /* destination that gets its dead events too; or NULL */
    bool subscriptions;      /* expand into one delivery per subscription */
    void *options;           /* the adapter's config struct, filled from its table */
    uint64_t fingerprint;    /* equal fingerprints: nothing about it changed */
    unsigned int line;       /* where it stands in the file */
};

/** An event goes to every destination of every route that matches it. */
struct route_settings {
    const char *const *types;           /* globs, NULL-terminated; NULL: any */
    const char *const *aggregate_types; /* globs, NULL-terminated; NULL: any */
    const size_t *to;                   /* indexes into settings.destinations */
    size_t n_to;
};

struct ops_settings {
    const char *listen; /* "127.0.0.1:9464" or "[::1]:9464"; NULL: no listener */
};

struct api_settings {
    const char *listen;     /* as ops_settings.listen; NULL: no API */
    const char *token_file; /* set when listen is */
    const char *const
        *hosts;     /* more names in the Host header; NULL-terminated, or NULL */
    bool plaintext; /* listen may be reachable from other hosts */
};

struct webhooks_settings {
    const char *key_ring;    /* the file of webhooks/key_ring.h; set when a destination
                                has subscriptions */
    const char *signing_key; /* whsk_ text; NULL: no v1a signatures; secret */
};

struct log_settings {
    uint32_t level;  /* enum log_level */
    uint32_t format; /* enum log_format */
};

struct settings {
    const char *path;
    const char *adapter_dir;
    uint64_t drain_ms; /* how long a stop waits for open deliveries */
    struct source_settings source;
    struct ops_settings ops;
    struct api_settings api;
    struct webhooks_settings webhooks;
    struct log_settings log;
    const struct destination_settings *destinations;
    size_t n_destinations;
    const struct route_settings *routes;
    size_t n_routes;
};

/** What is needed to check the options of one adapter. */
struct adapter_options {
    const struct rider_option *table;
    size_t option_size, config_size;
    uint32_t caps;
};

/** Looks an adapter up by type in `adapter_dir`; a failure's text becomes the
 *  message for the destination that names it. */
typedef int adapter_lookup_fn(void *arg, const char *adapter_dir, const char *type,
                              struct adapter_options *ret, struct rider_error *err);

struct settings_load {
    const char *path; /* the file */
    const char *default_adapter_dir;
    adapter_lookup_fn *lookup; /* NULL: options stay unchecked and unset */
    void *lookup_arg;
};

/** Reads and checks the file, at most 1 MB. On failure *problems gets one line
 *  per mistake, in the order of the file, and `err` a summary; *ret is untouched.
 *  On success *problems may hold warnings, whose reason begins with "warning: ".
 *  A source without dsn takes the environment variable DATABASE_URL. Blocks on
 *  files. Caller ends it with settings_destroy(), which accepts NULL. */
int settings_read(const struct settings_load *load, struct settings **ret,
                  struct buf *problems, struct rider_error *err) RIDER_MUST_CHECK;
void settings_destroy(struct settings *s);

/** Appends a Markdown table (json false) or a JSON Schema object (json true) of
 *  an option table; `docs/reference/configuration.md` and
 *  `config/postrider.schema.json` are made of these. */
void settings_describe_options(const struct rider_option *table, size_t option_size,
                               bool json, struct buf *out);

/** An adapter whose options are described along with the file. Borrowed. */
struct described_adapter {
    const char *name, *summary;
    const struct rider_option *table;
    size_t option_size;
};

/** The same for the file as a whole, with the options of these adapters. */
void settings_describe(const struct described_adapter *adapters, size_t n_adapters,
                       bool json, struct buf *out);

#endif
