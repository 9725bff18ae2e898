/* SPDX-License-Identifier: Apache-2.0 */
/*
 * adapter_drive.c - drives one adapter with many keyed events, as the relay does.
 *
 * usage: adapter_drive [-n EVENTS] [-k KEYS] [-s SIZE] [-w WINDOW] [-t SECONDS]
 *                      [-a TYPE,TYPE...] ADAPTER.so KEY=VALUE...
 *
 * Each key has one event in flight; a body is {"key":"key-7","seq":3,"pad":"..."},
 * so that a consumer can check order and completeness. Whatever is not delivered
 * or rejected is offered again after 500 ms. Keys take the aggregate types in
 * turn. Ends when all is settled or the time is over, prints one JSON object, and
 * writes changes of health to standard error.
 */
#include "base/clock.h"
#include "postrider/publisher.h"
#include "support/option_fill.h"

#include <dlfcn.h>
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RETRY_MS  500
#define OFFER_MAX 512
#define N_CAUSES  (RIDER_CAUSE_UNKNOWN + 1)

static const char *const outcomes[] = {"delivered", "retry", "rejected", "unavailable",
                                       "unroutable"};
static const char *const states[] = {"starting", "up", "degraded", "down"};

/* One key and the only event of it that can be open. */
struct key {
    struct rider_event event;
    char name[32], id[64];
    char *body;
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
    long n_events, n_keys, size, window, seconds;
    char *types;
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
    long by_outcome[5], by_cause[N_CAUSES], n_maybe, n_delivered_events;
    uint32_t health;
};

static struct drive *drive_of(const struct rider_host *host)
{
    union {
        const struct rider_host *in;
        struct drive *out;
    } pointer = {.in = host};

    return pointer.out;
}

static void complete_many(const struct rider_host *host, const uint64_t *tickets,
                          size_t n, const struct rider_result *result)
{
    struct drive *d = drive_of(host);

    (void)pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < n; i++) {
        struct key *key =
            tickets[i] < (uint64_t)d->n_keys ? &d->keys[tickets[i]] : NULL;

        if (key == NULL || !key->open || key->completed) {
            d->n_wrong++;
            continue;
        }
        key->result = *result;
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
    int len = snprintf(key->body, (size_t)d->size + 128,
                       "{\"key\":\"%s\",\"seq\":%ld,"
                       "\"pad\":\"",
                       key->name, key->next);

    while (len < d->size - 2) {
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

static const char *type_of(const struct drive *d, long key, size_t *ret_len)
{
    long n = 1;
    const char *at = d->types;

    for (const char *p = d->types; *p != '\0'; p++) {
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
        const char *type = type_of(d, i, &len);

        key->body = malloc((size_t)d->size + 160);
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
    uint32_t outcome = key->result.outcome < 5 ? key->result.outcome : RIDER_RETRY;

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

/* Returns false if the adapter was full. */
static bool offer(struct drive *d)
{
    const struct rider_event *events[OFFER_MAX];
    long indexes[OFFER_MAX];
    long room = d->window - d->n_open;
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

static void watch_health(struct drive *d)
{
    struct rider_health health = {.struct_size = sizeof(health)};

    d->vt->health(d->self, &health);
    if (health.state != d->health) {
        d->health = health.state;
        (void)fprintf(stderr, "health %s cause %u: %s\n", states[health.state & 3],
                      health.cause, health.detail);
    }
}

static void print_result(const struct drive *d, double seconds)
{
    (void)printf(
        "{\"settled\": %ld, \"wrong\": %ld, \"maybe\": %ld, \"seconds\": %.3f, "
        "\"per_second\": %.0f",
        d->n_settled, d->n_wrong, d->n_maybe, seconds, (double)d->n_settled / seconds);
    for (size_t i = 0; i < 5; i++) {
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
    while (d->n_settled < d->n_events && clock_mono_ms() < end) {
        bool idle = full || d->n_ready == 0 || d->n_open >= d->window;
        take_completions(d, idle);
        full = !offer(d);
        if (clock_mono_ms() >= look) {
            watch_health(d);
            look = clock_mono_ms() + 100;
        }
    }
    double seconds = (double)(clock_mono_ms() - begin) / 1000;
    d->vt->stop(d->self, clock_mono_ms() + 5000);
    take_completions(d, false);
    print_result(d, seconds);
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

static int parse_arguments(struct drive *d, int argc, char **argv)
{
    for (int c = 0;
         (c = getopt(argc, argv, "n:k:s:w:t:a:")) != -1;) { /* NOLINT: one thread */
        long value = c == 'a' ? 0 : strtol(optarg, NULL, 10);
        switch (c) {
        case 'n':
            d->n_events = value;
            break;
        case 'k':
            d->n_keys = value;
            break;
        case 's':
            d->size = value;
            break;
        case 'w':
            d->window = value;
            break;
        case 't':
            d->seconds = value;
            break;
        case 'a':
            d->types = optarg;
            break;
        default:
            return -1;
        }
    }
    return optind < argc && d->n_keys > 0 && d->size >= 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    static char default_type[] = "Test";
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
        .size = 300,
        .window = 10000,
        .seconds = 60,
        .types = default_type,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .changed = PTHREAD_COND_INITIALIZER,
    };
    void *config = NULL;

    if (parse_arguments(&d, argc, argv) < 0) {
        (void)fprintf(stderr, "usage: adapter_drive [-n EVENTS] [-k KEYS] [-s SIZE] "
                              "[-w WINDOW] [-t SECONDS] [-a TYPE,...] ADAPTER.so "
                              "KEY=VALUE...\n");
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
