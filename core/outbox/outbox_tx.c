/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox_tx.c - one transaction that may write, made of several steps.
 */
#include "outbox/outbox_tx.h"

#include "outbox/query_conn.h"

struct outbox_tx {
    PGconn *conn;
};

int outbox_tx_begin(const char *dsn, struct outbox_tx **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(outbox_tx_destroy)
    struct outbox_tx *tx = calloc(1, sizeof(*tx));

    if (tx == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    int rc = query_conn_open(dsn, "postrider api", &tx->conn, err);
    if (rc == 0) {
        rc = query_conn_begin(tx->conn, err);
    }
    if (rc == 0) {
        *ret = RIDER_STEAL(tx);
    }
    return rc;
}

int outbox_tx_commit(struct outbox_tx *tx, struct rider_error *err)
{
    return pg_sync_exec(tx->conn, "COMMIT", err);
}

void outbox_tx_destroy(struct outbox_tx *tx)
{
    if (tx != NULL) {
        PQfinish(tx->conn); /* the server rolls back */
        free(tx);
    }
}

int outbox_tx_rows(struct outbox_tx *tx, const char *sql, int n,
                   const char *const *values, struct row_set **ret,
                   struct rider_error *err)
{
    return query_conn_rows(tx->conn, sql, n, values, ret, err);
}

int outbox_tx_audit(struct outbox_tx *tx, const char *actor, const char *action,
                    const char *id, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    const char *const values[] = {action, actor, id};

    return outbox_tx_rows(
        tx, "SELECT outbox.note_change($1, $2, jsonb_build_object('id', $3::text))", 3,
        values, &rows, err);
}
