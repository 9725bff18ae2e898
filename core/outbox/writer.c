/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer.c - rider_outbox_write(): outbox.publish() on the caller's connection.
 *
 * Checks what can be checked without the server, refuses a connection that has no
 * healthy open transaction, then calls outbox.publish() and turns what the server
 * refuses into a status and a sentence that names the field.
 *
 * Invariant: one statement, on the caller's connection, in the caller's
 * transaction; no error text holds a value of the event but its type.
 * Not here: anything of core/ (this file is the SDK), connecting.
 */
#include "postrider/outbox.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char publish_sql[] =
    "SELECT outbox.publish(type => $1::text, aggregate_id => $2::text, "
    "payload => $3::json, aggregate_type => $4::text, version => $5::int, "
    "headers => $6::json, event_id => $7::uuid, occurred_at => $8::timestamptz)";

enum parameter {
    P_TYPE,
    P_AGGREGATE_ID,
    P_PAYLOAD,
    P_AGGREGATE_TYPE,
    P_VERSION,
    P_HEADERS,
    P_EVENT_ID,
    P_OCCURRED_AT,
    N_PARAMETERS
};

/** Where the reason goes. */
struct reason {
    char *text;
    size_t size;
};

/** Appends at *at what fits. */
static void append(const struct reason *why, size_t *at, const char *text)
{
    size_t room = why->size - 1 - *at;
    size_t len = strnlen(text, room);

    memcpy(&why->text[*at], text, len);
    *at += len;
    why->text[*at] = '\0';
}

static int fail(const struct reason *why, enum rider_outbox_status status,
                const char *text, const char *detail)
{
    size_t at = 0;

    if (why->text != NULL && why->size > 0) {
        append(why, &at, text);
        append(why, &at, detail);
    }
    return (int)status;
}

static bool is_uuid(const char *text)
{
    for (size_t i = 0; i < RIDER_OUTBOX_ID_SIZE - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-'
                 : text[i] == '\0' ||
                       strchr("0123456789abcdefABCDEF", text[i]) == NULL) {
            return false;
        }
    }
    return text[RIDER_OUTBOX_ID_SIZE - 1] == '\0';
}

/** The shape YYYY-MM-DDThh:mm:ss[.f](Z|+hh:mm): PostgreSQL alone would also take
 *  "tomorrow", and a time without an offset in the time zone of the session. */
static bool is_instant(const char *text)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd";
    static const char zone[] = "+dd:dd";
    size_t i = 0;

    for (; i < sizeof shape - 1; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (shape[i] == 'd' ? !digit : text[i] != shape[i]) {
            return false;
        }
    }
    if (text[i] == '.') {
        size_t digits = strspn(&text[i + 1], "0123456789");
        if (digits == 0) {
            return false;
        }
        i += 1 + digits;
    }
    if (text[i] == 'Z') {
        return text[i + 1] == '\0';
    }
    for (size_t k = 0; k < sizeof zone - 1; k++, i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        bool sign = text[i] == '+' || text[i] == '-';
        if (zone[k] == 'd' ? !digit : zone[k] == '+' ? !sign : text[i] != zone[k]) {
            return false;
        }
    }
    return text[i] == '\0';
}

static bool is_blank(const char *text)
{
    return text == NULL || text[0] == '\0';
}

/** The first complaint about `event`, or NULL. */
static const char *complaint(const struct rider_outbox_event *event)
{
    if (event == NULL || event->struct_size < sizeof *event) {
        return "struct_size is not that of struct rider_outbox_event";
    }
    if (is_blank(event->type)) {
        return "type is missing";
    }
    if (is_blank(event->aggregate_id)) {
        return "aggregate_id is missing";
    }
    if (is_blank(event->payload)) {
        return "payload is missing";
    }
    if (event->version < 0) {
        return "version must be 1 or more";
    }
    if (event->event_id != NULL && !is_uuid(event->event_id)) {
        return "event_id is not a UUID";
    }
    if (event->occurred_at != NULL && !is_instant(event->occurred_at)) {
        return "occurred_at is not an RFC 3339 time with an offset";
    }
    return NULL;
}

static int check_connection(PGconn *conn, unsigned int flags, const struct reason *why)
{
    if (conn == NULL) {
        return fail(why, RIDER_OUTBOX_INVALID, "connection is missing", "");
    }
    if (PQpipelineStatus(conn) != PQ_PIPELINE_OFF) {
        return fail(why, RIDER_OUTBOX_NO_TRANSACTION,
                    "the connection is in pipeline mode", "");
    }
    switch (PQtransactionStatus(conn)) {
    case PQTRANS_INTRANS:
        return 0;
    case PQTRANS_IDLE:
        if ((flags & RIDER_OUTBOX_AUTOCOMMIT) != 0) {
            return 0;
        }
        return fail(
            why, RIDER_OUTBOX_NO_TRANSACTION,
            "no transaction is open: begin the one that changes the state first", "");
    case PQTRANS_INERROR:
        return fail(why, RIDER_OUTBOX_NO_TRANSACTION,
                    "the transaction has failed: roll it back", "");
    case PQTRANS_ACTIVE:
        return fail(why, RIDER_OUTBOX_NO_TRANSACTION,
                    "another command runs on the connection", "");
    case PQTRANS_UNKNOWN:
    default:
        return fail(why, RIDER_OUTBOX_LOST, "the connection is closed", "");
    }
}

/** What the constraints of outbox.event say, in words of this API; those of the
 *  catalogue name the type themselves. */
static int constraint_broken(const char *constraint, const char *primary,
                             const struct reason *why)
{
    static const struct {
        const char *constraint, *text;
    } rows[] = {
        {"event_type_length", "type is longer than 255 characters"},
        {"event_aggregate_id_length", "aggregate_id is longer than 255 characters"},
        {"event_aggregate_type_length", "aggregate_type is longer than 255 characters"},
        {"event_version_positive", "version must be 1 or more"},
        {"event_occurred_at_finite", "occurred_at is not a time"},
        {"event_payload_without_nul", "payload has the escape \\u0000"},
        {"event_headers_object", "headers is not a JSON object"},
        {"event_headers_without_nul", "headers has the escape \\u0000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].constraint, constraint) == 0) {
            return fail(why, RIDER_OUTBOX_INVALID, rows[i].text, "");
        }
    }
    if (strcmp(constraint, "event_type_known") == 0 ||
        strcmp(constraint, "event_type_active") == 0) {
        return fail(why, RIDER_OUTBOX_UNKNOWN_TYPE, primary, "");
    }
    return fail(why, RIDER_OUTBOX_FAILED, primary, "");
}

/** Which JSON field the server could not parse. Its context is an excerpt of the
 *  document on one line, then a line that names the parameter; in any language
 *  the parameter is written "$3" or "$6". */
static const char *bad_json(const PGresult *result, bool has_headers)
{
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    const char *line = context != NULL ? strchr(context, '\n') : NULL;
    const char *mark = line != NULL ? strchr(line, '$') : NULL;

    if (!has_headers || (mark != NULL && mark[1] == '3')) {
        return "payload is not JSON";
    }
    return mark != NULL && mark[1] == '6' ? "headers is not JSON"
                                          : "payload or headers is not JSON";
}

static int refused(PGconn *conn, const PGresult *result, bool has_headers,
                   const struct reason *why)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);

    if (PQstatus(conn) != CONNECTION_OK || state == NULL || primary == NULL) {
        return fail(why, RIDER_OUTBOX_LOST, "the connection was lost", "");
    }
    if (strcmp(state, "23514") == 0 && constraint != NULL) {
        return constraint_broken(constraint, primary, why);
    }
    if (strcmp(state, "22021") == 0) {
        return fail(why, RIDER_OUTBOX_INVALID, primary, "");
    }
    if (strcmp(state, "22P02") == 0 || strcmp(state, "22P05") == 0) {
        return fail(why, RIDER_OUTBOX_INVALID, bad_json(result, has_headers), "");
    }
    if (strncmp(state, "2200", 4) == 0) {
        return fail(why, RIDER_OUTBOX_INVALID, "occurred_at is out of range", "");
    }
    if (strcmp(state, "42501") == 0) {
        return fail(why, RIDER_OUTBOX_DENIED, primary,
                    " (grant the role outbox_writer to this user)");
    }
    if (strcmp(state, "3F000") == 0 || strcmp(state, "42883") == 0) {
        return fail(why, RIDER_OUTBOX_NO_SCHEMA,
                    "outbox.publish() is missing: run postrider migrate", "");
    }
    return fail(why, RIDER_OUTBOX_FAILED, primary, "");
}

int rider_outbox_write(struct pg_conn *conn, const struct rider_outbox_event *event,
                       char ret_event_id[RIDER_OUTBOX_ID_SIZE], char *err,
                       size_t err_size)
{
    const struct reason why = {err, err_size};
    const char *text = complaint(event);
    char version[16];

    if (text != NULL) {
        return fail(&why, RIDER_OUTBOX_INVALID, text, "");
    }
    int status = check_connection(conn, event->flags, &why);
    if (status != 0) {
        return status;
    }
    (void)snprintf(version, sizeof version, "%d",
                   event->version == 0 ? 1 : event->version);
    const char *const values[N_PARAMETERS] = {
        [P_TYPE] = event->type,
        [P_AGGREGATE_ID] = event->aggregate_id,
        [P_PAYLOAD] = event->payload,
        [P_AGGREGATE_TYPE] = event->aggregate_type != NULL ? event->aggregate_type : "",
        [P_VERSION] = version,
        [P_HEADERS] = event->headers,
        [P_EVENT_ID] = event->event_id,
        [P_OCCURRED_AT] = event->occurred_at,
    };
    PGresult *result =
        PQexecParams(conn, publish_sql, N_PARAMETERS, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) {
        status = refused(conn, result, event->headers != NULL, &why);
    } else if (ret_event_id != NULL) {
        (void)snprintf(ret_event_id, RIDER_OUTBOX_ID_SIZE, "%s",
                       PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    return status;
}
