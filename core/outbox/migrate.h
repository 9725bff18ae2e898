/* SPDX-License-Identifier: Apache-2.0 */
/*
 * migrate.h - brings the outbox schema of a database to this version.
 *
 * Thread: any. Blocking: yes, until all is applied; waits up to 30 s for a lock.
 */
#ifndef OUTBOX_MIGRATE_H
#define OUTBOX_MIGRATE_H

#include "base/error.h"

#include <stdbool.h>

enum migrate_line {
    MIGRATE_APPLIED, /* `name` has been applied and committed */
    MIGRATE_SQL,     /* dry run: `text` is what would be run for `name` */
    MIGRATE_NOTICE   /* the server said `text` while `name` was applied */
};

/** Receives progress; both texts are borrowed for the call. */
typedef void migrate_emit_fn(void *arg, enum migrate_line line, const char *name,
                             const char *text);

struct migrate_request {
    const char *dsn;
    bool dry_run;  /* change nothing: emit the SQL instead */
    bool no_roles; /* neither create roles nor grant */
    migrate_emit_fn *emit;
    void *arg;
};

struct migrate_result {
    int before, after; /* schema versions; 0: no schema. A dry run: what would be */
};

/** The schema version that this program needs. */
int outbox_schema_version(void);

/** Applies what is missing: each migration in one transaction under an advisory
 *  lock, so that a second migrator waits and then finds nothing to do; then roles
 *  and grants, unless no_roles. A role that is missing and cannot be created is a
 *  notice, not a failure. Repeating it is safe. RIDER_E_SCHEMA: the database has a
 *  newer version, a foreign schema "outbox", or is older than PostgreSQL 14;
 *  nothing was changed. Other failures: *ret says how far it came. */
int outbox_migrate(const struct migrate_request *request, struct migrate_result *ret,
                   struct rider_error *err) RIDER_MUST_CHECK;

#endif
