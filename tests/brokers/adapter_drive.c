/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter_drive.c - drives one adapter with many keyed events, as the relay does.
 *
 * usage: adapter_drive [-n EVENTS] [-k KEYS] [-s SIZE,...] [-w WINDOW] [-t SECONDS]
 *                      [-a TYPE,TYPE...] [-H NAME=VALUE]... [-i SECONDS -p COUNT,...]
 *                      ADAPTER.so KEY=VALUE...
 *
 * Each key has one event in flight; a body is {"key":"key-7","seq":3,"pad":"..."},
 * so that a consumer can check order and completeness. Whatever is not delivered
 * or rejected is offered again after 500 ms. Keys take the aggregate types in
 * turn, and sizes likewise. -H adds a writer's header. -p tells after how many settled events nothing
 * more is offered for a while, which may be 0: until SIGUSR1 comes, for -i seconds at most. Ends when
 * all is settled, the time is over or SIGTERM comes, prints one JSON object, and writes changes of
 * health, the first failure of each kind, how much is settled and the adapter's statistics to standard
 * error.
 */
#include "base/clock.h"
#include "postrider/publisher.h"
#include "support/option_fill.h"

#include <dlfcn.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RETRY_MS   500
#define OFFER_MAX  512
#define OWN_MAX    8
#define N_CAUSES   (RIDER_CAUSE_UNKNOWN + 1)
#define N_OUTCOMES 5

static const char *const outcomes[] = {"delivered", "retry", "rejected", "unavailable",
                                       "unroutable"};
static const char *const states[] = {"starting", "up", "degraded", "down"};

/* One key and the only event of it that can be open. */
struct key {
    struct rider_event event;
    char name[32], id[64];
    char *body;
    long size;
    long next, last; /* sequence numbers: the next to send, one after the last */
    bool open;
    uint64_t retry_at_ms; /* 0: not waiting */
    struct rider_result result;
    bool completed;
};

struct drive {
    struct rider_host host; /* first: the adapter's pointer is ours */
    const struct publisher_vtable *vt;
    struct publisher *self;
    long n_events, n_keys, window, seconds, idle_s;
    uint64_t idle_until_ms;
    const char *pauses; /* the counts that are still to come */
    struct rider_header own[OWN_MAX];
    size_t n_own;
    const char *types, *sizes;
    struct key *keys;
    pthread_mutex_t lock; /* guards the keys' results, the inbox and `news` */
    pthread_cond_t changed;
    long *inbox;
    long n_inbox;
    bool news;
    long n_open, n_settled, n_wrong;
    long *ready; /* ring of keys that can send */
    long ready_head, n_ready;
    long *delayed; /* ring, in the order of their time */
    long delayed_head, n_delayed;
    bool told[N_OUTCOMES][N_CAUSES];
    long by_outcome[N_OUTCOMES], by_cause[N_CAUSES], n_maybe, n_delivered_events;
    uint32_t health, health_cause;
    long told_settled;
    uint64_t stop_ms; /* how long stop() took */
};

static struct drive *drive_of(const struct rider_host *host)
{
    union {
        const struct rider_host *in;
        struct drive *out;
    } pointer = {.in = host};

    return pointer.out;
}

/* Shows the first failure of each outcome and cause. Caller holds the lock. */
static void tell_failure(struct drive *d, const struct rider_result *result)
{
    if (result->outcome == RIDER_DELIVERED || result->outcome >= N_OUTCOMES ||
        result->cause >= N_CAUSES || d->told[result->outcome][result->cause]) {
        return;
    }
    d->told[result->outcome][result->cause] = true;
    (void)fprintf(stderr, "ended %s cause %u code %d: %s\n", outcomes[result->outcome],
                  result->cause, result->remote_code,
                  result->reason == NULL ? "" : result->reason);
}

static void complete_many(const struct rider_host *host, const uint64_t *tickets,
                          size_t n, const struct rider_result *result)
{
    struct drive *d = drive_of(host);

    (void)pthread_mutex_lock(&d->lock);
    tell_failure(d, result);
    for (size_t i = 0; i < n; i++) {
        struct key *key =
            tickets[i] < (uint64_t)d->n_keys ? &d->keys[tickets[i]] : NULL;

        if (key == NULL || !key->open || key->completed) {
            d->n_wrong++;
            continue;
        }
        key->result = *result;
        key->result.reason = NULL;
        key->completed = true;
        d->inbox[d->n_inbox++] = (long)tickets[i];
    }
    d->news = true;
    (void)pthread_cond_signal(&d->changed);
    (void)pthread_mutex_unlock(&d->lock);
}

static void complete(const struct rider_host *host, uint64_t ticket,
                     const struct rider_result *result)
{
    complete_many(host, &ticket, 1, result);
}

static void writable(const struct rider_host *host)
{
    struct drive *d = drive_of(host);

    (void)pthread_mutex_lock(&d->lock);
    d->news = true;
    (void)pthread_cond_signal(&d->changed);
    (void)pthread_mutex_unlock(&d->lock);
}

RIDER_PRINTF(3, 4)
static void log_line(const struct rider_host *host, int level, const char *fmt, ...)
{
    va_list args;

    (void)host;
    if (level > RIDER_LOG_INFO) {
        return;
    }
    va_start(args, fmt);
    flockfile(stderr);
    (void)fprintf(stderr, "log %d: ", level);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    funlockfile(stderr);
    va_end(args);
}

static uint64_t now_ms(const struct rider_host *host)
{
    (void)host;
    return clock_mono_ms();
}

static void push(long *ring, long head, long *count, long capacity, long value)
{
    ring[(head + *count) % capacity] = value;
    (*count)++;
}

static long pop(const long *ring, long *head, long *count, long capacity)
{
    long value = ring[*head];

    *head = (*head + 1) % capacity;
    (*count)--;
    return value;
}

static void fill_event(struct drive *d, struct key *key)
{
    int len = snprintf(key->body, (size_t)key->size + 128,
                       "{\"key\":\"%s\",\"seq\":%ld,"
                       "\"pad\":\"",
                       key->name, key->next);

    while (len < key->size - 2) {
        key->body[len++] = 'x';
    }
    key->body[len++] = '"';
    key->body[len++] = '}';
    (void)snprintf(key->id, sizeof(key->id), "%08lx-0000-7000-8000-%012lx",
                   (unsigned long)(key - d->keys), (unsigned long)key->next);
    key->event.body = (struct rider_bytes){key->body, (size_t)len};
    key->event.payload = key->event.body;
    key->event.id = (struct rider_bytes){key->id, strlen(key->id)};
    key->event.attempt++;
}

/* The word of a list with commas whose turn it is. */
static const char *turn(const char *list, long key, size_t *ret_len)
{
    long n = 1;
    const char *at = list;

    for (const char *p = list; *p != '\0'; p++) {
        n += *p == ',';
    }
    for (long i = key % n; i > 0; i--) {
        at = strchr(at, ',') + 1;
    }
    *ret_len = strcspn(at, ",");
    return at;
}

static int make_keys(struct drive *d)
{
    d->keys = calloc((size_t)d->n_keys, sizeof(*d->keys));
    d->inbox = calloc((size_t)d->n_keys, sizeof(*d->inbox));
    d->ready = calloc((size_t)d->n_keys, sizeof(*d->ready));
    d->delayed = calloc((size_t)d->n_keys, sizeof(*d->delayed));
    if (d->keys == NULL || d->inbox == NULL || d->ready == NULL || d->delayed == NULL) {
        return -1;
    }
    for (long i = 0; i < d->n_keys; i++) {
        struct key *key = &d->keys[i];
        size_t len = 0;
        const char *type = turn(d->types, i, &len);
        size_t digits;

        key->size = strtol(turn(d->sizes, i, &digits), NULL, 10);
        key->body = key->size >= 0 ? malloc((size_t)key->size + 160) : NULL;
        if (key->body == NULL) {
            return -1;
        }
        (void)snprintf(key->name, sizeof(key->name), "key-%ld", i);
        key->last = d->n_events / d->n_keys + (i < d->n_events % d->n_keys);
        key->event = (struct rider_event){
            .struct_size = sizeof(key->event),
            .ticket = (uint64_t)i,
            .occurred_at_us = 1700000000000000 + i,
            .version = 1,
            .type = {"TEST_HAPPENED", 13},
            .aggregate_type = {type, len},
            .aggregate_id = {key->name, strlen(key->name)},
            .content_type = {"application/json", 16},
            .headers = d->own,
            .n_headers = d->n_own,
        };
        if (key->last > 0) {
            push(d->ready, 0, &d->n_ready, d->n_keys, i);
        }
    }
    return 0;
}

static void settle(struct drive *d, long index)
{
    struct key *key = &d->keys[index];
    uint32_t outcome =
        key->result.outcome < N_OUTCOMES ? key->result.outcome : RIDER_RETRY;

    key->open = false;
    key->completed = false;
    d->n_open--;
    d->by_outcome[outcome]++;
    d->by_cause[key->result.cause < N_CAUSES ? key->result.cause : 0]++;
    d->n_maybe += (key->result.flags & RIDER_RESULT_MAYBE_DELIVERED) != 0;
    if (outcome == RIDER_DELIVERED || outcome == RIDER_REJECTED) {
        d->n_settled++;
        key->next++;
        key->event.attempt = 0;
        if (key->next < key->last) {
            push(d->ready, d->ready_head, &d->n_ready, d->n_keys, index);
        }
        return;
    }
    key->retry_at_ms = clock_mono_ms() + RETRY_MS;
    push(d->delayed, d->delayed_head, &d->n_delayed, d->n_keys, index);
}

/* Waits up to 20 ms for news, then takes in what was completed. */
static void take_completions(struct drive *d, bool wait)
{
    (void)pthread_mutex_lock(&d->lock);
    if (wait && !d->news) {
        struct timespec at;

        (void)clock_gettime(CLOCK_REALTIME, &at);
        at.tv_nsec += 20000000;
        at.tv_sec += at.tv_nsec / 1000000000;
        at.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&d->changed, &d->lock, &at);
    }
    d->news = false;
    for (long i = 0; i < d->n_inbox; i++) {
        settle(d, d->inbox[i]);
    }
    d->n_inbox = 0;
    (void)pthread_mutex_unlock(&d->lock);
    while (d->n_delayed > 0 &&
           d->keys[d->delayed[d->delayed_head]].retry_at_ms <= clock_mono_ms()) {
        long index = pop(d->delayed, &d->delayed_head, &d->n_delayed, d->n_keys);
        push(d->ready, d->ready_head, &d->n_ready, d->n_keys, index);
    }
}

/* The signals are blocked in all threads and only looked at. */
static bool was_told(int signal)
{
    sigset_t set;
    struct timespec now = {0};

    (void)sigemptyset(&set);
    (void)sigaddset(&set, signal);
    return sigtimedwait(&set, NULL, &now) == signal;
}

/* Whether it is one of the times in which nothing is offered. */
static bool is_idle(struct drive *d)
{
    if (*d->pauses != '\0' && d->n_settled >= strtol(d->pauses, NULL, 10)) {
        d->pauses += strcspn(d->pauses, ",");
        d->pauses += *d->pauses == ',';
        d->idle_until_ms = clock_mono_ms() + (uint64_t)d->idle_s * 1000;
        (void)fprintf(stderr, "idle at %ld\n", d->n_settled);
    }
    if (clock_mono_ms() < d->idle_until_ms && was_told(SIGUSR1)) {
        d->idle_until_ms = 0;
    }
    return clock_mono_ms() < d->idle_until_ms;
}

/* Returns false if the adapter was full. */
static bool offer(struct drive *d)
{
    const struct rider_event *events[OFFER_MAX];
    long indexes[OFFER_MAX];
    long room = is_idle(d) ? 0 : d->window - d->n_open;
    size_t n = 0;

    (void)pthread_mutex_lock(&d->lock);
    for (; n < OFFER_MAX && (long)n < room && d->n_ready > 0; n++) {
        indexes[n] = pop(d->ready, &d->ready_head, &d->n_ready, d->n_keys);
        struct key *key = &d->keys[indexes[n]];
        fill_event(d, key);
        key->open = true;
        events[n] = &key->event;
    }
    (void)pthread_mutex_unlock(&d->lock);
    size_t taken = n > 0 ? d->vt->publish(d->self, events, n) : 0;
    (void)pthread_mutex_lock(&d->lock);
    d->n_open += (long)taken;
    for (size_t i = taken; i < n; i++) {
        d->keys[indexes[i]].open = false;
        push(d->ready, d->ready_head, &d->n_ready, d->n_keys, indexes[i]);
    }
    (void)pthread_mutex_unlock(&d->lock);
    return taken == n;
}

static void tell_news(struct drive *d)
{
    struct rider_health health = {.struct_size = sizeof(health)};

    d->vt->health(d->self, &health);
    if (health.state != d->health || health.cause != d->health_cause) {
        d->health = health.state;
        d->health_cause = health.cause;
        (void)fprintf(stderr, "health %s cause %u: %s\n", states[health.state & 3],
                      health.cause, health.detail);
    }
    if (d->n_settled != d->told_settled) {
        d->told_settled = d->n_settled;
        (void)fprintf(stderr, "settled %ld\n", d->n_settled);
    }
}

static void print_result(const struct drive *d, double seconds)
{
    (void)printf(
        "{\"settled\": %ld, \"wrong\": %ld, \"maybe\": %ld, \"seconds\": %.3f, "
        "\"per_second\": %.0f, \"stop_ms\": %llu",
        d->n_settled, d->n_wrong, d->n_maybe, seconds, (double)d->n_settled / seconds,
        (unsigned long long)d->stop_ms);
    for (size_t i = 0; i < N_OUTCOMES; i++) {
        (void)printf(", \"%s\": %ld", outcomes[i], d->by_outcome[i]);
    }
    (void)printf(", \"causes\": {");
    const char *comma = "";
    for (size_t i = 1; i < N_CAUSES; i++) {
        if (d->by_cause[i] > 0) {
            (void)printf("%s\"%zu\": %ld", comma, i, d->by_cause[i]);
            comma = ", ";
        }
    }
    (void)printf("}}\n");
}

static void print_stat(void *arg, const char *name, int is_counter, double value)
{
    (void)arg;
    (void)is_counter;
    (void)fprintf(stderr, "stat %s %.0f\n", name, value);
}

static int run(struct drive *d)
{
    char err[512] = "";
    uint64_t begin = clock_mono_ms();
    uint64_t end = begin + (uint64_t)d->seconds * 1000;
    uint64_t look = begin;

    if (d->vt->start(d->self, err, sizeof(err)) != 0) {
        (void)fprintf(stderr, "start: %s\n", err);
        return -1;
    }
    bool full = false;
    while (d->n_settled < d->n_events && clock_mono_ms() < end && !was_told(SIGTERM)) {
        bool idle = full || d->n_ready == 0 || d->n_open >= d->window || is_idle(d);
        take_completions(d, idle);
        full = !offer(d);
        if (clock_mono_ms() >= look) {
            tell_news(d);
            look = clock_mono_ms() + 100;
        }
    }
    uint64_t stop = clock_mono_ms();
    d->vt->stop(d->self, stop + 5000);
    d->stop_ms = clock_mono_ms() - stop;
    take_completions(d, false);
    if (d->vt->stats != NULL) {
        d->vt->stats(d->self, print_stat, NULL);
    }
    print_result(d, (double)(stop - begin) / 1000);
    return d->n_settled == d->n_events && d->n_wrong == 0 && d->n_open == 0 ? 0 : -1;
}

static int load(struct drive *d, const char *path, char *const *pairs, size_t n_pairs,
                void **ret_config)
{
    struct rider_error why;
    char err[512] = "";
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const struct publisher_vtable *(*entry)(void) = NULL;

    if (library == NULL) {
        (void)fprintf(stderr, "%s\n", dlerror()); /* NOLINT: one thread */
        return -1;
    }
    *(void **)&entry = dlsym(library, "rider_publisher_entry");
    if (entry == NULL) {
        (void)fprintf(stderr, "%s: no entry point\n", path);
        return -1;
    }
    d->vt = entry();
    if (option_fill(d->vt, pairs, n_pairs, ret_config, &why) != 0) {
        (void)fprintf(stderr, "%s\n", why.text);
        return -1;
    }
    if (d->vt->create(&d->host, *ret_config, &d->self, err, sizeof(err)) != 0) {
        (void)fprintf(stderr, "create: %s\n", err);
        return -1;
    }
    return 0;
}

static int add_header(struct drive *d, const char *text)
{
    const char *equals = strchr(text, '=');

    if (equals == NULL || d->n_own == OWN_MAX) {
        return -1;
    }
    d->own[d->n_own++] =
        (struct rider_header){.name = {text, (size_t)(equals - text)},
                              .value = {equals + 1, strlen(equals + 1)}};
    return 0;
}

static int parse_arguments(struct drive *d, int argc, char **argv)
{
    int c;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    while ((c = getopt(argc, argv, "n:k:s:w:t:a:H:i:p:")) != -1) {
        long value = strtol(optarg, NULL, 10);
        switch (c) {
        case 'n':
            d->n_events = value;
            break;
        case 'k':
            d->n_keys = value;
            break;
        case 's':
            d->sizes = optarg;
            break;
        case 'w':
            d->window = value;
            break;
        case 't':
            d->seconds = value;
            break;
        case 'i':
            d->idle_s = value;
            break;
        case 'p':
            d->pauses = optarg;
            break;
        case 'a':
            d->types = optarg;
            break;
        case 'H':
            if (add_header(d, optarg) < 0) {
                return -1;
            }
            break;
        default:
            return -1;
        }
    }
    return optind < argc && d->n_keys > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct drive d = {
        .host = {.struct_size = sizeof(d.host),
                 .destination = "drive",
                 .complete = complete,
                 .complete_many = complete_many,
                 .writable = writable,
                 .log = log_line,
                 .now_ms = now_ms},
        .n_events = 10000,
        .n_keys = 1000,
        .window = 10000,
        .seconds = 60,
        .types = "Test",
        .sizes = "300",
        .pauses = "",
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
    };
    void *config = NULL;
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGUSR1);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (parse_arguments(&d, argc, argv) < 0) {
        (void)fprintf(stderr,
                      "usage: adapter_drive [-n EVENTS] [-k KEYS] [-s SIZE,...] "
                      "[-w WINDOW] [-t SECONDS] [-a TYPE,...] "
                      "[-H NAME=VALUE] [-i SECONDS -p COUNT,...] "
                      "ADAPTER.so KEY=VALUE...\n");
        return 2;
    }
    if (make_keys(&d) < 0 || load(&d, argv[optind], argv + optind + 1,
                                  (size_t)(argc - optind - 1), &config) < 0) {
        return 2;
    }
    int rc = run(&d);
    d.vt->destroy(d.self);
    option_fill_free(d.vt, config);
    for (long i = 0; i < d.n_keys; i++) {
        free(d.keys[i].body);
    }
    free(d.keys);
    free(d.inbox);
    free(d.ready);
    free(d.delayed);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
