/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members.c - the relay processes that run, and the lanes they share.
 *
 * A heartbeat is three small statements: say that we live, list who lives,
 * list the lanes. The share is computed here, by lane_share.c, from rows in an
 * order that every process sees alike.
 */
#include "outbox/members.h"

#include "base/parse.h"
#include "dispatch/lane_share.h"
#include "outbox/pg_sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LANES 4096

struct members {
    char *dsn;
    const char *owner;
    char lease[24];
    PGconn *conn;
    PGresult *alive, *lanes;
    struct lane_share shares[MAX_LANES];
    struct member_lane list[MAX_LANES];
};

int members_create(const char *dsn, const char *owner, uint64_t lease_ms,
                   struct members **ret, struct rider_error *err)
{
    struct members *m = calloc(1, sizeof(*m));

    if (m == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    m->owner = owner;
    m->dsn = strdup(dsn);
    (void)snprintf(m->lease, sizeof(m->lease), "%" PRIu64, lease_ms);
    if (m->dsn == NULL) {
        free(m);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    *ret = m;
    return 0;
}

static void disconnect(struct members *m)
{
    PQclear(m->alive);
    PQclear(m->lanes);
    PQfinish(m->conn);
    m->alive = m->lanes = NULL;
    m->conn = NULL;
}

void members_destroy(struct members *m)
{
    if (m != NULL) {
        disconnect(m);
        free(m->dsn);
        free(m);
    }
}

static int connect_once(struct members *m, struct rider_error *err)
{
    if (m->conn != NULL) {
        return 0;
    }
    int rc = pg_sync_open(m->dsn, "postrider members", &m->conn, err);

    if (rc == 0) {
        rc = pg_sync_exec(m->conn,
                          "SET synchronous_commit = off; SET statement_timeout = '10s'",
                          err);
    }
    return rc;
}

static int say_alive(struct members *m, const char *destinations,
                     struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQclear) PGresult *res = NULL;
    const char *const values[] = {m->owner, destinations};

    return pg_sync_query(
        m->conn,
        "INSERT INTO outbox.relay (owner, destinations) VALUES ($1, $2::text[]) "
        "ON CONFLICT (owner) DO UPDATE SET destinations = excluded.destinations, "
        "seen_at = clock_timestamp()",
        2, values, &res, err);
}

static int list_alive(struct members *m, struct rider_error *err)
{
    const char *const values[] = {m->lease};

    PQclear(m->alive);
    m->alive = NULL;
    return pg_sync_query(m->conn,
                         "SELECT owner, destinations FROM outbox.relay WHERE seen_at > "
                         "clock_timestamp() - $1::bigint * interval '1 millisecond' "
                         "ORDER BY started_at, owner",
                         1, values, &m->alive, err);
}

/* can[i] of a lane is one character per living member, in the order of
 * list_alive(): whether that member is configured for the lane's destination. */
static int list_lanes(struct members *m, struct rider_error *err)
{
    const char *const values[] = {m->lease};

    PQclear(m->lanes);
    m->lanes = NULL;
    return pg_sync_query(
        m->conn,
        "SELECT l.destination, l.part, "
        "CASE WHEN l.lease_until >= clock_timestamp() THEN l.owner END, "
        "(SELECT string_agg(CASE WHEN l.destination = ANY (r.destinations) THEN '1' "
        "ELSE '0' END, "
        "'' ORDER BY r.started_at, r.owner) FROM outbox.relay r WHERE r.seen_at > "
        "clock_timestamp() - $1::bigint * interval '1 millisecond') "
        "FROM outbox.lane l WHERE l.state = 'ACTIVE' ORDER BY l.lane LIMIT 4096",
        1, values, &m->lanes, err);
}

static size_t find_member(const PGresult *alive, const char *owner)
{
    for (int i = 0; i < PQntuples(alive); i++) {
        if (strcmp(PQgetvalue(alive, i, 0), owner) == 0) {
            return (size_t)i;
        }
    }
    return LANE_SHARE_NOBODY;
}

static bool can_carry(void *arg, size_t member, size_t lane)
{
    const struct members *m = arg;
    const char *able = PQgetvalue(m->lanes, (int)lane, 3);

    return member < strlen(able) && able[member] == '1';
}

static int share_out(struct members *m, size_t *ret_n, struct rider_error *err)
{
    size_t n = (size_t)PQntuples(m->lanes);
    size_t me = find_member(m->alive, m->owner);

    for (size_t i = 0; i < n; i++) {
        int64_t part = 0;
        m->shares[i].owner =
            PQgetisnull(m->lanes, (int)i, 2)
                ? LANE_SHARE_NOBODY
                : find_member(m->alive, PQgetvalue(m->lanes, (int)i, 2));
        if (parse_int(PQgetvalue(m->lanes, (int)i, 1), &part, err) != 0) {
            return RIDER_E_PROTOCOL;
        }
        m->list[i].destination = PQgetvalue(m->lanes, (int)i, 0);
        m->list[i].part = (int)part;
    }
    lane_share_assign(m->shares, n, (size_t)PQntuples(m->alive), can_carry, m);
    for (size_t i = 0; i < n; i++) {
        m->list[i].mine = me != LANE_SHARE_NOBODY && m->shares[i].ret_member == me;
    }
    *ret_n = n;
    return 0;
}

int members_heartbeat(struct members *m, const char *destinations,
                      const struct member_lane **ret, size_t *ret_n,
                      struct rider_error *err)
{
    int rc = connect_once(m, err);

    if (rc == 0) {
        rc = say_alive(m, destinations, err);
    }
    if (rc == 0) {
        rc = list_alive(m, err);
    }
    if (rc == 0) {
        rc = list_lanes(m, err);
    }
    if (rc == 0) {
        rc = share_out(m, ret_n, err);
    }
    if (rc != 0) {
        disconnect(m);
        return rc;
    }
    *ret = m->list;
    return 0;
}

void members_leave(struct members *m)
{
    struct rider_error ignored;
    PGresult *res = NULL;
    const char *const values[] = {m->owner};

    /* Also those that went silent days ago: nobody else tidies up. */
    if (m->conn != NULL &&
        pg_sync_query(m->conn,
                      "DELETE FROM outbox.relay WHERE owner = $1 OR "
                      "seen_at < clock_timestamp() - interval '1 day'",
                      1, values, &res, &ignored) != 0) {
        return; /* the heartbeat runs out by itself */
    }
    PQclear(res);
}
