/* SPDX-License-Identifier: Apache-2.0 */
/*
 * latency.c - how long an event takes from its commit to its destination.
 *
 * usage: latency DSN PIPE RATE SECONDS WRITERS PER_TRANSACTION
 *
 * WRITERS connections commit RATE events a second together, evenly paced, in
 * transactions of PER_TRANSACTION. The relay under test writes its lines into the
 * named pipe PIPE, where a thread notes when each one arrives. Both ends read one
 * clock: the difference is from the commit's acknowledgement at the writer to the
 * line at the reader. The first second is left out.
 *
 * Invariant: an event's number is written by one writer and noted by the reader
 * alone, so the two arrays need no lock; the reader ends before they are read.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX    270 /* fills a payload up to 300 bytes */
#define LINE_MAX_IN 65536
#define MAX_WRITERS 64
#define PATIENCE_MS 10000 /* for lines that are late */

static const char insert[] =
    "INSERT INTO outbox.event (type, aggregate_type, aggregate_id, payload) "
    "SELECT 'ORDER_CHANGED', 'order', $1::text || '-' || n % 1000, "
    "('{\"n\":' || n || ',\"text\":\"' || $4::text || '\"}')::json "
    "FROM generate_series($2::bigint, $3::bigint) n";

struct test {
    const char *dsn, *pipe;
    long rate, seconds, writers, per_transaction, events;
    int64_t begin_ns;
    int64_t *committed, *arrived;             /* by number; 0: not yet */
    atomic_long n_arrived, failures, late_us; /* late_us: worst start of a commit */
};

struct writer {
    struct test *test;
    long number;
    pthread_t thread;
};

static void sleep_until(int64_t ns)
{
    const struct timespec at = {ns / 1000000000, ns % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
}

static void note_late(struct test *t, int64_t due_ns)
{
    long us = (long)((bench_ns() - due_ns) / 1000);
    long worst = atomic_load(&t->late_us);

    while (us > worst && !atomic_compare_exchange_weak(&t->late_us, &worst, us)) {
    }
}

static bool commit_some(struct writer *w, PGconn *conn, long first, const char *text)
{
    char key[32];
    char from[24];
    char to[24];
    const char *const params[] = {key, from, to, text};
    long n = w->test->per_transaction;

    (void)snprintf(key, sizeof(key), "writer-%ld", w->number);
    (void)snprintf(from, sizeof(from), "%ld", first);
    (void)snprintf(to, sizeof(to), "%ld", first + n - 1);
    PGresult *res = PQexecPrepared(conn, "insert", 4, params, NULL, NULL, 0);
    bool ok = PQresultStatus(res) == PGRES_COMMAND_OK;
    int64_t now = bench_ns();
    PQclear(res);
    for (long i = 0; i < n; i++) {
        w->test->committed[first + i] = now;
    }
    return ok;
}

static void *write_events(void *arg)
{
    struct writer *w = arg;
    struct test *t = w->test;
    char text[TEXT_MAX + 1];
    PGconn *conn = PQconnectdb(t->dsn);
    PGresult *res = PQprepare(conn, "insert", insert, 0, NULL);
    bool ok = PQresultStatus(res) == PGRES_COMMAND_OK;
    const double gap_ns = 1e9 * (double)t->per_transaction / (double)t->rate;

    PQclear(res);
    memset(text, 'x', TEXT_MAX);
    text[TEXT_MAX] = '\0';
    for (long i = w->number; ok && (i + 1) * t->per_transaction <= t->events;
         i += t->writers) {
        int64_t due = t->begin_ns + (int64_t)((double)i * gap_ns);
        sleep_until(due);
        note_late(t, due);
        ok = commit_some(w, conn, i * t->per_transaction, text);
    }
    if (!ok) {
        (void)fprintf(stderr, "%s", PQerrorMessage(conn));
        (void)atomic_fetch_add(&t->failures, 1);
    }
    PQfinish(conn);
    return NULL;
}

static void note_line(struct test *t, const char *line, int64_t now)
{
    const char *at = strstr(line, "\"n\":");
    long n = at == NULL ? -1 : strtol(at + 4, NULL, 10);

    if (n >= 0 && n < t->events && t->arrived[n] == 0) {
        t->arrived[n] = now;
        (void)atomic_fetch_add(&t->n_arrived, 1);
    }
}

/* Notes the whole lines of `text` and returns the length of the rest. */
static size_t note_lines(struct test *t, char *text, size_t len)
{
    int64_t now = bench_ns();
    size_t begin = 0;
    char *end = NULL;

    while ((end = memchr(text + begin, '\n', len - begin)) != NULL) {
        *end = '\0';
        note_line(t, text + begin, now);
        begin = (size_t)(end - text) + 1;
    }
    memmove(text, text + begin, len - begin);
    return len - begin;
}

static void *read_lines(void *arg)
{
    struct test *t = arg;
    static char text[LINE_MAX_IN];
    size_t have = 0;
    struct pollfd p = {.fd = open(t->pipe, O_RDWR | O_CLOEXEC | O_NONBLOCK),
                       .events = POLLIN};

    while (atomic_load(&t->n_arrived) < t->events && poll(&p, 1, PATIENCE_MS) > 0) {
        ssize_t got = read(p.fd, text + have, sizeof(text) - have);
        if (got <= 0 ||
            (have = note_lines(t, text, have + (size_t)got)) == sizeof(text)) {
            break;
        }
    }
    (void)close(p.fd);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

static void print_result(struct test *t)
{
    long n = 0;
    double took = ms(t->committed[t->events - 1] - t->begin_ns) / 1e3;
    int64_t *delay = t->committed; /* reused: only differences matter now */

    for (long i = t->rate; i < t->events; i++) {
        if (t->arrived[i] != 0 && t->committed[i] != 0) {
            delay[n++] = t->arrived[i] - t->committed[i];
        }
    }
    if (n == 0) {
        return;
    }
    qsort(delay, (size_t)n, sizeof(*delay), compare);
    int64_t p50 = delay[n / 2];
    int64_t p99 = delay[n * 99 / 100];
    int64_t p999 = delay[n * 999 / 1000];
    (void)printf("{\"events\": %ld, \"arrived\": %ld, \"measured\": %ld, "
                 "\"per_second\": %.0f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
                 "\"p999_ms\": %.3f, \"max_ms\": %.3f, \"writer_late_ms\": %.3f}\n",
                 t->events, atomic_load(&t->n_arrived), n, (double)t->events / took,
                 ms(p50), ms(p99), ms(p999), ms(delay[n - 1]),
                 ms(atomic_load(&t->late_us) * 1000));
}

static bool run(struct test *t)
{
    static struct writer writers[MAX_WRITERS];
    pthread_t reader;

    if (pthread_create(&reader, NULL, read_lines, t) != 0) {
        return false;
    }
    t->begin_ns = bench_ns() + 500000000; /* time to connect */
    for (long i = 0; i < t->writers; i++) {
        writers[i] = (struct writer){.test = t, .number = i};
        if (pthread_create(&writers[i].thread, NULL, write_events, &writers[i]) != 0) {
            return false;
        }
    }
    for (long i = 0; i < t->writers; i++) {
        (void)pthread_join(writers[i].thread, NULL);
    }
    (void)pthread_join(reader, NULL);
    return atomic_load(&t->failures) == 0;
}

int main(int argc, char **argv)
{
    struct test t = {0};

    if (argc != 7) {
        (void)fprintf(stderr, "usage: latency DSN PIPE RATE SECONDS WRITERS "
                              "PER_TRANSACTION\n");
        return 2;
    }
    t.dsn = argv[1];
    t.pipe = argv[2];
    t.rate = bench_number(argv[3]);
    t.seconds = bench_number(argv[4]);
    t.writers = bench_number(argv[5]);
    t.per_transaction = bench_number(argv[6]);
    t.events = t.rate * t.seconds / t.per_transaction * t.per_transaction;
    t.committed = calloc((size_t)t.events, sizeof(int64_t));
    t.arrived = calloc((size_t)t.events, sizeof(int64_t));
    bool ok = t.writers <= MAX_WRITERS && t.committed != NULL && t.arrived != NULL &&
              t.seconds > 1 && run(&t);
    if (ok) {
        print_result(&t);
    }
    ok = ok && atomic_load(&t.n_arrived) == t.events;
    free(t.committed);
    free(t.arrived);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
