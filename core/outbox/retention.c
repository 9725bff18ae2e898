/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention.c - deletes settled events that are old enough.
 */
#include "outbox/retention.h"

#include "base/parse.h"
#include "outbox/pg_sync.h"

#include <inttypes.h>
#include <stdio.h>

static int one_page(PGconn *conn, const char *const *params, int64_t *ret,
                    struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQclear) PGresult *res = NULL;
    /* Whatever the database's default: what it waits for has to be seen afterwards. */
    int rc = pg_sync_exec(conn, "BEGIN ISOLATION LEVEL READ COMMITTED", err);

    if (rc == 0) {
        rc = pg_sync_query(
            conn,
            "SELECT outbox.retire($1::bigint * interval '1 millisecond', $2::int)", 2,
            params, &res, err);
    }
    if (rc == 0) {
        rc = pg_sync_exec(conn, "COMMIT", err);
    }
    return rc != 0 ? rc : parse_int(PQgetvalue(res, 0, 0), ret, err);
}

int outbox_retire(const char *dsn, uint64_t keep_ms, int page, int max_pages,
                  int64_t *ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    char keep[24];
    char rows[24];
    const char *const params[] = {keep, rows};
    int64_t total = 0;
    int rc = pg_sync_open(dsn, "postrider retention", &conn, err);

    (void)snprintf(keep, sizeof(keep), "%" PRIu64, keep_ms);
    (void)snprintf(rows, sizeof(rows), "%d", page);
    for (int i = 0; rc == 0 && i < max_pages; i++) {
        int64_t deleted = 0;
        rc = one_page(conn, params, &deleted, err);
        total += deleted;
        if (deleted == 0) {
            break;
        }
    }
    *ret = total;
    return rc;
}
