/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_types.c - the catalogue of event types.
 *
 * Not here: its enforcement (schema/002_writer.sql).
 */
#include "outbox/event_types.h"

#include "outbox/query_conn.h"

static const char list_sql[] =
    "SELECT t.type, t.version, t.status, t.description, t.schema,"
    " m.strict_types AS strict FROM outbox.meta m "
    "LEFT JOIN outbox.event_type t ON true ORDER BY t.type, t.version";

static const char put_sql[] = "SELECT outbox.put_event_types($1::json, $2)";

int event_types_list(const char *dsn, struct row_set **ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int rc = query_conn_read(dsn, "postrider api", &conn, err);

    return rc == 0 ? query_conn_rows(conn, list_sql, 0, NULL, ret, err) : rc;
}

int event_types_list_in(struct outbox_tx *tx, struct row_set **ret,
                        struct rider_error *err)
{
    return outbox_tx_rows(tx, list_sql, 0, NULL, ret, err);
}

int event_types_put(struct outbox_tx *tx, const char *types, const char *actor,
                    struct rider_error *err)
{
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    const char *const values[] = {types, actor};

    return outbox_tx_rows(tx, put_sql, 2, values, &rows, err);
}
