/* SPDX-License-Identifier: Apache-2.0 */
/*
 * migrate.c - brings the outbox schema of a database to this version.
 *
 * outbox.meta.schema_version says which of the embedded files have been applied.
 * Each missing one runs in a transaction that first takes an advisory lock and
 * reads the version again. Roles and grants follow in a transaction of their own.
 *
 * Invariant: a file sets the version it stands for, in its own transaction.
 * Not here: the SQL (schema/), rebasing a restored outbox (outbox.rebase()).
 */
#include "outbox/migrate.h"

#include "base/parse.h"
#include "outbox/pg_sync.h"
#include "outbox/schema_sql.h"

#include <stdint.h>

/* PostgreSQL 14: SQL-standard function bodies, and pipeline mode in libpq. */
#define OLDEST_SERVER 140000

/* Names are bound in pg_catalog, a backslash in a literal is a backslash, and what
 * another migrator did while this one waited is seen, whatever the database or the
 * role sets. The key is "postride" in ASCII. */
static const char begin_locked[] = "BEGIN ISOLATION LEVEL READ COMMITTED;"
                                   "SET LOCAL search_path = pg_catalog, pg_temp;"
                                   "SET LOCAL standard_conforming_strings = on;"
                                   "SET LOCAL statement_timeout = 0;"
                                   "SET LOCAL lock_timeout = '30s';"
                                   "SELECT pg_advisory_xact_lock(8102099374233609317)";

int outbox_schema_version(void)
{
    return schema_migrations[schema_n_migrations - 1].version;
}

/** Notices of the step that runs now. */
struct step {
    const struct migrate_request *request;
    const char *name;
};

static void on_notice(void *arg, const char *text)
{
    const struct step *step = arg;
    step->request->emit(step->request->arg, MIGRATE_NOTICE, step->name, text);
}

static int read_int(PGconn *conn, const char *sql, int *ret, struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQclear) PGresult *result = NULL;
    int64_t value = 0;
    int code = pg_sync_query(conn, sql, 0, NULL, &result, err);
    if (code != 0) {
        return code;
    }
    if (PQntuples(result) != 1 ||
        parse_int(PQgetvalue(result, 0, 0), &value, err) != 0) {
        return rider_fail(err, RIDER_E_SCHEMA, "outbox.meta does not hold one row");
    }
    *ret = (int)value;
    return 0;
}

/** 0 in *ret: nothing of ours is there yet. */
static int read_version(PGconn *conn, int *ret, struct rider_error *err)
{
    /* One statement, one snapshot: another migrator may commit at any moment. */
    static const char what_is_there[] =
        "SELECT CASE WHEN count(*) = 0 THEN 0"
        " WHEN bool_or(relname = 'meta') THEN 1 ELSE 2 END "
        "FROM pg_catalog.pg_class WHERE relnamespace = to_regnamespace('outbox')";
    enum { NOTHING, OURS, FOREIGN };
    int found = NOTHING;
    int version = 0;
    int code = read_int(conn, what_is_there, &found, err);
    if (code != 0) {
        return code;
    }
    if (found == FOREIGN) {
        return rider_fail(err, RIDER_E_SCHEMA,
                          "the database has a schema \"outbox\" that is not "
                          "postrider's (no table outbox.meta)");
    }
    if (found == OURS) {
        code = read_int(conn, "SELECT schema_version FROM outbox.meta", &version, err);
        if (code != 0) {
            return rider_fail_in(err,
                                 "could not read the version of the outbox schema");
        }
    }
    *ret = version;
    return 0;
}

static int check_version(PGconn *conn, int *ret, struct rider_error *err)
{
    int version = 0;
    int code = read_version(conn, &version, err);
    if (code != 0) {
        return code;
    }
    if (version > outbox_schema_version()) {
        return rider_fail(err, RIDER_E_SCHEMA,
                          "the outbox schema has version %d, and this postrider knows "
                          "up to %d: upgrade postrider",
                          version, outbox_schema_version());
    }
    *ret = version;
    return 0;
}

/** Runs inside the locked transaction. *version moves with what is applied, here
 *  or by another migrator that held the lock before. */
static int apply_locked(PGconn *conn, struct step *step,
                        const struct schema_migration *m, int *version,
                        struct rider_error *err)
{
    int now = 0;
    int code = check_version(conn, &now, err);
    if (code != 0) {
        return code;
    }
    if (now >= m->version) {
        *version = now;
        return pg_sync_exec(conn, "COMMIT", err);
    }
    code = pg_sync_exec(conn, m->sql, err);
    if (code == 0) {
        code = read_version(conn, &now, err);
    }
    if (code != 0) {
        return code;
    }
    if (now != m->version) {
        return rider_fail(err, RIDER_E_INTERNAL, "%s left schema version %d", m->name,
                          now);
    }
    code = pg_sync_exec(conn, "COMMIT", err);
    if (code != 0) {
        return code;
    }
    *version = m->version;
    step->request->emit(step->request->arg, MIGRATE_APPLIED, m->name, "");
    return 0;
}

static int roll_back(PGconn *conn, const char *name, struct rider_error *err)
{
    struct rider_error ignored;
    int code = pg_sync_exec(conn, "ROLLBACK", &ignored);
    (void)code; /* the first error is the one to report */
    return rider_fail_in(err, "could not apply %s", name);
}

static int apply(PGconn *conn, struct step *step, const struct schema_migration *m,
                 int *version, struct rider_error *err)
{
    step->name = m->name;
    if (pg_sync_exec(conn, begin_locked, err) != 0 ||
        apply_locked(conn, step, m, version, err) != 0) {
        return roll_back(conn, m->name, err);
    }
    return 0;
}

static int apply_roles(PGconn *conn, struct step *step, struct rider_error *err)
{
    step->name = "roles";
    if (pg_sync_exec(conn, begin_locked, err) != 0 ||
        pg_sync_exec(conn, schema_roles_sql, err) != 0 ||
        pg_sync_exec(conn, "COMMIT", err) != 0) {
        return roll_back(conn, step->name, err);
    }
    step->request->emit(step->request->arg, MIGRATE_APPLIED, step->name, "");
    return 0;
}

static int run(PGconn *conn, const struct migrate_request *request,
               struct migrate_result *ret, struct rider_error *err)
{
    struct step step = {.request = request, .name = ""};
    struct pg_sync_notices notices = {.fn = on_notice, .arg = &step};
    int code = 0;

    pg_sync_on_notice(conn, &notices);
    for (size_t i = 0; i < schema_n_migrations; i++) {
        const struct schema_migration *m = &schema_migrations[i];
        if (m->version <= ret->after) {
            continue;
        }
        if (request->dry_run) {
            request->emit(request->arg, MIGRATE_SQL, m->name, m->sql);
            ret->after = m->version;
            continue;
        }
        code = apply(conn, &step, m, &ret->after, err);
        if (code != 0) {
            return code;
        }
    }
    if (request->no_roles) {
        return 0;
    }
    if (request->dry_run) {
        request->emit(request->arg, MIGRATE_SQL, "roles", schema_roles_sql);
        return 0;
    }
    return apply_roles(conn, &step, err);
}

int outbox_migrate(const struct migrate_request *request, struct migrate_result *ret,
                   struct rider_error *err)
{
    RIDER_CLEANUP_PTR(PQfinish) PGconn *conn = NULL;
    int code = pg_sync_open(request->dsn, "postrider migrate", &conn, err);
    if (code != 0) {
        return code;
    }
    if (PQserverVersion(conn) < OLDEST_SERVER) {
        return rider_fail(
            err, RIDER_E_SCHEMA,
            "the server is PostgreSQL %d, and postrider needs 14 or newer",
            PQserverVersion(conn) / 10000);
    }
    int version = 0;
    code = check_version(conn, &version, err);
    if (code != 0) {
        return code;
    }
    *ret = (struct migrate_result){.before = version, .after = version};
    return run(conn, request, ret, err);
}
