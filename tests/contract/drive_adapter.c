/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drive_adapter.c - publishes events through an adapter from the command line.
 *
 *     drive_adapter ADAPTER.so EVENTS SECONDS BODY-BYTES [key=value...] [target.key=value...]
 *
 * Offers EVENTS events and offers those that end as UNAVAILABLE again, 200 ms
 * later, until all have ended otherwise or SECONDS have passed; SECONDS 0 means
 * that each event is offered once. SIGTERM ends the time, too. Prints one JSON object
 * a completion, the first of them (all with target.step) at once, and a last one with
 * the totals. Used by the tests in this folder, which play the receiver.
 *
 * target.url=URL makes it a host with subscriptions; drive_targets.h has the keys.
 */
#include "base/clock.h"
#include "contract/drive_targets.h"
#include "support/option_fill.h"

#include "postrider/publisher.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define AGAIN_MS 200u
#define STOP_MS  2000u

enum item_state { ITEM_DUE, ITEM_OPEN, ITEM_DONE };

struct item {
    struct rider_event event;
    enum item_state state;
    uint64_t due_ms, offered_ms;
    char id[48];
};

struct drive {
    struct rider_host host; /* first: the host functions cast back */
    pthread_mutex_t lock;   /* guards the items' states and the counters */
    pthread_cond_t changed;
    struct item *items;
    size_t n, n_done, n_open;
    uint64_t by_outcome[5], completions, breaches;
    struct drive_targets targets;
    size_t steps; /* how often SIGUSR1 has come; run() only */
    bool once;
};

static void print_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c < ' ' || c > '~' || c == '"' || c == '\\') {
            (void)printf("\\u%04x", c);
        } else {
            (void)putchar(c);
        }
    }
}

/** What was seen of the try; null for none. */
static void print_attempt(const struct rider_attempt *attempt)
{
    if (attempt == NULL) {
        (void)printf(",\"attempt\":null");
        return;
    }
    (void)printf(
        ",\"attempt\":{\"reused\":%s,\"started_at_us\":%" PRId64 ",\"dns_us\":%" PRIu32
        ",\"connect_us\":%" PRIu32 ",\"tls_us\":%" PRIu32 ",\"first_byte_us\":%" PRIu32
        ",\"total_us\":%" PRIu32 ",\"requests\":%" PRIu32 ",\"category\":",
        (attempt->flags & RIDER_ATTEMPT_REUSED) != 0 ? "true" : "false",
        attempt->started_at_us, attempt->dns_us, attempt->connect_us, attempt->tls_us,
        attempt->first_byte_us, attempt->total_us, attempt->requests);
    (void)printf(attempt->category != NULL ? "\"%s\"" : "null", attempt->category);
    (void)printf(",\"remote\":\"");
    print_text(attempt->remote.data, attempt->remote.len);
    (void)printf("\",\"response\":\"");
    print_text(attempt->response.data, attempt->response.len);
    (void)printf("\"}");
}

static void on_complete(const struct rider_host *host, uint64_t ticket,
                        const struct rider_result *result)
{
    struct drive *drive = (struct drive *)(uintptr_t)host;
    uint64_t now = clock_mono_ms();

    (void)pthread_mutex_lock(&drive->lock);
    struct item *item = ticket < drive->n ? &drive->items[ticket] : NULL;

    if (item == NULL || item->state != ITEM_OPEN ||
        result->outcome > RIDER_UNROUTABLE) {
        drive->breaches++;
        (void)pthread_mutex_unlock(&drive->lock);
        return;
    }
    bool again = result->outcome == RIDER_UNAVAILABLE && !drive->once;

    item->state = again ? ITEM_DUE : ITEM_DONE;
    item->due_ms = now + AGAIN_MS;
    item->event.attempt++;
    drive->n_done += again ? 0 : 1;
    drive->n_open--;
    drive->completions++;
    drive->by_outcome[result->outcome]++;
    (void)printf("{\"ticket\":%" PRIu64 ",\"outcome\":%" PRIu32 ",\"cause\":%" PRIu32
                 ",\"flags\":%" PRIu32 ",\"status\":%" PRId32
                 ",\"retry_after_ms\":%" PRIu32 ",\"ms\":%" PRIu64 ",\"target\":%zu",
                 ticket, result->outcome, result->cause, result->flags,
                 result->remote_code, result->retry_after_ms, now - item->offered_ms,
                 drive_targets_of(&drive->targets, ticket));
    print_attempt(result->attempt);
    (void)printf(",\"reason\":\"");
    if (result->reason != NULL) {
        print_text(result->reason, strlen(result->reason));
    }
    (void)printf("\"}\n");
    if (drive->completions == 1 || drive->targets.step) {
        (void)fflush(stdout);
    }
    (void)pthread_cond_broadcast(&drive->changed);
    (void)pthread_mutex_unlock(&drive->lock);
}

static void on_complete_many(const struct rider_host *host, const uint64_t *tickets,
                             size_t n, const struct rider_result *result)
{
    for (size_t i = 0; i < n; i++) {
        on_complete(host, tickets[i], result);
    }
}

static void on_writable(const struct rider_host *host)
{
    struct drive *drive = (struct drive *)(uintptr_t)host;

    (void)pthread_mutex_lock(&drive->lock);
    (void)pthread_cond_broadcast(&drive->changed);
    (void)pthread_mutex_unlock(&drive->lock);
}

RIDER_PRINTF(3, 4)
static void on_log(const struct rider_host *host, int level, const char *fmt, ...)
{
    (void)host;
    (void)level;
    (void)fmt;
}

static uint64_t on_now(const struct rider_host *host)
{
    (void)host;
    return clock_mono_ms();
}

static struct rider_bytes bytes_of(const char *text)
{
    return (struct rider_bytes){text, strlen(text)};
}

static void make_items(struct drive *drive, struct rider_bytes body)
{
    uint64_t rate = drive->targets.rate, now = clock_mono_ms();

    for (size_t i = 0; i < drive->n; i++) {
        struct item *item = &drive->items[i];

        item->due_ms = rate > 0 ? now + i * 1000u / rate : 0;
        (void)snprintf(item->id, sizeof(item->id), "019c0000-0000-7000-8000-%012zu", i);
        item->event = (struct rider_event){
            .struct_size = sizeof(item->event),
            .attempt = 1,
            .ticket = i,
            .version = 1,
            .id = bytes_of(item->id),
            .type = bytes_of("TASK_DECIDED"),
            .aggregate_id = bytes_of(item->id),
            .body = body,
            .payload = body,
            .content_type = bytes_of("application/json"),
            .target = drive_targets_get(&drive->targets, i),
        };
    }
}

/** The signals are blocked in all threads and only looked at. */
static bool was_told(int number)
{
    sigset_t set;
    struct timespec now = {0};

    (void)sigemptyset(&set);
    (void)sigaddset(&set, number);
    return sigtimedwait(&set, NULL, &now) == number;
}

/** Offers what is due; returns how much was taken. */
static size_t offer(struct drive *drive, const struct publisher_vtable *vt,
                    struct publisher *self)
{
    enum { BATCH = 256 };
    const struct rider_event *batch[BATCH];
    uint64_t now = clock_mono_ms();
    size_t end =
        drive->targets.step && drive->steps < drive->n ? drive->steps + 1 : drive->n;
    size_t n = 0;

    (void)pthread_mutex_lock(&drive->lock);
    for (size_t i = 0; i < end && n < BATCH; i++) {
        struct item *item = &drive->items[i];

        if (item->state == ITEM_DUE && item->due_ms <= now) {
            item->state = ITEM_OPEN;
            item->offered_ms = now;
            batch[n++] = &item->event;
        }
    }
    drive->n_open += n;
    (void)pthread_mutex_unlock(&drive->lock);
    size_t taken = n > 0 ? vt->publish(self, batch, n) : 0;

    (void)pthread_mutex_lock(&drive->lock);
    for (size_t i = taken; i < n; i++) {
        drive->items[batch[i]->ticket].state = ITEM_DUE;
    }
    drive->n_open -= n - taken;
    (void)pthread_mutex_unlock(&drive->lock);
    return taken;
}

static void wait_change(struct drive *drive)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 5000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_mutex_lock(&drive->lock);
    (void)pthread_cond_timedwait(&drive->changed, &drive->lock, &until);
    (void)pthread_mutex_unlock(&drive->lock);
}

static void print_stat(void *arg, const char *name, int is_counter, double value)
{
    (void)arg;
    (void)is_counter;
    (void)printf(",\"%s\":%.0f", name, value);
}

/** Milliseconds of processor that this process has used so far. */
static uint64_t cpu_ms(void)
{
    struct rusage usage = {0};

    (void)getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000u +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000u;
}

/** The largest resident size of this process so far, in kB; 0: unknown. */
static uint64_t peak_kb(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[128];
    uint64_t kb = 0;

    while (file != NULL && kb == 0 && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kb = strtoull(line + 6, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kb;
}

static void print_totals(struct drive *drive, const struct publisher_vtable *vt,
                         struct publisher *self)
{
    (void)printf(
        ",\"done\":%zu,\"open\":%zu,\"completions\":%" PRIu64 ",\"delivered\":%" PRIu64
        ",\"retry\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"unavailable\":%" PRIu64
        ",\"unroutable\":%" PRIu64 ",\"breaches\":%" PRIu64,
        drive->n_done, drive->n_open, drive->completions,
        drive->by_outcome[RIDER_DELIVERED], drive->by_outcome[RIDER_RETRY],
        drive->by_outcome[RIDER_REJECTED], drive->by_outcome[RIDER_UNAVAILABLE],
        drive->by_outcome[RIDER_UNROUTABLE], drive->breaches);
    if (vt->stats != NULL) {
        vt->stats(self, print_stat, NULL);
    }
}

static void run(struct drive *drive, const struct publisher_vtable *vt,
                struct publisher *self, uint64_t seconds)
{
    uint64_t start = clock_mono_ms(), limit = seconds > 0 ? seconds * 1000u : 60000u;
    bool done = false;

    while (!done && clock_mono_ms() - start < limit && !was_told(SIGTERM)) {
        drive->steps += was_told(SIGUSR1) ? 1 : 0;
        if (offer(drive, vt, self) == 0) {
            wait_change(drive);
        }
        (void)pthread_mutex_lock(&drive->lock);
        done = drive->n_done == drive->n;
        (void)pthread_mutex_unlock(&drive->lock);
    }
    uint64_t ran_ms = clock_mono_ms() - start, used_ms = cpu_ms();
    struct rider_health health = {.struct_size = sizeof(health)};

    if (vt->health != NULL) {
        vt->health(self, &health);
    }

    vt->stop(self, clock_mono_ms() + STOP_MS);
    (void)printf("{\"ms\":%" PRIu64 ",\"stop_ms\":%" PRIu64 ",\"cpu_ms\":%" PRIu64
                 ",\"stop_cpu_ms\":%" PRIu64 ",\"health\":%" PRIu32
                 ",\"peak_kb\":%" PRIu64,
                 ran_ms, clock_mono_ms() - start - ran_ms, used_ms, cpu_ms() - used_ms,
                 health.state, peak_kb());
    print_totals(drive, vt, self);
    (void)printf("}\n");
}

static void print_explained(void *arg, const char *name, const void *value, size_t len)
{
    (void)arg;
    (void)printf("{\"explain\":\"%s\",\"value\":\"", name);
    print_text(value, len);
    (void)printf("\"}\n");
}

static const struct publisher_vtable *load(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const struct publisher_vtable *(*entry)(void) = NULL;

    if (handle == NULL) {
        (void)fprintf(stderr, "%s\n", dlerror());
        return NULL;
    }
    void *symbol = dlsym(handle, "rider_publisher_entry");

    memcpy(&entry, &symbol, sizeof(entry));
    return entry != NULL ? entry() : NULL;
}

/** A JSON text of `size` bytes, freed by the caller. */
static char *make_body(size_t size)
{
    char *body = malloc(size + 3);

    if (body != NULL) {
        memset(body, 'x', size);
        body[0] = '"';
        body[size - 1] = '"';
        body[size] = '\0';
    }
    return body;
}

static int drive_all(const char *const *args, char **pairs, size_t n_pairs)
{
    struct drive drive = {.host = {.struct_size = sizeof(struct rider_host),
                                   .abi_minor = RIDER_PUBLISHER_ABI_MINOR,
                                   .destination = "drive",
                                   .complete = on_complete,
                                   .complete_many = on_complete_many,
                                   .writable = on_writable,
                                   .log = on_log,
                                   .now_ms = on_now},
                          .lock = PTHREAD_MUTEX_INITIALIZER,
                          .changed = PTHREAD_COND_INITIALIZER,
                          .n = (size_t)strtoull(args[1], NULL, 10)};
    uint64_t seconds = strtoull(args[2], NULL, 10);
    size_t body_len = (size_t)strtoull(args[3], NULL, 10);
    const struct publisher_vtable *vt = load(args[0]);
    struct publisher *self = NULL;
    struct rider_error error = {.text = "target: a bad key or value"};
    void *config = NULL;
    char err[512] = "";

    if (vt == NULL || body_len < 2) {
        return 2;
    }
    if (drive_targets_init(&drive.targets, pairs, &n_pairs) != 0 ||
        option_fill(vt, pairs, n_pairs, &config, &error) != 0) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    drive.host.flags = drive.targets.n > 0 ? RIDER_HOST_SUBSCRIPTIONS : 0;
    char *body = make_body(body_len);
    int rc = 1;

    drive.once = seconds == 0;
    drive.items = calloc(drive.n, sizeof(drive.items[0]));
    if (body != NULL && drive.items != NULL &&
        vt->create(&drive.host, config, &self, err, sizeof(err)) == 0) {
        make_items(&drive, bytes_of(body));
        drive_targets_check(&drive.targets, vt, self);
        if (drive.targets.explain && drive.n > 0) {
            vt->explain(self, &drive.items[0].event, print_explained, NULL);
        }
        if (vt->start(self, err, sizeof(err)) == 0) {
            run(&drive, vt, self, seconds);
            rc = 0;
        }
        vt->destroy(self);
    }
    if (rc != 0) {
        (void)fprintf(stderr, "%s\n", err);
    }
    option_fill_free(vt, config);
    drive_targets_done(&drive.targets);
    free(drive.items);
    free(body);
    return rc;
}

/** Thousands of connections take more than a shell's usual limit. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        (void)fprintf(stderr, "usage: drive_adapter ADAPTER.so EVENTS SECONDS "
                              "BODY-BYTES [key=value...]\n");
        return 64;
    }
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGUSR1);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    raise_descriptors();
    return drive_all((const char *const *)argv + 1, argv + 5, (size_t)argc - 5);
}
