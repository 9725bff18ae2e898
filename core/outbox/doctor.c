/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.c - finds what stops progress and names who holds it.
 *
 * Each check is a read-only transaction of its own, so that a missing privilege
 * spoils one answer and not the rest. Clock and pooler are looked at from this side
 * of the connection.
 *
 * Invariant: nothing here writes.
 * Not here: the questions (doctor_checks.c), the report (cli/cmd_doctor.c).
 */
#include "outbox/doctor.h"

#include "base/buf.h"
#include "base/clock.h"
#include "outbox/doctor_checks.h"
#include "outbox/migrate.h"
#include "outbox/query_conn.h"
#include "outbox/secret_store.h"
#include "webhooks/key_ring.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SKEW_WARNING_MS  1000
#define SKEW_CRITICAL_MS 30000 /* receivers refuse signatures minutes off */

struct examination {
    const struct doctor_options *options;
    doctor_emit_fn *emit;
    void *arg;
    PGconn *conn;
    enum doctor_severity worst;
    char slow[24], retention[24], version[16];
};

static const struct {
    const char *cause, *advice;
} advices[] = {
    {"unreachable", "is the destination up, and its address right? Events wait and no "
                    "attempt is used up"},
    {"timeout",
     "the destination accepts connections and does not answer in time: is it "
     "overloaded?"},
    {"tls", "check certificate, host name and CA file of the destination"},
    {"auth", "check user, password or token of the destination, then reload"},
    {"destination_blocked",
     "the broker refuses publishers: look for a memory or disk alarm there"},
    {"topic_missing", "create the topic, or correct its name in the configuration"},
    {"no_route", "create the exchange or its binding, or correct their names in the "
                 "configuration"},
    {"queue_full", "the queue is at its limit: are its consumers alive?"},
    {"too_large", "raise the receiver's limit and replay, or discard: postrider dead"},
    {"invalid_payload", "the receiver cannot read this event: fix its writer, then "
                        "replay or discard"},
    {"rejected_4xx", "the endpoint refuses the request: ask its owner, then postrider "
                     "dead replay"},
    {"failed_5xx", "the endpoint fails: ask its owner; the relay goes on trying"},
    {"redirect", "the endpoint has moved: configure the new address"},
    {"rate_limited", "the destination asks for less: lower max_in_flight, or wait"},
    {"gone_410", "the endpoint says it is gone for good: remove or correct it"},
    {"blocked_address", "the address is private: allow it by allow_cidrs if that is "
                        "meant"},
    {"secret_undecryptable",
     "see what the error says: the ring lacks a key (postrider secrets status), there "
     "is no webhooks.signing_key, or the destination's secret is wrong"},
    {"adapter_fault", "the adapter broke its contract: update it; the log has details"},
    {"commit_horizon", "end the open transaction"},
    {"key_held_by", "postrider held list"},
    {"backing_off", "nothing: the next attempt is scheduled"},
    {"lease_unowned", "start postrider run"},
    {"paused", "postrider resume DESTINATION, or make its subscription active"},
    {"disabled",
     "its subscription is disabled: make it paused, recover, make it active"},
    {"pending_verification", "the handshake of its subscription is due"},
    {"plain_destination", "its destination is configured without subscriptions: put "
                          "`subscriptions` back, or delete the subscription"},
    {"backfill", "nothing: the past of its subscription is being queued"},
    {"in_progress", "nothing: a relay works on it"},
    {"unknown", "this is a defect of Postrider: please report it with the log"},
};

const char *doctor_cause_advice(const char *cause)
{
    size_t n = sizeof(advices) / sizeof(advices[0]);
    size_t len = strcspn(cause, ":");

    for (size_t i = 0; i < n; i++) {
        if (strlen(advices[i].cause) == len &&
            memcmp(advices[i].cause, cause, len) == 0) {
            return advices[i].advice;
        }
    }
    return advices[n - 1].advice;
}

const char *doctor_severity_word(enum doctor_severity severity)
{
    static const char *const words[] = {
        [DOCTOR_OK] = "ok",
        [DOCTOR_WARNING] = "warning",
        [DOCTOR_CRITICAL] = "critical",
    };

    return words[severity];
}

static void say(struct examination *x, struct doctor_finding finding)
{
    if (finding.severity > x->worst) {
        x->worst = finding.severity;
    }
    x->emit(x->arg, &finding);
}

static void say_row(struct examination *x, const char *check,
                    const struct row_set *rows, size_t i)
{
    const char *cause = row_set_text(rows, i, "cause");

    say(x, (struct doctor_finding){
               .severity = strcmp(row_set_text(rows, i, "severity"), "critical") == 0
                               ? DOCTOR_CRITICAL
                               : DOCTOR_WARNING,
               .check = check,
               .subject = row_set_text(rows, i, "subject"),
               .text = row_set_text(rows, i, "text"),
               .advice = cause[0] == '\0' ? row_set_text(rows, i, "advice")
                                          : doctor_cause_advice(cause),
           });
}

/* A check that cannot be made. */
static void say_failure(struct examination *x, const char *check,
                        const struct rider_error *err)
{
    bool critical = err->code == RIDER_E_DB_LOST || err->code == RIDER_E_SCHEMA;

    say(x, (struct doctor_finding){
               .severity = critical ? DOCTOR_CRITICAL : DOCTOR_WARNING,
               .check = check,
               .subject = "",
               .text = err->text,
               .advice = err->code == RIDER_E_PERMISSION
                             ? "grant outbox_monitor or outbox_operator to this user"
                         : err->code == RIDER_E_SCHEMA ? "run postrider migrate"
                                                       : "",
           });
}

static int ask(struct examination *x, const char *sql, struct row_set **ret,
               struct rider_error *err)
{
    static const char options_sql[] =
        "WITH p AS MATERIALIZED (SELECT $1::bigint AS slow_ms, $2::text[] AS "
        "destinations, $3::bigint AS retention_ms, $4::boolean AS is_relay, "
        "$5::int AS version) ";
    RIDER_CLEANUP(buf_done) struct buf text = buf_make(16384);
    const char *const values[] = {x->slow, x->options->destinations, x->retention,
                                  x->options->is_relay ? "true" : "false", x->version};

    buf_puts(&text, options_sql);
    buf_puts(&text, sql);
    if (text.failed) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    return query_conn_ask(x->conn, buf_text(&text), 5, values, ret, err);
}

static void run_check(struct examination *x, const struct doctor_check *check)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};

    if (ask(x, check->sql, &rows, &err) != 0) {
        say_failure(x, check->name, &err);
        return;
    }
    for (size_t i = 0; i < row_set_count(rows); i++) {
        say_row(x, check->name, rows, i);
    }
    if (row_set_count(rows) == 0) {
        say(x, (struct doctor_finding){.severity = DOCTOR_OK,
                                       .check = check->name,
                                       .subject = "",
                                       .text = check->well,
                                       .advice = ""});
    }
}

/* A pooler hands out process ids of its own. */
static void check_connection(struct examination *x)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    char text[256];

    if (ask(x,
            "SELECT pg_backend_pid() AS pid, current_setting('server_version') AS "
            "version, current_database() AS name, current_user AS who FROM p",
            &rows, &err) != 0 ||
        row_set_count(rows) != 1) {
        say_failure(x, "connection", &err);
        return;
    }
    bool pooled = row_set_int(rows, 0, "pid") != PQbackendPID(x->conn);
    (void)snprintf(text, sizeof(text), "PostgreSQL %s at %s:%s, database %s, user %s%s",
                   row_set_text(rows, 0, "version"), PQhost(x->conn), PQport(x->conn),
                   row_set_text(rows, 0, "name"), row_set_text(rows, 0, "who"),
                   pooled ? ", through a connection pooler (pgbouncer?)" : "");
    say(x,
        (struct doctor_finding){
            .severity = pooled ? DOCTOR_WARNING : DOCTOR_OK,
            .check = "connection",
            .subject = "",
            .text = text,
            .advice = pooled ? "let the relay connect directly, or pool by session: it "
                               "refuses a pooler that forgets its settings"
                             : "",
        });
}

static void check_clock(struct examination *x)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    char text[160];
    int64_t before = clock_wall_us();

    if (ask(x,
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us "
            "FROM p",
            &rows, &err) != 0 ||
        row_set_count(rows) != 1) {
        say_failure(x, "clock", &err);
        return;
    }
    int64_t after = clock_wall_us();
    int64_t middle = before + (after - before) / 2;
    int64_t skew_ms = (row_set_int(rows, 0, "us") - middle) / 1000;
    int64_t sure_ms = (skew_ms < 0 ? -skew_ms : skew_ms) - (after - before) / 2000;
    enum doctor_severity severity = sure_ms >= SKEW_CRITICAL_MS  ? DOCTOR_CRITICAL
                                    : sure_ms >= SKEW_WARNING_MS ? DOCTOR_WARNING
                                                                 : DOCTOR_OK;
    (void)snprintf(text, sizeof(text),
                   "the database's clock is %" PRId64 " ms %s this host's",
                   skew_ms < 0 ? -skew_ms : skew_ms, skew_ms < 0 ? "behind" : "before");
    say(x,
        (struct doctor_finding){
            .severity = severity,
            .check = "clock",
            .subject = "",
            .text = text,
            .advice = severity == DOCTOR_OK ? "" : "run a time service on both hosts",
        });
}

static void say_keys(struct examination *x, enum doctor_severity severity,
                     const char *text, const char *advice)
{
    say(x, (struct doctor_finding){.severity = severity,
                                   .check = "keys",
                                   .subject = x->options->key_ring,
                                   .text = text,
                                   .advice = advice});
}

/* The ring is this host's: what a relay elsewhere reads may be another file. */
static void check_keys(struct examination *x)
{
    RIDER_CLEANUP_PTR(key_ring_destroy) struct key_ring *ring = NULL;
    RIDER_CLEANUP(buf_done) struct buf missing = buf_make(1024);
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    char text[1200];

    if (x->options->key_ring == NULL) {
        return;
    }
    if (key_ring_read(x->options->key_ring, &ring, &err) != 0) {
        say_keys(x, DOCTOR_CRITICAL, err.text,
                 "without it no secret of a subscription can be read");
        return;
    }
    if (secret_store_missing_keys(x->options->dsn, ring, &missing, &err) != 0) {
        say_failure(x, "keys", &err);
        return;
    }
    if (missing.len > 0) {
        (void)snprintf(text, sizeof(text), "it lacks key %s, which stored secrets need",
                       buf_text(&missing));
        say_keys(x, DOCTOR_CRITICAL, text,
                 "put the key back, or give those subscriptions new secrets");
        return;
    }
    say_keys(x, DOCTOR_OK, "every stored secret has its key", "");
}

enum doctor_severity doctor_examine(const struct doctor_options *options,
                                    doctor_emit_fn *emit, void *arg)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct examination x = {.options = options, .emit = emit, .arg = arg};

    (void)snprintf(x.slow, sizeof(x.slow), "%" PRId64, options->slow_ms);
    (void)snprintf(x.retention, sizeof(x.retention), "%" PRId64, options->retention_ms);
    (void)snprintf(x.version, sizeof(x.version), "%d", outbox_schema_version());
    if (query_conn_open(options->dsn, "postrider doctor", &conn, &err) != 0) {
        say_failure(&x, "connection", &err);
        return x.worst > DOCTOR_OK ? DOCTOR_CRITICAL : x.worst;
    }
    x.conn = conn;
    check_connection(&x);
    check_clock(&x);
    check_keys(&x);
    for (const struct doctor_check *c = doctor_checks; c->name != NULL; c++) {
        if (PQstatus(conn) == CONNECTION_OK) {
            run_check(&x, c);
        }
    }
    return x.worst;
}
