/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lifecycle_checks.c - create, start, stop, destroy and the optional callbacks.
 *
 * Not here: anything that publishes (delivery_checks.c).
 */
#include "conformance/trial.h"

#include "base/clock.h"
#include "base/error.h"
#include "support/option_fill.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OBSERVE_LIMIT_MS 500u
#define THREADS_WAIT_MS  10000u

static void check_create_only(struct suite *s)
{
    struct trial t;

    (void)trial_begin(&t, s, "create() and destroy() without start()", false);
    trial_end(&t);
    s->vt->destroy(NULL);
    suite_pass(s, "destroy(NULL) does nothing");
}

static void check_two_instances(struct suite *s)
{
    struct trial first;
    struct trial second;

    (void)trial_begin(&first, s, "an instance runs beside another", true);
    (void)trial_begin(&second, s, "an instance outlives another", true);
    trial_end(&first);
    trial_end(&second);
}

/* Makes create() fail with one bad pair added to the good ones. */
static void check_bad_pair(struct suite *s, char *bad, const char *check)
{
    char **pairs = calloc(s->n_pairs + 1, sizeof(*pairs));
    struct fake_host *fake = fake_host_create("conformance", 1);
    struct publisher *self = NULL;
    void *config = NULL;
    struct rider_error err = {0};
    char text[512] = "";

    for (size_t i = 0; pairs != NULL && i < s->n_pairs; i++) {
        pairs[i] = s->pairs[i];
    }
    if (pairs != NULL) {
        pairs[s->n_pairs] = bad;
    }
    if (fake != NULL && s->target != NULL) {
        fake_host_set_target(fake, s->target);
    }
    if (pairs == NULL || fake == NULL ||
        option_fill(s->vt, pairs, s->n_pairs + 1, &config, &err) < 0) {
        /* The table refused it already: also a named error. */
        suite_pass(s, check);
    } else {
        int r = s->vt->create(fake_host_host(fake), config, &self, text, sizeof(text));
        if (r == 0) {
            suite_fail(s, check, "create() accepted %s", bad);
            s->vt->destroy(self);
        } else if (r < 0 || strnlen(text, sizeof(text)) == 0 ||
                   strchr(text, '\n') != NULL) {
            suite_fail(s, check, "create() returned %d without one line of text", r);
        } else {
            suite_pass(s, check);
        }
    }
    option_fill_free(s->vt, config);
    fake_host_destroy(fake);
    free(pairs);
}

static void check_bad_options(struct suite *s)
{
    char check[160];

    if (s->n_bad_pairs == 0) {
        suite_skip(s, "create() names a bad option", "no --bad key=value given");
    }
    for (size_t i = 0; i < s->n_bad_pairs; i++) {
        (void)snprintf(check, sizeof(check), "create() names the bad option %.100s",
                       s->bad_pairs[i]);
        check_bad_pair(s, s->bad_pairs[i], check);
    }
}

static size_t count_entries(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);

    while (dir != NULL && readdir(dir) != NULL) { // NOLINT(concurrency-mt-unsafe)
        n++;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return n;
}

/* A joined thread may still be listed for a moment. */
static bool entries_fall_to(const char *path, size_t n)
{
    uint64_t until_ms = clock_mono_ms() + THREADS_WAIT_MS;

    while (count_entries(path) > n) {
        if (clock_mono_ms() > until_ms) {
            return false;
        }
    }
    return true;
}

static void check_nothing_left(struct suite *s)
{
    static const char check[] =
        "stop() and destroy() leave no thread and no descriptor";
    struct trial t;

    /* The first start may initialise a library for good; the second must not. */
    (void)trial_begin(&t, s, "start() and stop() with nothing published", true);
    trial_end(&t);
    size_t threads = count_entries("/proc/self/task");
    size_t descriptors = count_entries("/proc/self/fd");
    (void)trial_begin(&t, s, check, true);
    if (t.started) {
        trial_stop(&t, 500);
    }
    if (!entries_fall_to("/proc/self/task", threads)) {
        trial_fail(&t, "stop() left a thread");
    }
    s->vt->destroy(t.self);
    t.self = NULL;
    if (!entries_fall_to("/proc/self/fd", descriptors)) {
        trial_fail(&t, "destroy() left a descriptor");
    }
    trial_end(&t);
}

struct process_state {
    char cwd[4096];
    char umask_line[64];
    sigset_t mask;
    void (*sigpipe)(int);
};

static struct process_state observe_process(void)
{
    struct process_state state;
    struct sigaction action = {0};
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");

    memset(&state, 0, sizeof(state));
    if (getcwd(state.cwd, sizeof(state.cwd)) == NULL) {
        state.cwd[0] = '\0';
    }
    while (status != NULL && fgets(line, sizeof(line), status) != NULL) {
        if (strncmp(line, "Umask:", 6) == 0) {
            (void)snprintf(state.umask_line, sizeof(state.umask_line), "%.60s", line);
        }
    }
    if (status != NULL) {
        (void)fclose(status);
    }
    (void)pthread_sigmask(SIG_SETMASK, NULL, &state.mask);
    (void)sigaction(SIGPIPE, NULL, &action);
    state.sigpipe = action.sa_handler;
    return state;
}

static void check_process_state(struct suite *s)
{
    struct process_state before = observe_process();
    struct trial t;

    (void)trial_begin(&t, s, "the process is left as it was", true);
    struct process_state after = observe_process();
    if (strcmp(before.cwd, after.cwd) != 0) {
        trial_fail(&t, "the working directory changed");
    }
    if (strcmp(before.umask_line, after.umask_line) != 0) {
        trial_fail(&t, "the umask changed");
    }
    if (memcmp(&before.mask, &after.mask, sizeof(before.mask)) != 0) {
        trial_fail(&t, "the signal mask changed");
    }
    if (before.sigpipe != after.sigpipe) {
        trial_fail(&t, "the handling of SIGPIPE changed");
    }
    trial_end(&t);
}

static void observe_stat(void *arg, const char *name, int is_counter, double value)
{
    struct trial *t = arg;

    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0' ||
        name[0] == '\0') {
        trial_fail(t, "metric \"%s\" is not made of a-z, 0-9 and \"_\"", name);
    }
    if (!isfinite(value) || (is_counter != 0 && value < 0)) {
        trial_fail(t, "metric \"%s\" has the value %g", name, value);
    }
}

static void check_observers(struct suite *s)
{
    struct rider_health health = {.struct_size = sizeof(health)};
    struct trial t;

    if (!trial_begin(&t, s, "health() and stats() answer at once", true)) {
        trial_end(&t);
        return;
    }
    memset(health.detail, 'x', sizeof(health.detail));
    uint64_t began_ms = trial_clock_ms();
    if (s->vt->health != NULL) {
        s->vt->health(t.self, &health);
        if (health.state > RIDER_DOWN || health.cause > RIDER_CAUSE_UNKNOWN ||
            memchr(health.detail, '\0', sizeof(health.detail)) == NULL ||
            strchr(health.detail, '\n') != NULL) {
            trial_fail(&t,
                       "health() gave an unknown state or cause, or no line of text");
        }
    }
    if (s->vt->stats != NULL) {
        s->vt->stats(t.self, observe_stat, &t);
    }
    uint64_t took_ms = trial_since_ms(began_ms);
    if (took_ms > OBSERVE_LIMIT_MS) {
        trial_fail(&t, "it took %llu ms", (unsigned long long)took_ms);
    }
    trial_end(&t);
}

struct explained {
    size_t lines;
    bool nameless;
};

static void observe_line(void *arg, const char *name, const void *value, size_t len)
{
    struct explained *seen = arg;

    (void)value;
    (void)len;
    seen->lines++;
    seen->nameless = seen->nameless || name == NULL || name[0] == '\0';
}

static void check_explain(struct suite *s)
{
    static const char check[] = "explain() needs create() only";
    struct explained seen = {0};
    struct trial t;

    if (s->vt->explain == NULL) {
        suite_skip(s, check, "the adapter has none");
        return;
    }
    if (trial_begin(&t, s, check, false)) {
        const struct fake_event like = {.envelope = RIDER_ENVELOPE_CE_BINARY};
        const struct rider_event *event = fake_host_event(t.fake, &like);

        if (event != NULL) {
            s->vt->explain(t.self, event, observe_line, &seen);
        }
        if (seen.lines == 0 || seen.nameless) {
            trial_fail(&t, "it said nothing, or a line without a name");
        }
    }
    trial_end(&t);
}

/* What check_target() says about `url`, held to the form of a fault. */
static int judge(struct trial *t, const char *url, struct rider_target_fault *ret)
{
    const struct rider_bytes secret = {FAKE_HOST_SECRET, sizeof(FAKE_HOST_SECRET) - 1};
    const struct rider_target target = {.struct_size = sizeof(target),
                                        .n_secrets = 1,
                                        .id = {"sub_0", 5},
                                        .url = {url, strlen(url)},
                                        .secrets = &secret};

    memset(ret, 'x', sizeof(*ret));
    ret->struct_size = sizeof(*ret);
    int r = t->suite->vt->check_target(t->self, &target, ret);

    if (r != 0 && (ret->cause == RIDER_CAUSE_NONE || ret->cause > RIDER_CAUSE_UNKNOWN ||
                   ret->member == NULL || strcmp(ret->member, "url") != 0 ||
                   ret->detail[0] == '\0' ||
                   memchr(ret->detail, '\0', sizeof(ret->detail)) == NULL ||
                   strpbrk(ret->detail, "\r\n") != NULL)) {
        trial_fail(t, "a fault without cause, member and one line of text");
    }
    return r;
}

static void check_targets(struct suite *s)
{
    static const char check[] = "check_target() needs create() only";
    struct rider_target_fault fault;
    struct trial t;

    if (s->vt->check_target == NULL || s->target == NULL) {
        suite_skip(s, check,
                   s->target == NULL ? "no --target given" : "the adapter has none");
        return;
    }
    if (trial_begin(&t, s, check, false)) {
        if (judge(&t, s->target, &fault) != 0) {
            trial_fail(&t, "it refused the target: %.100s", fault.detail);
        }
        if (judge(&t, "", &fault) == 0) {
            trial_fail(&t, "it accepted a target without a URL");
        }
    }
    trial_end(&t);
}

#define JUDGEMENTS 200

/* Judges targets until it has done so often enough, in a thread of its own. */
static void *judge_often(void *arg)
{
    struct rider_target_fault fault;
    struct trial *t = arg;

    for (int i = 0; i < JUDGEMENTS; i++) {
        if (judge(t, t->suite->target, &fault) != 0) {
            trial_fail(t, "it refused the target: %.100s", fault.detail);
            break;
        }
    }
    return NULL;
}

/* Mostly for a build with -fsanitize=thread. */
static void check_targets_beside(struct suite *s)
{
    static const char check[] = "check_target() runs beside the other functions";
    const struct fake_event like = {0};
    pthread_t judges[2];
    struct trial t;

    if (s->vt->check_target == NULL || s->target == NULL) {
        return;
    }
    if (trial_begin(&t, s, check, true)) {
        size_t n = 0;

        while (n < 2 && pthread_create(&judges[n], NULL, judge_often, &t) == 0) {
            n++;
        }
        (void)trial_publish(&t, &like, s->n_events < 500 ? s->n_events : 500);
        for (size_t i = 0; i < n; i++) {
            (void)pthread_join(judges[i], NULL);
        }
    }
    trial_end(&t);
}

void suite_run_lifecycle(struct suite *s)
{
    check_create_only(s);
    check_bad_options(s);
    check_nothing_left(s);
    check_two_instances(s);
    check_process_state(s);
    check_observers(s);
    check_explain(s);
    check_targets(s);
    check_targets_beside(s);
}
