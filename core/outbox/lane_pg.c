/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_pg.c - a lane's store over PostgreSQL.
 *
 * Translates the lane's requests into the prepared statements of lane_sql.c
 * and their results back. It keeps what every statement needs and the lane
 * does not know: the lane's number, its token, the owner.
 *
 * Not here: the connection (pg_pipe.c), the SQL (lane_sql.c), decoding rows
 * (event_decode.c).
 */
#include "outbox/lane_pg.h"

#include "base/clock.h"
#include "base/log.h"
#include "outbox/lane_pg_internal.h"
#include "outbox/lane_sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct lane_pg *from_store(struct lane_store *s)
{
    return (struct lane_pg *)s;
}

void lane_pg_send(struct lane_pg *pg, enum request request, const char *statement,
                  const char *const *params, int n_params)
{
    pg_pipe_send(pg->pipe, &(struct pg_request){
                               .request = (int)request,
                               .statement = statement,
                               .n_params = n_params,
                               .params = params,
                               .rows = request == REQ_READ,
                           });
}

/* ---- requests -------------------------------------------------------------- */

static void op_claim(struct lane_store *s)
{
    struct lane_pg *pg = from_store(s);
    const char *const params[] = {pg->lane, pg->config.owner, pg->lease,
                                  pg->config.subscriptions ? "true" : "false"};

    lane_pg_send(pg, REQ_CLAIM, "claim", params, 4);
}

static const char *holding_states(const struct lane_pg *pg)
{
    return pg->config.hold_dead ? "{PENDING,IN_FLIGHT,RETRY,HELD,DEAD}"
                                : "{PENDING,IN_FLIGHT,RETRY,HELD}";
}

static void op_load_held(struct lane_store *s)
{
    struct lane_pg *pg = from_store(s);
    const char *const params[] = {pg->lane, holding_states(pg)};

    lane_pg_send(pg, REQ_HELD, "held", params, 2);
}

static void op_read(struct lane_store *s, const struct lane_read *read)
{
    struct lane_pg *pg = from_store(s);
    char after[NUMBER_MAX];

    free(pg->win);
    pg->win = NULL;
    pg->kind = read->kind;
    pg->seen = pg->rows = 0;
    pg->refused = false;
    if (read->kind == READ_DUE) {
        const char *const params[] = {pg->lane, holding_states(pg)};
        pg->limit = 256;
        lane_pg_send(pg, REQ_READ, "due", params, 2);
    } else if (read->kind == READ_WINDOW) {
        const char *const params[] = {read->snap};
        lane_pg_send(pg, REQ_READ, lane_sql_window(read->limit, &pg->limit), params, 1);
    } else {
        const char *const params[] = {after, read->snap, read->win};
        (void)snprintf(after, sizeof(after), "%" PRId64, read->after_seq);
        lane_pg_send(pg, REQ_READ, lane_sql_page(read->limit, &pg->limit), params, 3);
    }
}

void lane_pg_fail_memory(struct lane_pg *pg)
{
    const struct rider_error why = {RIDER_E_NOMEM, "out of memory"};

    pg_pipe_fail(pg->pipe, &why);
}

static void op_settle(struct lane_store *s, const struct lane_cursor *cursor,
                      const struct lane_row *rows, size_t n)
{
    struct lane_pg *pg = from_store(s);
    char win_seq[NUMBER_MAX];
    char sent_seq[NUMBER_MAX];
    const char *params[9 + ROW_ARRAYS + 1] = {
        pg->lane, pg->token, cursor->snap,  cursor->win,  win_seq,
        sent_seq, pg->lease, cursor->cause, cursor->error};

    (void)snprintf(win_seq, sizeof(win_seq), "%" PRId64, cursor->win_seq);
    (void)snprintf(sent_seq, sizeof(sent_seq), "%" PRId64, cursor->sent_seq);
    if (n == 0) {
        lane_pg_send(pg, REQ_SETTLE, "settle", params, 9);
    } else if (row_arrays_fill_rows(&pg->arrays, rows, n, params + 9)) {
        params[9 + ROW_ARRAYS] = pg->config.dead_letter;
        lane_pg_send(pg, REQ_SETTLE, "settle_park", params, 9 + ROW_ARRAYS + 1);
    } else {
        lane_pg_fail_memory(pg);
    }
}

static void send_promote(struct lane_pg *pg, const struct lane_key *keys, size_t n)
{
    const char *params[2 + KEY_ARRAYS + 1] = {pg->lane, pg->token};

    if (!row_arrays_fill_keys(&pg->arrays, keys, n, params + 2)) {
        lane_pg_fail_memory(pg);
        return;
    }
    params[2 + KEY_ARRAYS] = holding_states(pg);
    lane_pg_send(pg, REQ_PROMOTE, "promote", params, 2 + KEY_ARRAYS + 1);
}

static void op_write_rows(struct lane_store *s, const struct lane_row *rows, size_t n,
                          const struct lane_key *keys, size_t n_keys)
{
    struct lane_pg *pg = from_store(s);
    const char *params[2 + ROW_ARRAYS + 1] = {pg->lane, pg->token};

    if (!row_arrays_fill_rows(&pg->arrays, rows, n, params + 2)) {
        lane_pg_fail_memory(pg);
        return;
    }
    pg->write_fenced = false;
    params[2 + ROW_ARRAYS] = pg->config.dead_letter;
    pg_pipe_send(pg->pipe, &(struct pg_request){
                               .request = REQ_WRITE,
                               .statement = "write_rows",
                               .n_params = 2 + ROW_ARRAYS + 1,
                               .params = params,
                               .joined = true,
                           });
    send_promote(pg, keys, n_keys);
}

static void op_release(struct lane_store *s)
{
    struct lane_pg *pg = from_store(s);
    const char *const params[] = {pg->lane, pg->config.owner};

    lane_pg_send(pg, REQ_RELEASE, "release", params, 2);
}

static void op_rebase(struct lane_store *s)
{
    struct lane_pg *pg = from_store(s);

    /* It may take long on a large log: no limit for this transaction. */
    pg_pipe_send(pg->pipe, &(struct pg_request){.request = REQ_SETTING,
                                                .statement = "no_limit",
                                                .joined = true});
    lane_pg_send(pg, REQ_REBASE, "rebase", NULL, 0);
}

static const struct lane_store_ops store_ops = {
    .claim = op_claim,
    .load_held = op_load_held,
    .read = op_read,
    .settle = op_settle,
    .write_rows = op_write_rows,
    .release = op_release,
    .rebase = op_rebase,
    .expand = lane_subs_pg_expand,
    .list_subs = lane_subs_pg_list,
    .take = lane_subs_pg_take,
    .end = lane_subs_pg_end,
    .tidy = lane_subs_pg_tidy,
};

/* ---- answers ---------------------------------------------------------------- */

static void on_ready(void *arg)
{
    struct lane_pg *pg = arg;
    char part[NUMBER_MAX];
    char parts[NUMBER_MAX];
    const char *const params[] = {pg->config.destination, part,
                                  pg->config.from_beginning ? "true" : "false", parts};

    (void)snprintf(parts, sizeof(parts), "%d", pg->config.parts);

    (void)snprintf(part, sizeof(part), "%d", pg->config.part);
    lane_pg_send(pg, REQ_ENSURE, "ensure", params, 4);
    lane_pg_send(pg, REQ_FIND, "find", params, 2);
}

static void on_lost(void *arg, const struct rider_error *why, uint64_t next_ms)
{
    struct lane_pg *pg = arg;
    uint64_t silent = 0;

    (void)next_ms;
    if (log_limit_pass(&pg->complaints, clock_mono_ms(), 5000, &silent)) {
        log_warn(pg->config.destination, "database.lost", "%s, trying again",
                 why->text);
    }
    pg->was_lost = true;
    pg->store.events->lost(pg->store.events_arg, why);
}

bool lane_pg_bool_at(const PGresult *res, int row, int column)
{
    return PQgetlength(res, row, column) == 1 && PQgetvalue(res, row, column)[0] != 0;
}

static void found(struct lane_pg *pg, const PGresult *res)
{
    struct rider_error why;

    if (PQntuples(res) != 1) {
        (void)rider_fail(&why, RIDER_E_DB, "the lane of this destination is missing");
        pg_pipe_fail(pg->pipe, &why);
        return;
    }
    int64_t version = event_decode_int(res, 0, 1);
    if (version != pg->config.schema_version) {
        (void)rider_fail(
            &why, RIDER_E_SCHEMA,
            "the outbox schema has version %" PRId64 ", this program needs %d: %s",
            version, pg->config.schema_version,
            version < pg->config.schema_version ? "run \"postrider migrate\""
                                                : "run a newer postrider");
        pg_pipe_fail(pg->pipe, &why);
        return;
    }
    if (!lane_pg_bool_at(res, 0, 3)) {
        (void)rider_fail(
            &why, RIDER_E_CONFIG,
            "a connection pooler (pgbouncer?) drops the session's settings: "
            "connect to PostgreSQL directly");
        pg_pipe_fail(pg->pipe, &why);
        return;
    }
    if (event_decode_int(res, 0, 2) != pg->config.parts) {
        (void)rider_fail(
            &why, RIDER_E_CONFIG,
            "the destination was made with %" PRId64 " partitions and the "
            "configuration says %d: the number cannot change, use a new name",
            event_decode_int(res, 0, 2), pg->config.parts);
        pg_pipe_fail(pg->pipe, &why);
        return;
    }
    (void)snprintf(pg->lane, sizeof(pg->lane), "%" PRId64, event_decode_int(res, 0, 0));
    if (pg->was_lost) {
        log_info(pg->config.destination, "database.connected",
                 "connected to the database");
    }
    pg->was_lost = false;
    pg->store.events->connected(pg->store.events_arg);
}

static const char *text_at(const PGresult *res, int column)
{
    return PQgetisnull(res, 0, column) ? NULL : PQgetvalue(res, 0, column);
}

static void claimed(struct lane_pg *pg, const PGresult *res)
{
    if (PQntuples(res) != 1) {
        struct rider_error why;
        (void)rider_fail(&why, RIDER_E_DB, "the lane of this destination was deleted");
        pg_pipe_fail(pg->pipe, &why);
        return;
    }
    struct lane_claim claim = {
        .ours = lane_pg_bool_at(res, 0, 0),
        .owner = text_at(res, 1),
        .state = text_at(res, 2),
        .lease_left_ms = event_decode_int(res, 0, 3),
        .token = event_decode_int(res, 0, 4),
        .snap = text_at(res, 5),
        .win = text_at(res, 6),
        .win_seq = event_decode_int(res, 0, 7),
        .needs_rebase = lane_pg_bool_at(res, 0, 8),
    };
    if (claim.ours) {
        (void)snprintf(pg->token, sizeof(pg->token), "%" PRId64, claim.token);
    }
    pg->store.events->claimed(pg->store.events_arg, &claim);
}

static void held(struct lane_pg *pg, const PGresult *res)
{
    for (int r = 0; r < PQntuples(res); r++) {
        struct lane_key key = {
            .subscription = event_decode_int(res, r, 0),
            .aggregate_type = {PQgetvalue(res, r, 1), (size_t)PQgetlength(res, r, 1)},
            .aggregate_id = {PQgetvalue(res, r, 2), (size_t)PQgetlength(res, r, 2)},
        };
        pg->store.events->held(pg->store.events_arg, &key,
                               (uint32_t)event_decode_int(res, r, 3),
                               (uint32_t)event_decode_int(res, r, 4));
    }
    pg->store.events->held(pg->store.events_arg, NULL, 0, 0);
}

static struct rider_header header_at(const char *name, const PGresult *res, int r,
                                     int column)
{
    return (struct rider_header){
        .name = {name, strlen(name)},
        .value = {PQgetvalue(res, r, column), (size_t)PQgetlength(res, r, column)},
    };
}

/* A dead letter says where it died and why, in headers after the writer's. */
static void add_obituary(struct lane_pg *pg, const PGresult *res, int r,
                         struct event_row *row)
{
    size_t n = row->n_headers;

    if (n > 0) {
        memcpy(pg->headers, row->headers, n * sizeof(pg->headers[0]));
    }
    pg->headers[n++] = header_at("deadLetterDestination", res, r, 11);
    pg->headers[n++] = header_at("deadLetterCause", res, r, 12);
    pg->headers[n++] = header_at("deadLetterError", res, r, 13);
    (void)snprintf(pg->attempts, sizeof(pg->attempts), "%" PRId64,
                   event_decode_int(res, r, 14));
    pg->headers[n++] = (struct rider_header){{"deadLetterAttempts", 18},
                                             {pg->attempts, strlen(pg->attempts)}};
    row->headers = pg->headers;
    row->n_headers = n;
}

static void one_event(struct lane_pg *pg, const PGresult *res, int r)
{
    struct event_row row;
    struct rider_error err;

    pg->seen++;
    if (pg->refused) {
        return;
    }
    if (event_decode(res, r, pg->scratch, &row, &err) != 0) {
        pg_pipe_fail(pg->pipe, &err);
        return;
    }
    if (pg->kind == READ_SUBS) {
        if (!target_decode(res, r, EVENT_COLUMN_COUNT, pg->targets, &row)) {
            lane_pg_fail_memory(pg);
            return;
        }
    } else if (pg->kind == READ_DUE) {
        row.subscription = event_decode_int(res, r, 9);
        row.attempts = (uint32_t)event_decode_int(res, r, 10);
        if (row.subscription < 0) {
            add_obituary(pg, res, r, &row);
        }
    } else if (pg->kind == READ_WINDOW && !PQgetisnull(res, r, 9)) {
        pg->win = strdup(PQgetvalue(res, r, 9));
    }
    if (pg->store.events->row(pg->store.events_arg, pg->kind, &row)) {
        pg->rows++;
    } else {
        pg->refused = true;
    }
}

static void on_row(void *arg, int request, const PGresult *res)
{
    if (request == REQ_READ) {
        one_event(arg, res, 0);
    }
}

static void read_end(struct lane_pg *pg, const PGresult *res)
{
    for (int r = 0; r < PQntuples(res); r++) {
        one_event(pg, res, r); /* rows arrive here when single-row mode is off */
    }
    struct lane_read_end end = {
        .kind = pg->kind,
        .rows = pg->rows,
        .more = pg->refused || pg->seen >= pg->limit,
        .win = pg->win,
    };
    pg->store.events->read_end(pg->store.events_arg, &end);
}

static void settled(struct lane_pg *pg, const PGresult *res)
{
    enum lane_grant grant = lane_pg_bool_at(res, 0, 0) ? LANE_PAUSED : LANE_KEPT;

    pg->store.events->settled(pg->store.events_arg,
                              PQntuples(res) == 0 ? LANE_FENCED : grant);
}

static void written(struct lane_pg *pg, const PGresult *res)
{
    pg->write_fenced = PQntuples(res) == 0;
}

static void promoted(struct lane_pg *pg, const PGresult *res)
{
    pg->store.events->rows_written(pg->store.events_arg,
                                   PQntuples(res) == 0 || pg->write_fenced);
}

static void released(struct lane_pg *pg, const PGresult *res)
{
    (void)res;
    pg->store.events->released(pg->store.events_arg);
}

static void rebased(struct lane_pg *pg, const PGresult *res)
{
    (void)res;
    log_info(pg->config.destination, "lane.rebased", "cursors fit this cluster now");
    pg->store.events->rebased(pg->store.events_arg);
}

static void on_done(void *arg, int request, const PGresult *res)
{
    static void (*const answers[REQUESTS])(struct lane_pg * pg, const PGresult *res) = {
        [REQ_ENSURE] = NULL,
        [REQ_FIND] = found,
        [REQ_CLAIM] = claimed,
        [REQ_HELD] = held,
        [REQ_READ] = read_end,
        [REQ_SETTLE] = settled,
        [REQ_WRITE] = written,
        [REQ_PROMOTE] = promoted,
        [REQ_RELEASE] = released,
        [REQ_SETTING] = NULL,
        [REQ_REBASE] = rebased,
        [REQ_EXPAND] = lane_subs_pg_expanded,
        [REQ_LIST] = lane_subs_pg_listed,
        [REQ_END] = lane_subs_pg_ended,
        [REQ_TIDY] = lane_subs_pg_tidied,
    };

    if (answers[request] != NULL) {
        answers[request](arg, res);
    }
}

static const struct pg_pipe_events pipe_events = {
    .ready = on_ready, .lost = on_lost, .row = on_row, .done = on_done};

/* ---- life -------------------------------------------------------------------- */

int lane_pg_create(const struct lane_pg_config *config, struct lane_pg **ret,
                   struct rider_error *err)
{
    struct lane_pg *pg = calloc(1, sizeof(*pg));

    if (pg == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    pg->store.ops = &store_ops;
    pg->config = *config;
    (void)snprintf(pg->lease, sizeof(pg->lease), "%" PRIu64, config->lease_ms);
    row_arrays_init(&pg->arrays);
    pg_array_init(&pg->types);
    pg_array_init(&pg->aggregates);
    pg->json = buf_make(JSON_MAX);
    pg->health = buf_make(JSON_MAX);
    struct pg_pipe_config pipe = {
        .dsn = config->dsn,
        .application_name = config->owner,
        .statements = lane_sql_statements(),
        .events = &pipe_events,
        .arg = pg,
    };
    int rc = pg_pipe_create(&pipe, &pg->pipe, err);
    pg->scratch = event_scratch_create();
    pg->targets = target_scratch_create(config->key_ring, config->signing_key);
    if (rc != 0 || pg->scratch == NULL || pg->targets == NULL) {
        lane_pg_destroy(pg);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    *ret = pg;
    return 0;
}

void lane_pg_destroy(struct lane_pg *pg)
{
    if (pg == NULL) {
        return;
    }
    pg_pipe_destroy(pg->pipe);
    event_scratch_destroy(pg->scratch);
    target_scratch_destroy(pg->targets);
    pg_array_done(&pg->types);
    pg_array_done(&pg->aggregates);
    buf_done(&pg->json);
    buf_done(&pg->health);
    row_arrays_done(&pg->arrays);
    free(pg->win);
    free(pg);
}

struct lane_store *lane_pg_store(struct lane_pg *pg)
{
    return &pg->store;
}

void lane_pg_set_router(struct lane_pg *pg, const struct router *router)
{
    pg->router = router;
}

void lane_pg_step(struct lane_pg *pg, uint64_t now_ms)
{
    pg_pipe_step(pg->pipe, now_ms);
}

int lane_pg_fd(const struct lane_pg *pg, short *ret_events)
{
    return pg_pipe_fd(pg->pipe, ret_events);
}

uint64_t lane_pg_deadline(const struct lane_pg *pg)
{
    return pg_pipe_deadline(pg->pipe);
}
