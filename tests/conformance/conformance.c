/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance.c - checks an adapter against the contract of publisher.h.
 *
 * Loads the adapter as the relay does, runs every check with instances of their
 * own, prints a line for each and a closing count. With --expect-failure it
 * succeeds only if a check failed with that text: how the kit itself is tested.
 *
 * Not here: the checks (lifecycle_checks.c, delivery_checks.c).
 */
#include "conformance/suite.h"

#include "base/parse.h"
#include "plugin/plugin_file.h"
#include "plugin/plugin_registry.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAD_MAX 16

static const char usage[] =
    "usage: conformance [options] DIR/postrider-TYPE.so [key=value...]\n"
    "\n"
    "Checks that an adapter keeps the contract of postrider/publisher.h. The pairs\n"
    "are the adapter's options.\n"
    "\n"
    "  --peer up|down|any     what the adapter's destination is (any)\n"
    "  --timeout 10s          how long to wait for completions\n"
    "  --events 5000          events of the bulk check\n"
    "  --bad key=value        an option that create() must refuse; may be repeated\n"
    "  --target URL           play a host with subscriptions: events have this target\n"
    "  --expect-failure TEXT  succeed only if a check fails with this text\n"
    "  --verbose              show what the adapter logs\n"
    "\n"
    "Exit status: 0 all passed, 1 a check failed, 2 wrong usage.\n";

static void print_line(const char *word, const char *check, const char *text)
{
    (void)printf("%-4s %s%s%s\n", word, check, text[0] != '\0' ? ": " : "", text);
    (void)fflush(stdout);
}

void suite_pass(struct suite *s, const char *check)
{
    s->passed++;
    print_line("ok", check, "");
}

void suite_skip(struct suite *s, const char *check, const char *why)
{
    s->skipped++;
    print_line("skip", check, why);
}

void suite_fail(struct suite *s, const char *check, const char *fmt, ...)
{
    char text[640];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    s->failed++;
    s->expected_seen =
        s->expected_seen || (s->expected != NULL && strstr(text, s->expected) != NULL);
    print_line("FAIL", check, text);
}

static int parse_peer(const char *text, enum suite_peer *ret)
{
    static const char *const words[] = {
        [PEER_ANY] = "any", [PEER_UP] = "up", [PEER_DOWN] = "down"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i], text) == 0) {
            *ret = (enum suite_peer)i;
            return 0;
        }
    }
    return -1;
}

static int parse_events(const char *text, size_t *ret)
{
    int64_t n = 0;

    if (parse_int(text, &n, NULL) < 0 || n < 1 || n > 1000000) {
        return -1;
    }
    *ret = (size_t)n;
    return 0;
}

/* Applies one option; negative if its value is wrong. */
static int apply(struct suite *s, int option, char *value, char **bad)
{
    switch (option) {
    case 'p':
        return parse_peer(value, &s->peer);
    case 't':
        return parse_duration_ms(value, &s->timeout_ms, NULL);
    case 'n':
        return parse_events(value, &s->n_events);
    case 'b':
        if (s->n_bad_pairs == BAD_MAX) {
            return -1;
        }
        bad[s->n_bad_pairs++] = value;
        return 0;
    case 'g':
        s->target = value;
        return 0;
    case 'x':
        s->expected = value;
        return 0;
    case 'v':
        s->verbose = true;
        return 0;
    default:
        return -1;
    }
}

/* Loads the adapter at `path` through a registry of its directory. */
static int load(char *path, struct plugin_registry **ret_reg,
                const struct publisher_vtable **ret_vt, struct rider_error *err)
{
    char type[PLUGIN_TYPE_MAX + 1];
    char *slash = strrchr(path, '/');
    const char *dir = slash != NULL ? path : ".";
    int r = plugin_file_type_of(slash != NULL ? slash + 1 : path, type, err);

    if (slash != NULL) {
        *slash = '\0';
    }
    if (r == 0) {
        r = plugin_registry_create(dir[0] != '\0' ? dir : "/", ret_reg, err);
    }
    return r == 0 ? plugin_registry_get(*ret_reg, type, ret_vt, err) : r;
}

static int run(struct suite *s, char *path)
{
    RIDER_CLEANUP_PTR(plugin_registry_destroy) struct plugin_registry *reg = NULL;
    struct rider_error err = {0};

    if (load(path, &reg, &s->vt, &err) < 0) {
        suite_fail(s, "the adapter loads", "%s", err.text);
    } else {
        suite_pass(s, "the adapter loads");
        suite_run_lifecycle(s);
        suite_run_delivery(s);
    }
    (void)printf("%u passed, %u failed, %u skipped\n", s->passed, s->failed,
                 s->skipped);
    return s->expected != NULL ? !s->expected_seen : s->failed > 0;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"peer", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 't'},
        {"events", required_argument, NULL, 'n'},
        {"bad", required_argument, NULL, 'b'},
        {"target", required_argument, NULL, 'g'},
        {"expect-failure", required_argument, NULL, 'x'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    char *bad[BAD_MAX] = {0};
    struct suite s = {.timeout_ms = 10000, .n_events = 5000, .bad_pairs = bad};
    int option;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread exists yet
    while ((option = getopt_long(argc, argv, "+h", long_options, NULL)) != -1) {
        if (option == 'h') {
            (void)fputs(usage, stdout);
            return 0;
        }
        if (apply(&s, option, optarg, bad) < 0) {
            (void)fputs(usage, stderr);
            return 2;
        }
    }
    if (optind >= argc) {
        (void)fputs(usage, stderr);
        return 2;
    }
    s.pairs = argv + optind + 1;
    s.n_pairs = (size_t)(argc - optind - 1);
    return run(&s, argv[optind]);
}
