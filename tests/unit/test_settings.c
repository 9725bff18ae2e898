/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_settings.c - whole files: what a good one becomes, and the exact words
 * and place of each mistake of a bad one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "config/settings.h"
#include "postrider/publisher.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One thread only: nobody reads the environment meanwhile. */
static int set_variable(const char *name, const char *value)
{
    return value == NULL ? unsetenv(name)          /* NOLINT(concurrency-mt-unsafe) */
                         : setenv(name, value, 1); /* NOLINT(concurrency-mt-unsafe) */
}

/* ---- an adapter table, and files in a folder of their own ---- */

struct demo_config {
    const char *topic;
    const char *password;
    struct rider_properties rest;
};

static const struct rider_option demo_rows[] = {
    {.name = "topic",
     .type = RIDER_TEMPLATE,
     .flags = RIDER_OPT_REQUIRED,
     .offset = RIDER_FIELD(struct demo_config, topic, const char *)},
    {.name = "password",
     .type = RIDER_STRING,
     .flags = RIDER_OPT_SECRET,
     .offset = RIDER_FIELD(struct demo_config, password, const char *)},
    {0},
};
static const struct rider_option any_rows[] = {
    {.name = "*",
     .type = RIDER_PROPERTIES,
     .offset = RIDER_FIELD(struct demo_config, rest, struct rider_properties)},
    {0},
};

static int lookup(void *arg, const char *adapter_dir, const char *type,
                  struct adapter_options *ret, struct rider_error *err)
{
    bool any = arg != NULL;

    assert_non_null(adapter_dir);
    if (!any && strcmp(type, "demo") != 0 && strcmp(type, "many") != 0) {
        return rider_fail(err, RIDER_E_NOT_FOUND,
                          "there is no adapter \"%s\" in \"%s\"", type, adapter_dir);
    }
    ret->table = any ? any_rows : demo_rows;
    ret->option_size = sizeof(demo_rows[0]);
    ret->config_size = sizeof(struct demo_config);
    ret->caps = any || strcmp(type, "many") == 0 ? RIDER_CAP_SUBSCRIPTIONS : 0;
    return 0;
}

struct result {
    struct settings *settings;
    struct buf problems;
    struct rider_error err;
    int rc;
};

static void load(struct result *r, const char *path, void *any)
{
    const struct settings_load load = {.path = path,
                                       .default_adapter_dir = "/lib/x",
                                       .lookup = lookup,
                                       .lookup_arg = any};

    *r = (struct result){.problems = buf_make(1 << 16)};
    r->rc = settings_read(&load, &r->settings, &r->problems, &r->err);
}

static void read_mode(struct result *r, const char *text, size_t len, mode_t mode)
{
    int fd = open("p.yaml", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
    load(r, "p.yaml", NULL);
}

static void read_text(struct result *r, const char *text)
{
    read_mode(r, text, strlen(text), 0600);
}

static void end(struct result *r)
{
    settings_destroy(r->settings);
    buf_done(&r->problems);
}

/* ---- good files ---- */

static const char minimal[] = "source: {dsn: dbname=x}\n"
                              "destinations:\n"
                              "  - name: a\n"
                              "    adapter: demo\n"
                              "    options: {topic: t}\n"
                              "routes:\n"
                              "  - to: [a]\n";

static void test_defaults(void **state)
{
    struct result r;
    (void)state;

    read_text(&r, minimal);
    assert_string_equal(buf_text(&r.problems), "");
    assert_int_equal(r.rc, 0);
    const struct settings *s = r.settings;
    assert_string_equal(s->path, "p.yaml");
    assert_string_equal(s->adapter_dir, "/lib/x");
    assert_int_equal(s->drain_ms, 10000);
    assert_string_equal(s->source.dsn, "dbname=x");
    assert_int_equal(s->source.poll_min_ms, 2);
    assert_int_equal(s->source.poll_max_ms, 100);
    assert_int_equal(s->source.lease_ms, 10000);
    assert_int_equal(s->source.retention_ms, 7 * 86400000);
    assert_int_equal(s->source.batch, 1000);
    assert_null(s->ops.listen);
    assert_int_equal(s->log.level, LOG_INFO_LEVEL);
    assert_int_equal(s->log.format, LOG_FORMAT_AUTO);
    assert_int_equal(s->n_routes, 1);
    assert_null(s->routes[0].types);
    assert_null(s->routes[0].aggregate_types);

    const struct destination_settings *d = s->destinations;
    assert_int_equal(s->n_destinations, 1);
    assert_int_equal(d->envelope, RIDER_ENVELOPE_CANONICAL);
    assert_int_equal(d->ordering, ORDERING_KEY);
    assert_int_equal(d->on_dead, ON_DEAD_SKIP);
    assert_int_equal(d->start_from, START_BEGINNING);
    assert_int_equal(d->retry.initial_ms, 200);
    assert_int_equal(d->retry.max_ms, 300000);
    assert_int_equal(d->retry.max_attempts, 20);
    assert_int_equal(d->max_in_flight, 4096);
    assert_int_equal(d->max_bytes, 16 << 20);
    assert_false(d->subscriptions);
    assert_int_equal(d->line, 3);
    assert_string_equal(((const struct demo_config *)d->options)->topic, "t");
    end(&r);
}

static const char full[] =
    "adapter_dir: /opt/adapters\n"
    "drain: 0\n"
    "source: {dsn: \"${T_DSN}\", poll_min: 5ms, poll_max: 1s, lease: 1s, batch: "
    "\"10\"}\n"
    "ops: {listen: \"[::1]:9464\"}\n"
    "log: {level: debug, format: json}\n"
    "webhooks: {key_ring: /etc/keys}\n"
    "destinations:\n"
    "  - {name: a, adapter: demo, envelope: cloudevents-binary, ordering: none,\n"
    "     on_dead: hold, start_from: now, retry: {initial: 1s, max: 1s}, options:\n"
    "     {topic: \"{type}\", password: p}}\n"
    "  - {name: b-2, adapter: many, subscriptions: true, max_bytes: 1MB,\n"
    "     max_in_flight: 1, options: {topic: x}}\n"
    "routes:\n"
    "  - match: {type: [\"REQUEST_*\", order.x], aggregate_type: request}\n"
    "    to: [b-2, a]\n"
    "  - to: a\n";

static void test_everything_set(void **state)
{
    struct result r;
    (void)state;

    assert_int_equal(set_variable("T_DSN", "host=db password=x"), 0);
    read_text(&r, full);
    assert_string_equal(buf_text(&r.problems), "");
    assert_int_equal(r.rc, 0);
    const struct settings *s = r.settings;
    assert_string_equal(s->adapter_dir, "/opt/adapters");
    assert_int_equal(s->drain_ms, 0);
    assert_string_equal(s->source.dsn, "host=db password=x");
    assert_int_equal(s->source.batch, 10);
    assert_string_equal(s->ops.listen, "[::1]:9464");
    assert_int_equal(s->log.level, LOG_DEBUG_LEVEL);
    assert_int_equal(s->log.format, LOG_FORMAT_JSON);
    assert_int_equal(s->destinations[0].envelope, RIDER_ENVELOPE_CE_BINARY);
    assert_int_equal(s->destinations[0].ordering, ORDERING_NONE);
    assert_int_equal(s->destinations[0].on_dead, ON_DEAD_HOLD);
    assert_int_equal(s->destinations[0].start_from, START_NOW);
    assert_int_equal(s->destinations[0].retry.max_attempts, 20);
    assert_true(s->destinations[1].subscriptions);

    const struct route_settings *route = s->routes;
    assert_string_equal(route[0].types[0], "REQUEST_*");
    assert_string_equal(route[0].types[1], "order.x");
    assert_null(route[0].types[2]);
    assert_string_equal(route[0].aggregate_types[0], "request");
    assert_null(route[0].aggregate_types[1]);
    assert_int_equal(route[0].n_to, 2);
    assert_int_equal(route[0].to[0], 1);
    assert_int_equal(route[0].to[1], 0);
    assert_int_equal(route[1].n_to, 1);
    assert_int_equal(route[1].to[0], 0);
    end(&r);
}

static void test_dsn_from_environment(void **state)
{
    struct result r;
    (void)state;

    assert_int_equal(set_variable("DATABASE_URL", "postgresql://db/x"), 0);
    read_text(&r, "drain: 1s\n");
    assert_int_equal(r.rc, 0);
    assert_string_equal(r.settings->source.dsn, "postgresql://db/x");
    end(&r);
    read_text(&r, "source: {dsn: dbname=y}\n");
    assert_string_equal(r.settings->source.dsn, "dbname=y");
    end(&r);
    assert_int_equal(set_variable("DATABASE_URL", NULL), 0);
}

/* ---- bad files ---- */

#define SOURCE "source: {dsn: dbname=x}\n"
#define DEST   "destinations:\n  - {name: a, adapter: demo, options: {topic: t}}\n"
#define ROUTE  "routes:\n  - to: [a]\n"

static const struct {
    const char *text, *problems;
} bad_files[] = {
    {"", "p.yaml:1:1: yaml: the file is empty\n"},
    {"---\n", "p.yaml:2:1: top level: expected a mapping, got nothing\n"},
    {"- a\n", "p.yaml:1:1: top level: expected a mapping, got a list\n"},
    {"drain: 1s\n", "p.yaml:1:1: source.dsn: is required and not set\n"},
    {"source:\n  batch: 5\n", "p.yaml:2:3: source.dsn: is required and not set\n"},
    {"source:\n", "p.yaml:1:8: source: expected a mapping, got nothing\n"},
    {SOURCE "monitoring: {listen: x}\n" DEST ROUTE,
     "p.yaml:2:1: monitoring: unrecognized key\n"},
    {SOURCE "detsinations: []\n",
     "p.yaml:2:1: detsinations: unrecognized key; did you mean \"destinations\"?\n"},
    {"source: {dsn: x, lease: 999ms}\n",
     "p.yaml:1:25: source.lease: must be between 1s and 1h, got 999ms\n"},
    {"source: {dsn: x, batch: 1001}\n",
     "p.yaml:1:25: source.batch: must be between 1 and 1000, got 1001\n"},
    {"source: {dsn: x, poll_min: 2s}\n",
     "p.yaml:1:28: source.poll_min: \"poll_min\" is larger than \"poll_max\"\n"},
    {SOURCE "destinations: {a: 1}\n",
     "p.yaml:2:15: destinations: expected a list, got a mapping\n"},
    {SOURCE "destinations: [a]\n",
     "p.yaml:2:16: destinations[0]: expected a mapping, got text\n"},
    {SOURCE "destinations:\n  - {adapter: demo, options: {topic: t}}\n",
     "p.yaml:3:5: destinations[0].name: is required and not set\n"},
    {SOURCE "destinations:\n  - {name: Big, adapter: demo, options: {topic: t}}\n",
     "p.yaml:3:12: destinations[0].name: expected a lower-case letter and up to 62 "
     "letters, digits, \"_\" or \"-\", got \"Big\"\n"},
    {SOURCE DEST "  - {name: a, adapter: demo, options: {topic: t}}\n",
     "p.yaml:4:12: destinations[1].name: destination \"a\" is already defined on line "
     "3\n"},
    {SOURCE "destinations:\n  - {name: a, adapter: kafak}\n",
     "p.yaml:3:24: destinations[0].adapter: there is no adapter \"kafak\" in "
     "\"/lib/x\"\n"},
    {SOURCE "destinations:\n  - {name: a, adapter: ../x}\n",
     "p.yaml:3:24: destinations[0].adapter: expected the name of an adapter such as "
     "kafka, got \"../x\"\n"},
    {SOURCE "destinations:\n  - {name: a, adapter: demo}\n",
     "p.yaml:3:5: destinations[0].options.topic: is required and not set\n"},
    {SOURCE "destinations:\n  - name: a\n    adapter: demo\n    options:\n"
            "      topic: \"{tpye}\"\n      tpoic: x\n",
     "p.yaml:6:14: destinations[0].options.topic: unrecognized field \"{tpye}\"; did "
     "you mean \"{type}\"?\n"
     "p.yaml:7:7: destinations[0].options.tpoic: unrecognized key; did you mean "
     "\"topic\"?\n"},
    {SOURCE "destinations:\n  - name: a\n    adapter: demo\n    options: {topic: t}\n"
            "    retry: {initial: 2s, max: 1s, jitter: 1}\n",
     "p.yaml:6:22: destinations[0].retry.initial: \"initial\" is larger than "
     "\"max\"\n"
     "p.yaml:6:35: destinations[0].retry.jitter: unrecognized key\n"},
    {SOURCE "destinations:\n  - name: a\n    adapter: demo\n    options: {topic: t}\n"
            "    subscriptions: true\n    envelope: cloudevents\n",
     "p.yaml:6:20: destinations[0].subscriptions: adapter \"demo\" has no "
     "subscriptions\n"
     "p.yaml:6:20: destinations[0].subscriptions: \"webhooks.key_ring\" is missing: "
     "the "
     "keys that encrypt the secrets of subscriptions\n"
     "p.yaml:7:15: destinations[0].envelope: expected one of canonical, payload, "
     "cloudevents-structured, cloudevents-binary, got \"cloudevents\"\n"},
    {SOURCE DEST "routes:\n  - to: [b]\n  - to: []\n  - match: {type: []}\n",
     "p.yaml:5:10: routes[0].to[0]: there is no destination \"b\"\n"
     "p.yaml:6:9: routes[1].to: the list is empty\n"
     "p.yaml:7:5: routes[2].to: is required and not set\n"
     "p.yaml:7:19: routes[2].match.type: the list is empty\n"},
    {SOURCE DEST "routes:\n  - {to: [a, a, {x: 1}], match: {type: [\"\", A], x: y}}\n",
     "p.yaml:5:14: routes[0].to[1]: \"a\" is named twice\n"
     "p.yaml:5:17: routes[0].to[2]: expected a single value, got a mapping\n"
     "p.yaml:5:41: routes[0].match.type[0]: must not be empty\n"
     "p.yaml:5:49: routes[0].match.x: unrecognized key\n"},
    {SOURCE DEST ROUTE "ops: {listen: 9464}\n",
     "p.yaml:6:15: ops.listen: expected an address and port such as 127.0.0.1:9464 or "
     "[::1]:9464, got \"9464\"\n"},
    {SOURCE DEST ROUTE "ops: {listen: \"::1:9464\"}\n",
     "p.yaml:6:15: ops.listen: expected an address and port such as 127.0.0.1:9464 or "
     "[::1]:9464, got \"::1:9464\"\n"},
    {SOURCE DEST ROUTE "ops: {listen: \"127.0.0.1:70000\"}\n",
     "p.yaml:6:15: ops.listen: expected an address and port such as 127.0.0.1:9464 or "
     "[::1]:9464, got \"127.0.0.1:70000\"\n"},
    {SOURCE DEST ROUTE "log: {level: loud}\n",
     "p.yaml:6:14: log.level: expected one of error, warn, info, debug, got "
     "\"loud\"\n"},
    {SOURCE "destinations:\n  - &d {name: a, adapter: demo, options: {topic: t}}\n"
            "  - *d\n" ROUTE,
     "p.yaml:3:5: destinations[0]: anchors (&name) are not supported\n"
     "p.yaml:4:5: destinations[1]: aliases (*name) are not supported\n"
     "p.yaml:6:10: routes[0].to[0]: there is no destination \"a\"\n"},
};

static void test_bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
        struct result r;
        read_text(&r, bad_files[i].text);
        assert_string_equal(buf_text(&r.problems), bad_files[i].problems);
        assert_int_equal(r.rc, RIDER_E_CONFIG);
        assert_null(r.settings);
        end(&r);
    }
}

static void test_summary(void **state)
{
    struct result r;
    (void)state;

    read_text(&r, "x: 1\ny: 2\n");
    assert_string_equal(r.err.text, "3 errors in configuration \"p.yaml\"");
    end(&r);
    read_text(&r, "");
    assert_string_equal(r.err.text, "1 error in configuration \"p.yaml\"");
    end(&r);
}

static void test_file_itself(void **state)
{
    struct result r;
    char *large = calloc(1, 1 << 21);
    (void)state;

    load(&r, "absent.yaml", NULL);
    assert_int_equal(r.rc, RIDER_E_IO);
    assert_string_equal(
        buf_text(&r.problems),
        "could not open file \"absent.yaml\": No such file or directory\n");
    end(&r);
    load(&r, ".", NULL);
    assert_string_equal(buf_text(&r.problems), "\".\" is not a regular file\n");
    end(&r);

    assert_non_null(large);
    memset(large, '#', 1 << 21);
    read_mode(&r, large, 1 << 21, 0600);
    assert_int_equal(r.rc, RIDER_E_CONFIG);
    assert_string_equal(buf_text(&r.problems),
                        "file \"p.yaml\" is larger than 1024 KB, or out of memory\n");
    end(&r);
    free(large);
}

/* ---- warnings ---- */

static void test_warnings(void **state)
{
    static const struct {
        const char *text, *problems;
        mode_t mode;
    } cases[] = {
        {SOURCE,
         "p.yaml:1:1: top level: warning: there are no destinations, so nothing "
         "is delivered\n",
         0600},
        {SOURCE DEST,
         "p.yaml:3:5: destinations[0]: warning: no route names destination \"a\", so "
         "it "
         "gets nothing\n",
         0600},
        {"source: {dsn: \"postgresql://u:p@h/d\"}\n" DEST ROUTE,
         "p.yaml:1:15: source.dsn: warning: a secret in a file that others can read; "
         "use \"${NAME}\", \"dsn_file\" or a file of mode 0600\n",
         0640},
        {"source: {dsn: \"postgresql://u:p@h/d\"}\n" DEST ROUTE, "", 0600},
        {SOURCE DEST ROUTE, "", 0644},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct result r;
        read_mode(&r, cases[i].text, strlen(cases[i].text), cases[i].mode);
        assert_int_equal(r.rc, 0);
        assert_string_equal(buf_text(&r.problems), cases[i].problems);
        end(&r);
    }
}

/* ---- the rest ---- */

static uint64_t fingerprint_of(const char *destination)
{
    struct buf text = buf_make(4096);
    struct result r;

    buf_printf(&text, SOURCE "destinations:\n  - %s\n" ROUTE, destination);
    read_text(&r, buf_text(&text));
    assert_int_equal(r.rc, 0);
    uint64_t fingerprint = r.settings->destinations[0].fingerprint;
    end(&r);
    buf_done(&text);
    return fingerprint;
}

static void test_fingerprint(void **state)
{
    static const char *const others[] = {
        "{name: a, adapter: demo, options: {topic: u}}",
        "{name: a, adapter: many, options: {topic: t}}",
        "{name: a, adapter: demo, options: {topic: t, password: x}}",
        "{name: a, adapter: demo, options: {topic: t}, retry: {max: 1m}}",
        "{name: a, adapter: demo, options: {topic: t}, ordering: none}",
        "{name: a, adapter: demo, options: {topic: t}, max_bytes: 1MB}",
    };
    (void)state;

    uint64_t base = fingerprint_of("{name: a, adapter: demo, options: {topic: t}}");
    assert_true(base == fingerprint_of("{options: {topic: 't'}, max_in_flight: 4096, "
                                       "retry: {}, adapter: demo, name: a}"));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_true(base != fingerprint_of(others[i]));
    }
}

static void test_without_lookup(void **state)
{
    const struct settings_load no_lookup = {.path = "p.yaml"};
    struct result r;
    (void)state;

    read_text(&r, minimal);
    end(&r);
    r = (struct result){.problems = buf_make(1 << 16)};
    r.rc = settings_read(&no_lookup, &r.settings, &r.problems, &r.err);
    assert_int_equal(r.rc, 0);
    assert_null(r.settings->destinations[0].options);
    assert_null(r.settings->adapter_dir);
    end(&r);
    settings_destroy(NULL);
}

/* Everything shipped in config/ is a good file. */
static void test_shipped_files(void **state)
{
    static const char *const files[] = {
        "postrider.yaml",
        "examples/stdout.yaml",
        "examples/webhook.yaml",
        "examples/rabbitmq.yaml",
        "examples/kafka.yaml",
        "examples/kafka-debezium.yaml",
        "examples/subscriptions.yaml",
    };
    char any[] = "any";
    (void)state;

    assert_int_equal(set_variable("DATABASE_URL", "postgresql://u:p@h/d"), 0);
    assert_int_equal(set_variable("PARTNERS_SECRET", "x"), 0);
    assert_int_equal(set_variable("WEBHOOK_SECRET", "x"), 0);
    assert_int_equal(set_variable("WEBHOOK_URL", "https://h/"), 0);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct buf path = buf_make(4096);
        struct result r;
        buf_printf(&path, "%s/../../config/%s", TEST_DATA_DIR, files[i]);
        load(&r, buf_text(&path), any);
        assert_string_equal(buf_text(&r.problems), "");
        assert_int_equal(r.rc, 0);
        end(&r);
        buf_done(&path);
    }
}

/* The annotated file says that its values are the defaults. */
static void test_annotated_file_shows_defaults(void **state)
{
    struct result shown, bare;
    char any[] = "any";
    (void)state;

    assert_int_equal(set_variable("DATABASE_URL", "dbname=x"), 0);
    assert_int_equal(set_variable("PARTNERS_SECRET", "x"), 0);
    load(&shown, TEST_DATA_DIR "/../../config/postrider.yaml", any);
    assert_int_equal(shown.rc, 0);
    read_text(&bare, minimal);
    const struct settings *a = shown.settings, *b = bare.settings;
    assert_int_equal(a->drain_ms, b->drain_ms);
    assert_memory_equal(&a->log, &b->log, sizeof(a->log));
    assert_int_equal(a->source.poll_min_ms, b->source.poll_min_ms);
    assert_int_equal(a->source.poll_max_ms, b->source.poll_max_ms);
    assert_int_equal(a->source.lease_ms, b->source.lease_ms);
    assert_int_equal(a->source.retention_ms, b->source.retention_ms);
    assert_int_equal(a->source.batch, b->source.batch);
    const struct destination_settings *c = a->destinations, *d = b->destinations;
    assert_int_equal(c->envelope, d->envelope);
    assert_int_equal(c->ordering, d->ordering);
    assert_int_equal(c->on_dead, d->on_dead);
    assert_int_equal(c->start_from, d->start_from);
    assert_memory_equal(&c->retry, &d->retry, sizeof(c->retry));
    assert_int_equal(c->max_in_flight, d->max_in_flight);
    assert_int_equal(c->max_bytes, d->max_bytes);
    end(&shown);
    end(&bare);
}

static char folder[] = "/tmp/postrider-settings-XXXXXX";

static int enter_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || chdir(folder) != 0 ||
           set_variable("DATABASE_URL", NULL) != 0;
}

static int leave_folder(void **state)
{
    (void)state;
    return unlink("p.yaml") != 0 || chdir("/") != 0 || rmdir(folder) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything_set),
        cmocka_unit_test(test_dsn_from_environment),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_file_itself),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_without_lookup),
        cmocka_unit_test(test_shipped_files),
        cmocka_unit_test(test_annotated_file_shows_defaults),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
