/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stdout.c - an adapter that writes one line an event, and the template for
 * others.
 *
 * publish() puts borrowed event pointers into a bounded ring and never waits.
 * One worker thread takes a batch out, writes it and completes each event: the
 * lines that the kernel took whole are delivered, the rest is unavailable.
 *
 * Invariant: `open` counts the events taken and not yet completed; the ring
 * holds those of them the worker did not take out yet.
 * Not here: how bytes get out without blocking (output.c).
 */
#include "stdout/batch.h"
#include "stdout/output.h"

#include "postrider/publisher.h"
#include "postrider/version.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE_MAX 4096

enum stdout_format { FORMAT_LINE, FORMAT_RAW };
enum stdout_sync { SYNC_NONE, SYNC_BATCH };

struct stdout_config {
    const char *path;
    uint32_t format; /* enum stdout_format */
    uint32_t sync;   /* enum stdout_sync */
};

static const char *const format_choices[] = {"line", "raw", NULL};
static const char *const sync_choices[] = {"none", "batch", NULL};

static const struct rider_option options[] = {
    {.name = "path",
     .type = RIDER_STRING,
     .offset = RIDER_FIELD(struct stdout_config, path, const char *),
     .help = "File or named pipe to append to; without it, standard output."},
    {.name = "format",
     .type = RIDER_ENUM,
     .offset = RIDER_FIELD(struct stdout_config, format, uint32_t),
     .default_value = "line",
     .choices = format_choices,
     .help = "`line` turns line breaks between JSON tokens into spaces, so that an "
             "event is "
             "one line; `raw` writes the body as it is, and a newline."},
    {.name = "sync",
     .type = RIDER_ENUM,
     .offset = RIDER_FIELD(struct stdout_config, sync, uint32_t),
     .default_value = "none",
     .choices = sync_choices,
     .help =
         "`batch` brings each batch of lines to the disk before its events count as "
         "delivered; `none` leaves that to the kernel."},
    {.name = NULL},
};

struct publisher {
    const struct rider_host *host;
    const struct stdout_config *config;
    struct output out; /* the worker's, but for output_cancel() */
    pthread_t worker;
    bool started;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work;  /* events came, or stop */
    pthread_cond_t idle;  /* `open` fell, or the worker ended */
    const struct rider_event *ring[QUEUE_MAX];
    size_t head, n;
    size_t open;
    bool was_full; /* publish() was short: writable() is owed */
    bool stopping, abandoned, ended;
    uint64_t lines, bytes;
    uint32_t state; /* enum rider_health_state */
    int failed;     /* errno value when DOWN */
};

static const char *output_name(const struct publisher *self)
{
    return self->config->path != NULL ? self->config->path : "standard output";
}

static uint32_t cause_of(int failed)
{
    return failed == ENOSPC || failed == EDQUOT || failed == EFBIG
               ? RIDER_CAUSE_DESTINATION_BLOCKED
               : RIDER_CAUSE_UNREACHABLE;
}

static void describe_failure(const struct publisher *self, int failed, char *text,
                             size_t size)
{
    char reason[96];

    (void)snprintf(text, size, "could not write to %.80s: %s", output_name(self),
                   failed == ECANCELED ? "the relay stops"
                                       : strerror_r(failed, reason, sizeof(reason)));
}

/* --- the worker's side --- */

/* Waits for events and takes some out of the ring. False: stop, nothing left. */
static bool take_batch(struct publisher *self, struct batch *batch)
{
    (void)pthread_mutex_lock(&self->lock);
    while (self->n == 0 && !self->stopping) {
        (void)pthread_cond_wait(&self->work, &self->lock);
    }
    batch->n = self->n < BATCH_MAX ? self->n : BATCH_MAX;
    for (size_t i = 0; i < batch->n; i++) {
        batch->events[i] = self->ring[self->head];
        batch->tickets[i] = batch->events[i]->ticket;
        self->head = (self->head + 1) % QUEUE_MAX;
    }
    self->n -= batch->n;
    (void)pthread_mutex_unlock(&self->lock);
    return batch->n > 0;
}

/* Completes the first `whole` events as delivered and the rest as unavailable. */
static void complete_batch(struct publisher *self, const struct batch *batch,
                           size_t whole, int failed)
{
    const struct rider_host *host = self->host;
    struct rider_result result = {.struct_size = sizeof(result),
                                  .outcome = RIDER_DELIVERED};
    size_t begun = batch_begun(batch, self->out.sent);
    char reason[512];

    if (whole > 0) {
        host->complete_many(host, batch->tickets, whole, &result);
    }
    if (whole == batch->n) {
        return;
    }
    describe_failure(self, failed, reason, sizeof(reason));
    result.outcome = RIDER_UNAVAILABLE;
    result.cause = cause_of(failed);
    result.reason = reason;
    if (begun > whole) {
        result.flags = RIDER_RESULT_MAYBE_DELIVERED;
        host->complete_many(host, batch->tickets + whole, begun - whole, &result);
    } else {
        begun = whole;
    }
    result.flags = 0;
    if (begun < batch->n) {
        host->complete_many(host, batch->tickets + begun, batch->n - begun, &result);
    }
}

/* Books what became of a batch and tells the host if it waits for room. */
static void settle_batch(struct publisher *self, const struct batch *batch,
                         size_t whole, int failed)
{
    bool room = false;

    (void)pthread_mutex_lock(&self->lock);
    self->open -= batch->n;
    self->lines += whole;
    self->bytes += whole > 0 ? batch->ends[whole - 1] - batch->start : 0;
    self->state = failed == 0 ? RIDER_UP : RIDER_DOWN;
    self->failed = failed;
    room = self->was_full;
    self->was_full = false;
    (void)pthread_cond_broadcast(&self->idle);
    (void)pthread_mutex_unlock(&self->lock);
    if (room) {
        self->host->writable(self->host);
    }
}

static bool is_abandoned(struct publisher *self)
{
    (void)pthread_mutex_lock(&self->lock);
    bool abandoned = self->abandoned;
    (void)pthread_mutex_unlock(&self->lock);
    return abandoned;
}

static void *run_worker(void *arg)
{
    struct publisher *self = arg;
    struct batch batch = {.n = 0};

    /* Opens the output, so that health() tells early what is wrong with it. */
    settle_batch(self, &batch, 0, output_recover(&self->out));
    while (take_batch(self, &batch)) {
        int failed = ECANCELED;
        size_t whole = 0;

        batch.start = self->out.put;
        if (!is_abandoned(self)) {
            whole = batch_write(&batch, &self->out, self->config->format == FORMAT_LINE,
                                self->config->sync == SYNC_BATCH, &failed);
        }
        complete_batch(self, &batch, whole, failed);
        settle_batch(self, &batch, whole, failed);
    }
    (void)pthread_mutex_lock(&self->lock);
    self->ended = true;
    (void)pthread_cond_broadcast(&self->idle);
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* --- the host's side --- */

static int stdout_create(const struct rider_host *host, const void *config,
                         struct publisher **ret, char *err, size_t err_size)
{
    const struct stdout_config *c = config;
    pthread_condattr_t monotonic;

    if (c->path != NULL && c->path[0] == '\0') {
        (void)snprintf(err, err_size,
                       "path is empty; leave it out for standard output");
        return EINVAL;
    }
    struct publisher *self = calloc(1, sizeof(*self));
    int r = self != NULL ? output_init(&self->out, c->path) : ENOMEM;
    if (r != 0) {
        char reason[96];
        (void)snprintf(err, err_size, "%s", strerror_r(r, reason, sizeof(reason)));
        free(self);
        return r;
    }
    self->host = host;
    self->config = c;
    self->state = RIDER_STARTING;
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&self->work, NULL);
    (void)pthread_cond_init(&self->idle, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    *ret = self;
    return 0;
}

static int stdout_start(struct publisher *self, char *err, size_t err_size)
{
    sigset_t all;
    sigset_t before;

    /* A thread inherits the mask: signals stay with the relay's own threads, and
     * SIGPIPE becomes EPIPE. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&self->worker, NULL, run_worker, self);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0) {
        char reason[96];
        (void)snprintf(err, err_size, "could not start a thread: %s",
                       strerror_r(r, reason, sizeof(reason)));
        return r;
    }
    self->started = true;
    return 0;
}

static size_t stdout_publish(struct publisher *self,
                             const struct rider_event *const *events, size_t n)
{
    (void)pthread_mutex_lock(&self->lock);
    size_t room = QUEUE_MAX - self->n;
    size_t taken = n < room ? n : room;

    for (size_t i = 0; i < taken; i++) {
        self->ring[(self->head + self->n + i) % QUEUE_MAX] = events[i];
    }
    self->n += taken;
    self->open += taken;
    self->was_full = taken < n;
    (void)pthread_cond_signal(&self->work);
    (void)pthread_mutex_unlock(&self->lock);
    return taken;
}

/* Waits for `idle` until the deadline on the host's clock. Needs the lock; false
 * once the deadline passed. */
static bool wait_idle(struct publisher *self, uint64_t deadline_ms)
{
    uint64_t now_ms = self->host->now_ms(self->host);
    struct timespec until;

    if (now_ms >= deadline_ms) {
        return false;
    }
    uint64_t left_ms = deadline_ms - now_ms;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(left_ms / 1000);
    until.tv_nsec += (long)(left_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return pthread_cond_timedwait(&self->idle, &self->lock, &until) != ETIMEDOUT;
}

static size_t stdout_flush(struct publisher *self, uint64_t deadline_ms)
{
    (void)pthread_mutex_lock(&self->lock);
    while (self->open > 0 && wait_idle(self, deadline_ms)) {
    }
    size_t open = self->open;
    (void)pthread_mutex_unlock(&self->lock);
    return open;
}

static void stdout_stop(struct publisher *self, uint64_t deadline_ms)
{
    if (!self->started) {
        return;
    }
    (void)pthread_mutex_lock(&self->lock);
    self->stopping = true;
    (void)pthread_cond_signal(&self->work);
    while (!self->ended && wait_idle(self, deadline_ms)) {
    }
    self->abandoned = true;
    (void)pthread_mutex_unlock(&self->lock);
    output_cancel(&self->out);
    (void)pthread_join(self->worker, NULL);
    self->started = false;
}

static void stdout_destroy(struct publisher *self)
{
    if (self == NULL) {
        return;
    }
    output_done(&self->out);
    (void)pthread_cond_destroy(&self->idle);
    (void)pthread_cond_destroy(&self->work);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

static void stdout_health(struct publisher *self, struct rider_health *ret)
{
    (void)pthread_mutex_lock(&self->lock);
    uint32_t state = self->state;
    int failed = self->failed;
    (void)pthread_mutex_unlock(&self->lock);

    ret->state = state;
    ret->cause = failed == 0 ? RIDER_CAUSE_NONE : cause_of(failed);
    ret->detail[0] = '\0';
    if (failed != 0) {
        describe_failure(self, failed, ret->detail, sizeof(ret->detail));
    }
}

static void stdout_stats(struct publisher *self, rider_stat_fn *emit, void *arg)
{
    (void)pthread_mutex_lock(&self->lock);
    size_t queued = self->n;
    uint64_t lines = self->lines;
    uint64_t bytes = self->bytes;
    (void)pthread_mutex_unlock(&self->lock);

    emit(arg, "queued_events", 0, (double)queued);
    emit(arg, "lines_total", 1, (double)lines);
    emit(arg, "line_bytes_total", 1, (double)bytes);
}

/* As output_put() writes it. */
static void explain_line(const struct rider_event *event, bool one_line,
                         rider_explain_fn *emit, void *arg)
{
    char *line = malloc(event->body.len + 1);

    if (line == NULL) {
        return;
    }
    memcpy(line, event->body.data, event->body.len);
    for (size_t i = 0; one_line && i < event->body.len; i++) {
        if (line[i] == '\n' || line[i] == '\r') {
            line[i] = ' ';
        }
    }
    emit(arg, "line", line, event->body.len);
    free(line);
}

static void stdout_explain(struct publisher *self, const struct rider_event *event,
                           rider_explain_fn *emit, void *arg)
{
    const char *name = output_name(self);

    emit(arg, "output", name, strlen(name));
    emit(arg, "format", format_choices[self->config->format],
         strlen(format_choices[self->config->format]));
    explain_line(event, self->config->format == FORMAT_LINE, emit, arg);
}

RIDER_EXPORT const struct publisher_vtable *rider_publisher_entry(void)
{
    static const struct publisher_vtable vtable = {
        .magic = RIDER_PUBLISHER_MAGIC,
        .struct_size = sizeof(struct publisher_vtable),
        .abi_major = RIDER_PUBLISHER_ABI_MAJOR,
        .abi_minor = RIDER_PUBLISHER_ABI_MINOR,
        .caps = RIDER_CAP_KEY_ORDER,
        .name = "stdout",
        .version = RIDER_VERSION,
        .summary =
            "Writes one line an event to standard output, a file or a named pipe",
        .options = options,
        .option_size = sizeof(struct rider_option),
        .config_size = sizeof(struct stdout_config),
        .create = stdout_create,
        .start = stdout_start,
        .publish = stdout_publish,
        .flush = stdout_flush,
        .stop = stdout_stop,
        .destroy = stdout_destroy,
        .health = stdout_health,
        .stats = stdout_stats,
        .explain = stdout_explain,
    };
    return &vtable;
}
