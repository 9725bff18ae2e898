/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operation_work.c - long work on deliveries of subscriptions, a page at a time.
 *
 * Not here: what a page does (schema/007_recovery.sql), when one is done
 * (daemon/operations.c).
 */
#include "outbox/operation_work.h"

#include "outbox/query_conn.h"

#include <stdlib.h>
#include <string.h>

struct operation_work {
    char *dsn;
    PGconn *conn;
};

static const char run_sql[] = "SELECT outbox.run_operation() AS more";
static const char sweep_sql[] = "SELECT outbox.sweep_deleted() > 0 AS more";
static const char clean_sql[] = "SELECT outbox.clean_subscriptions()";

int operation_work_create(const char *dsn, struct operation_work **ret,
                          struct rider_error *err)
{
    struct operation_work *work = calloc(1, sizeof(*work));

    if (work != NULL) {
        work->dsn = strdup(dsn);
    }
    if (work == NULL || work->dsn == NULL) {
        free(work);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    *ret = work;
    return 0;
}

void operation_work_destroy(struct operation_work *work)
{
    if (work == NULL) {
        return;
    }
    PQfinish(work->conn);
    free(work->dsn);
    free(work);
}

static int run(struct operation_work *work, const char *sql, struct row_set **ret,
               struct rider_error *err)
{
    int rc = work->conn != NULL
                 ? 0
                 : query_conn_open(work->dsn, "postrider operations", &work->conn, err);

    if (rc == 0) {
        rc = query_conn_write(work->conn, sql, 0, NULL, ret, err);
    }
    if (rc == RIDER_E_DB_LOST) {
        PQfinish(work->conn);
        work->conn = NULL;
    }
    return rc;
}

static int page(struct operation_work *work, const char *sql, bool *more,
                struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    int rc = run(work, sql, &rows, err);

    *more = *more || (rc == 0 && row_set_bool(rows, 0, "more"));
    return rc;
}

int operation_work_page(struct operation_work *work, bool *ret_more,
                        struct rider_error *err)
{
    *ret_more = false;
    return page(work, run_sql, ret_more, err);
}

int operation_work_sweep(struct operation_work *work, bool *more,
                         struct rider_error *err)
{
    return page(work, sweep_sql, more, err);
}

int operation_work_clean(struct operation_work *work, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;

    return run(work, clean_sql, &rows, err);
}
