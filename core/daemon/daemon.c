/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon.c - the main thread: start, signals, reload, drain.
 *
 * A reload reads the whole file, creates what is new, and only then touches
 * what runs; a file with a mistake changes nothing. The process ends by itself
 * even when an adapter hangs: a limit after the drain deadline cuts it off,
 * which loses nothing, since only settled events are settled.
 */
#include "daemon/daemon.h"

#include "api/api_routes.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/backend.h"
#include "daemon/configuration.h"
#include "daemon/lane_set.h"
#include "daemon/membership.h"
#include "daemon/monitor.h"
#include "daemon/operations.h"
#include "daemon/report.h"
#include "daemon/sd_notify.h"
#include "daemon/signals.h"
#include "http/http_server.h"
#include "outbox/secret_store.h"
#include "postrider/version.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROBLEMS_MAX   ((size_t)256 * 1024)
#define AFTER_DRAIN_MS 6000 /* adapter stop and lease release, with slack */
#define WATCH_MS       1000
#define EXIT_TEMPFAIL  75 /* sysexits.h */

struct daemon {
    struct configuration_source source;
    struct configuration *configuration;
    struct configuration *opened; /* the one the listeners were opened from */
    struct lane_set *lanes;
    struct membership *membership;
    struct operations *operations; /* NULL: no destination has subscriptions */
    struct http_server *ops;
    struct ops_source ops_source;
    struct api *api;
    struct report report;
    int signals;
    char owner[128];
};

static void name_owner(struct daemon *d)
{
    char host[64] = "localhost";
    struct prng g = prng_random();

    (void)gethostname(host, sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    (void)snprintf(d->owner, sizeof(d->owner), "%s:%d:%06llx", host, (int)getpid(),
                   (unsigned long long)(prng_next(&g) & 0xffffff));
}

static void print_problems(const struct buf *problems)
{
    const char *line = buf_text(problems);

    while (*line != '\0') {
        size_t len = strcspn(line, "\n");
        log_warn("config", "config.problem", "%.*s", (int)len, line);
        line += len + (line[len] == '\n');
    }
}

static bool has_subscriptions(const struct settings *s)
{
    for (size_t i = 0; i < s->n_destinations; i++) {
        if (s->destinations[i].subscriptions) {
            return true;
        }
    }
    return false;
}

/* Without a key that secrets need, subscriptions would stand still one by one: better
 * not to start, or not to reload. A database that is down cannot be asked. */
static int check_secrets(const struct configuration *c, struct rider_error *err)
{
    struct buf missing = buf_make(1024);
    struct rider_error unknown;
    int rc = 0;

    if (!has_subscriptions(c->settings)) {
        return 0;
    }
    if (secret_store_missing_keys(c->settings->source.dsn, c->key_ring, &missing,
                                  &unknown) != 0) {
        log_warn("config", "config.secrets_unchecked",
                 "could not check that the key ring fits the stored secrets: %s",
                 unknown.text);
    } else if (missing.len > 0) {
        rc = rider_fail(err, RIDER_E_CONFIG,
                        "webhooks.key_ring: \"%s\" lacks key %s, which stored secrets "
                        "need: put it back",
                        c->settings->webhooks.key_ring, buf_text(&missing));
    }
    buf_done(&missing);
    return rc;
}

static int read_configuration(struct daemon *d, struct configuration **ret,
                              struct rider_error *err)
{
    struct buf problems = buf_make(PROBLEMS_MAX);
    int rc = configuration_read(&d->source, ret, &problems, err);

    print_problems(&problems);
    buf_done(&problems);
    return rc;
}

static int start_ops(struct daemon *d, struct rider_error *err)
{
    const char *listen = d->configuration->settings->ops.listen;

    if (listen == NULL) {
        return 0;
    }
    d->ops_source = (struct ops_source){.arg = &d->report,
                                        .metrics = report_metrics,
                                        .live = report_live,
                                        .ready = report_ready};
    const struct http_server_options options = {
        .listen = listen, .handler = ops_routes_handle, .arg = &d->ops_source};
    int rc = http_server_start(&options, &d->ops, err);
    if (rc == 0) {
        log_info("ops", "ops.listening", "serving metrics and health on http://%s",
                 http_server_address(d->ops));
    }
    return rc;
}

static int start_api(struct daemon *d, struct rider_error *err)
{
    const struct settings *s = d->configuration->settings;
    struct api_options options = {.listen = s->api.listen,
                                  .token_file = s->api.token_file};

    if (options.listen == NULL) {
        return 0;
    }
    int rc = backend_make(d->configuration, d->source.registry, &options.backend, err);
    if (rc == 0) {
        rc = api_start(&options, &d->api, err);
    }
    if (rc == 0) {
        log_info("api", "api.listening", "serving the API on http://%s",
                 api_address(d->api));
    }
    return rc;
}

static void set_log(const struct settings *s)
{
    log_setup((enum log_level)s->log.level, (enum log_format)s->log.format);
}

static void mark_generation(struct daemon *d)
{
    atomic_fetch_add(&d->report.generation, 1);
    atomic_store(&d->report.last_reload_ok, true);
    atomic_store(&d->report.last_reload_s, clock_wall_us() / 1000000);
}

static int start(struct daemon *d, struct rider_error *err)
{
    int rc = read_configuration(d, &d->configuration, err);

    if (rc != 0) {
        return rc;
    }
    d->opened = configuration_ref(d->configuration);
    const struct settings *s = d->configuration->settings;
    set_log(s);
    log_info("daemon", "daemon.start",
             "postrider %s starts as %s with %zu destinations", RIDER_VERSION, d->owner,
             s->n_destinations);
    rc = check_secrets(d->configuration, err);
    if (rc == 0) {
        rc = signals_open(&d->signals, err);
    }
    if (rc == 0) {
        rc = monitor_create(s->source.dsn, s->source.retention_ms, &d->report.monitor,
                            err);
    }
    if (rc == 0) {
        rc = start_ops(d, err);
    }
    if (rc == 0) {
        rc = start_api(d, err);
    }
    if (rc == 0) {
        rc = lane_set_apply(d->lanes, d->configuration, d->source.registry, err);
    }
    if (rc == 0) {
        rc = membership_create(s->source.dsn, d->owner, s->source.lease_ms, d->lanes,
                               &d->membership, err);
    }
    if (rc == 0) {
        rc = operations_apply(&d->operations, s, err);
    }
    return rc;
}

/* The heartbeat follows another database or lease. */
static int restart_membership(struct daemon *d, const struct source_settings *next,
                              struct rider_error *err)
{
    const struct source_settings *now = &d->configuration->settings->source;

    if (strcmp(now->dsn, next->dsn) == 0 && now->lease_ms == next->lease_ms) {
        return 0;
    }
    membership_destroy(d->membership);
    d->membership = NULL;
    return membership_create(next->dsn, d->owner, next->lease_ms, d->lanes,
                             &d->membership, err);
}

/* Listeners stay as they were opened: to close one would cut off who is asking. */
static void warn_of_listeners(const struct settings *open, const struct settings *next)
{
    const struct {
        const char *key, *open, *next;
    } fixed[] = {
        {"ops.listen", open->ops.listen, next->ops.listen},
        {"api.listen", open->api.listen, next->api.listen},
        {"api.token_file", open->api.token_file, next->api.token_file},
    };

    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        const char *a = fixed[i].open == NULL ? "" : fixed[i].open;
        const char *b = fixed[i].next == NULL ? "" : fixed[i].next;
        if (strcmp(a, b) != 0) {
            log_warn("config", "config.restart_needed",
                     "%s has changed: it takes a restart, ignoring", fixed[i].key);
        }
    }
}

static int renew_backend(struct daemon *d, struct configuration *next,
                         struct rider_error *err)
{
    struct api_backend backend;

    if (d->api == NULL) {
        return 0;
    }
    int rc = backend_make(next, d->source.registry, &backend, err);
    return rc == 0 ? api_set_backend(d->api, &backend, err) : rc;
}

static int take_over(struct daemon *d, struct configuration *next,
                     struct rider_error *err)
{
    int rc = check_secrets(next, err);

    if (rc == 0) {
        rc = lane_set_apply(d->lanes, next, d->source.registry, err);
    }
    if (rc == 0) {
        rc = restart_membership(d, &next->settings->source, err);
    }
    if (rc == 0) {
        rc = operations_apply(&d->operations, next->settings, err);
    }
    if (rc == 0) {
        rc = renew_backend(d, next, err);
    }
    if (rc != 0) {
        configuration_unref(next);
        return rc;
    }
    warn_of_listeners(d->opened->settings, next->settings);
    monitor_set_source(d->report.monitor, next->settings->source.dsn,
                       next->settings->source.retention_ms);
    set_log(next->settings);
    configuration_unref(d->configuration);
    d->configuration = next;
    mark_generation(d);
    return 0;
}

static void reload(struct daemon *d)
{
    struct configuration *next = NULL;
    struct rider_error err = {.text = ""};

    sd_notify_send("RELOADING=1");
    int rc = read_configuration(d, &next, &err);
    if (rc == 0) {
        rc = take_over(d, next, &err);
    }
    if (rc != 0) {
        atomic_store(&d->report.last_reload_ok, false);
        log_error("config", "config.refused", "%s, keeping the old configuration",
                  err.text);
    } else {
        log_info("config", "config.reloaded", "configuration generation %llu is in use",
                 (unsigned long long)atomic_load(&d->report.generation));
    }
    sd_notify_send("READY=1");
}

static void run_until_stop(struct daemon *d)
{
    struct pollfd fd = {.fd = d->signals, .events = POLLIN};

    for (;;) {
        enum signal_request request = signals_next(d->signals);
        if (request == SIGNAL_STOP) {
            return;
        }
        if (request == SIGNAL_RELOAD) {
            reload(d);
            continue;
        }
        (void)poll(&fd, 1, WATCH_MS);
        sd_notify_send("WATCHDOG=1");
    }
}

static void drain(struct daemon *d)
{
    struct pollfd fd = {.fd = d->signals, .events = POLLIN};
    uint64_t drain_ms = d->configuration->settings->drain_ms;
    uint64_t deadline = clock_mono_ms() + drain_ms;

    sd_notify_send("STOPPING=1");
    membership_destroy(
        d->membership); /* the others may take over as lanes are released */
    d->membership = NULL;
    atomic_store(&d->report.draining, true);
    log_info("daemon", "daemon.drain",
             "stopping, waiting up to %llu ms for open deliveries",
             (unsigned long long)drain_ms);
    lane_set_stop(d->lanes, deadline);
    while (!lane_set_has_ended(d->lanes)) {
        (void)poll(&fd, 1, 20);
        if (signals_next(d->signals) == SIGNAL_STOP) {
            log_warn("daemon", "daemon.cut_off", "second stop request, ending at once");
            _exit(EXIT_TEMPFAIL);
        }
        if (clock_mono_ms() > deadline + AFTER_DRAIN_MS) {
            log_error(
                "daemon", "daemon.cut_off",
                "an adapter does not stop in time, ending; nothing is lost, what was "
                "open is sent again");
            _exit(EXIT_TEMPFAIL);
        }
    }
}

static void finish(struct daemon *d)
{
    api_stop(d->api);
    http_server_stop(d->ops);
    membership_destroy(d->membership);
    operations_destroy(d->operations);
    monitor_destroy(d->report.monitor);
    lane_set_destroy(d->lanes);
    configuration_unref(d->opened);
    configuration_unref(d->configuration);
    configuration_source_done(&d->source);
    if (d->signals >= 0) {
        (void)close(d->signals);
    }
    free(d);
}

int daemon_run(const struct daemon_options *options, struct rider_error *err)
{
    struct daemon *d = calloc(1, sizeof(*d));

    if (d == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    d->signals = -1;
    d->source = (struct configuration_source){.path = options->config_path,
                                              .adapter_dir = options->adapter_dir,
                                              .default_adapter_dir =
                                                  options->default_adapter_dir};
    name_owner(d);
    d->lanes = lane_set_create(d->owner);
    d->report.lanes = d->lanes;
    int rc = d->lanes == NULL ? rider_fail(err, RIDER_E_NOMEM, "out of memory")
                              : start(d, err);
    if (rc == 0) {
        atomic_store(&d->report.started, true);
        mark_generation(d);
        sd_notify_send("READY=1");
        run_until_stop(d);
        drain(d);
        log_info("daemon", "daemon.stop", "stopped");
    } else if (d->lanes != NULL) {
        lane_set_stop(d->lanes, clock_mono_ms());
    }
    finish(d);
    return rc;
}
