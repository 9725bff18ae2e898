/* SPDX-License-Identifier: Apache-2.0 */
/*
 * window_loop.c - how fast libpq reads the log by snapshot windows: the limit of
 * any relay on this machine.
 *
 * usage: window_loop DSN
 *
 * Reads all events from the beginning in pages of 1000 binary rows, asks for the
 * next page before it works on the one it has, hashes each key and copies each
 * payload. Sends nothing, writes nothing.
 * The statements are those of core/outbox/lane_sql.c: change both.
 */
#include "bench.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <string.h>

#define PAGE 1000
#define KEPT ((size_t)4 << 20) /* payloads are copied into a ring of this size */

#define COLUMNS                                                                \
    "e.seq, e.event_id, e.type, e.aggregate_type, e.aggregate_id, e.version, " \
    "e.occurred_at, e.payload, e.headers"

enum { COL_SEQ, COL_AGG_TYPE = 3, COL_AGG_ID = 4, COL_PAYLOAD = 7, COL_WIN = 9 };

static const char open_window[] =
    "WITH s AS MATERIALIZED (SELECT $1::pg_snapshot AS s), "
    "k AS (SELECT seq FROM outbox.event"
    "  WHERE xid >= (SELECT pg_snapshot_xmax(s) FROM s)"
    "  UNION ALL SELECT e.seq FROM pg_snapshot_xip((SELECT s FROM s)) AS i(x)"
    "  JOIN outbox.event e ON e.xid = i.x), "
    "t AS MATERIALIZED (SELECT seq FROM k ORDER BY seq LIMIT 1000) "
    "SELECT " COLUMNS ", CASE WHEN t.seq = (SELECT min(seq) FROM t)"
    "  THEN pg_current_snapshot()::text END "
    "FROM t JOIN outbox.event e ON e.seq = t.seq ORDER BY t.seq";

static const char next_page[] =
    "SELECT " COLUMNS " FROM outbox.event e WHERE seq > $1::bigint "
    "AND NOT pg_visible_in_snapshot(xid, (SELECT $2::pg_snapshot)) "
    "AND pg_visible_in_snapshot(xid, (SELECT $3::pg_snapshot)) "
    "ORDER BY seq LIMIT 1000";

struct loop {
    PGconn *conn;
    char *win;
    char *ring;
    size_t at;
    uint64_t hash;
    long events;
};

static PGconn *open_connection(const char *dsn)
{
    const char *const keys[] = {"dbname", "options", NULL};
    const char *const values[] = {
        dsn,
        "-c jit=off -c plan_cache_mode=force_generic_plan -c enable_seqscan=off "
        "-c enable_hashjoin=off -c enable_mergejoin=off",
        NULL};
    PGconn *conn = PQconnectdbParams(keys, values, 1);
    bool ok = PQstatus(conn) == CONNECTION_OK;

    if (ok) {
        PGresult *first = PQprepare(conn, "open", open_window, 0, NULL);
        PGresult *second = PQprepare(conn, "page", next_page, 0, NULL);
        ok = PQresultStatus(first) == PGRES_COMMAND_OK &&
             PQresultStatus(second) == PGRES_COMMAND_OK;
        PQclear(first);
        PQclear(second);
    }
    if (!ok) {
        (void)fprintf(stderr, "%s", PQerrorMessage(conn));
        PQfinish(conn);
        return NULL;
    }
    return conn;
}

static uint64_t hash_of(uint64_t h, const char *data, int len)
{
    for (int i = 0; i < len; i++) {
        h = (h ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    }
    return h;
}

static void work_on(struct loop *l, const PGresult *page)
{
    int n = PQntuples(page);

    for (int r = 0; r < n; r++) {
        size_t len = (size_t)PQgetlength(page, r, COL_PAYLOAD);
        uint64_t h = UINT64_C(0xcbf29ce484222325);

        h = hash_of(h, PQgetvalue(page, r, COL_AGG_TYPE),
                    PQgetlength(page, r, COL_AGG_TYPE));
        l->hash ^= hash_of(h, PQgetvalue(page, r, COL_AGG_ID),
                           PQgetlength(page, r, COL_AGG_ID));
        if (l->at + len > KEPT) {
            l->at = 0;
        }
        memcpy(l->ring + l->at, PQgetvalue(page, r, COL_PAYLOAD), len);
        l->at += len;
    }
    l->events += n;
}

static PGresult *take_page(struct loop *l)
{
    PGresult *page = PQgetResult(l->conn);
    PGresult *end = PQgetResult(l->conn);

    if (PQresultStatus(page) != PGRES_TUPLES_OK || end != NULL) {
        (void)fprintf(stderr, "%s", PQerrorMessage(l->conn));
        PQclear(page);
        page = NULL;
    }
    PQclear(end);
    return page;
}

static bool ask_next(struct loop *l, const PGresult *page)
{
    char after[24];
    const char *const params[] = {after, "1:1:", l->win};
    uint64_t seq = 0;
    const char *raw = PQgetvalue(page, PQntuples(page) - 1, COL_SEQ);

    for (int i = 0; i < 8; i++) {
        seq = seq << 8 | (unsigned char)raw[i];
    }
    (void)snprintf(after, sizeof(after), "%" PRIu64, seq);
    return PQsendQueryPrepared(l->conn, "page", 3, params, NULL, NULL, 1) == 1;
}

/* Reads one window from the beginning of the log. */
static bool read_all(struct loop *l)
{
    const char *const params[] = {"1:1:"};
    bool more = PQsendQueryPrepared(l->conn, "open", 1, params, NULL, NULL, 1) == 1;

    while (more) {
        PGresult *page = take_page(l);
        if (page == NULL) {
            return false;
        }
        more = PQntuples(page) == PAGE;
        if (more && l->win == NULL) {
            l->win = strdup(PQgetvalue(page, 0, COL_WIN));
        }
        if (more && !ask_next(l, page)) {
            PQclear(page);
            return false;
        }
        work_on(l, page);
        PQclear(page);
    }
    return l->events > 0;
}

int main(int argc, char **argv)
{
    struct loop l = {0};

    if (argc != 2) {
        (void)fprintf(stderr, "usage: window_loop DSN\n");
        return 2;
    }
    l.conn = open_connection(argv[1]);
    l.ring = malloc(KEPT);
    bool ok = l.conn != NULL && l.ring != NULL;
    int64_t begin = bench_ns();

    ok = ok && read_all(&l);
    if (ok) {
        bench_print(l.events, begin);
    }
    if (l.hash == 1) {
        (void)fprintf(stderr, "unlikely\n"); /* keeps the hash from being left out */
    }
    PQfinish(l.conn);
    free(l.ring);
    free(l.win);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
