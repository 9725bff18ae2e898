/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox_tool.c - lets the integration tests call migrate.h and admin_query.h.
 *
 *     outbox_tool migrate DSN [--dry-run] [--no-roles]
 *     outbox_tool status DSN
 *     outbox_tool event DSN EVENT_ID
 *     outbox_tool insert DSN (TYPE AGGREGATE_ID PAYLOAD)...
 *
 * Results go to standard output, one JSON object a line for status and event; a
 * failure goes to standard error as "CODE: text", and the exit status is 1.
 * Not here: anything a user runs (that is `postrider`).
 */
#include "base/json_writer.h"
#include "outbox/admin_query.h"
#include "outbox/migrate.h"

#include <stdio.h>
#include <string.h>

#define MAX_OUTPUT   ((size_t)16 << 20)
#define MAX_INSERTED 8

static int failed(const struct rider_error *err)
{
    (void)fprintf(stderr, "%d: %s\n", (int)err->code, err->text);
    return 1;
}

static void print(struct buf *out)
{
    (void)puts(buf_text(out));
    buf_done(out);
}

static void on_line(void *arg, enum migrate_line line, const char *name,
                    const char *text)
{
    static const char *const words[] = {"applied", "sql", "notice"};
    (void)arg;
    (void)printf("%s %s %s\n", words[line], name, text);
}

static int migrate(const char *dsn, int argc, char **argv)
{
    struct migrate_request request = {.dsn = dsn, .emit = on_line};
    struct migrate_result result = {0};
    struct rider_error err;

    for (int i = 0; i < argc; i++) {
        request.dry_run = request.dry_run || strcmp(argv[i], "--dry-run") == 0;
        request.no_roles = request.no_roles || strcmp(argv[i], "--no-roles") == 0;
    }
    if (outbox_migrate(&request, &result, &err) != 0) {
        return failed(&err);
    }
    (void)printf("version %d %d\n", result.before, result.after);
    return 0;
}

static void write_lane(struct json_writer *w, const struct outbox_lane_status *lane)
{
    jw_object(w, NULL);
    jw_string(w, "destination", lane->destination);
    jw_int(w, "part", lane->part);
    jw_string(w, "state", lane->state);
    jw_string(w, "owner", lane->owner);
    jw_string(w, "cause", lane->cause);
    jw_int(w, "lease_left_ms", lane->lease_left_ms);
    jw_int(w, "backlog", lane->backlog);
    jw_bool(w, "backlog_capped", lane->backlog_capped);
    jw_int(w, "oldest_pending_ms", lane->oldest_pending_ms);
    jw_array(w, "deliveries");
    for (size_t i = 0; i < lane->n_deliveries; i++) {
        jw_array(w, NULL);
        jw_string(w, NULL, lane->deliveries[i].state);
        jw_string(w, NULL, lane->deliveries[i].cause);
        jw_int(w, NULL, lane->deliveries[i].n);
        jw_array_end(w);
    }
    jw_array_end(w);
    jw_object_end(w);
}

static int status(const char *dsn)
{
    struct outbox_status *s = NULL;
    struct rider_error err;
    struct buf out = buf_make(MAX_OUTPUT);
    struct json_writer w = jw_begin(&out);

    if (outbox_status_read(dsn, &s, &err) != 0) {
        return failed(&err);
    }
    jw_object(&w, NULL);
    jw_int(&w, "schema_version", s->schema_version);
    jw_bool(&w, "strict_types", s->strict_types);
    jw_bool(&w, "same_cluster", s->same_cluster);
    jw_array(&w, "lanes");
    for (size_t i = 0; i < s->n_lanes; i++) {
        write_lane(&w, &s->lanes[i]);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    outbox_status_destroy(s);
    print(&out);
    return 0;
}

static void write_bytes(struct json_writer *w, const char *key,
                        struct rider_bytes bytes)
{
    jw_string_n(w, key, bytes.data, bytes.len);
}

static int event(const char *dsn, const char *id)
{
    struct outbox_stored_event *e = NULL;
    struct rider_error err;
    struct buf out = buf_make(MAX_OUTPUT);
    struct json_writer w = jw_begin(&out);

    if (outbox_event_read(dsn, id, &e, &err) != 0) {
        return failed(&err);
    }
    jw_object(&w, NULL);
    jw_int(&w, "seq", e->row.seq);
    jw_string(&w, "event_id", e->row.id);
    write_bytes(&w, "type", e->row.type);
    write_bytes(&w, "aggregate_type", e->row.aggregate_type);
    write_bytes(&w, "aggregate_id", e->row.aggregate_id);
    jw_int(&w, "version", e->row.version);
    jw_int(&w, "occurred_at_us", e->row.occurred_at_us);
    write_bytes(&w, "payload", e->row.payload);
    jw_array(&w, "headers");
    for (size_t i = 0; i < e->row.n_headers; i++) {
        jw_array(&w, NULL);
        write_bytes(&w, NULL, e->row.headers[i].name);
        write_bytes(&w, NULL, e->row.headers[i].value);
        jw_array_end(&w);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    outbox_stored_event_destroy(e);
    print(&out);
    return 0;
}

static int insert(const char *dsn, int argc, char **argv)
{
    struct outbox_new_event events[MAX_INSERTED] = {0};
    char ids[MAX_INSERTED][OUTBOX_ID_SIZE];
    struct rider_error err;
    size_t n = 0;

    for (int i = 0; i + 3 <= argc && n < MAX_INSERTED; i += 3, n++) {
        events[n] = (struct outbox_new_event){
            .type = argv[i], .aggregate_id = argv[i + 1], .payload = argv[i + 2]};
    }
    if (outbox_events_insert(dsn, events, n, ids, &err) != 0) {
        return failed(&err);
    }
    for (size_t i = 0; i < n; i++) {
        (void)puts(ids[i]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "migrate") == 0) {
        return migrate(argv[2], argc - 3, &argv[3]);
    }
    if (argc == 3 && strcmp(argv[1], "status") == 0) {
        return status(argv[2]);
    }
    if (argc == 4 && strcmp(argv[1], "event") == 0) {
        return event(argv[2], argv[3]);
    }
    if (argc >= 6 && strcmp(argv[1], "insert") == 0) {
        return insert(argv[2], argc - 3, &argv[3]);
    }
    (void)fprintf(stderr, "usage: outbox_tool migrate|status|event|insert DSN ...\n");
    return 2;
}
