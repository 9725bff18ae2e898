/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema_sql.h - the SQL files of core/outbox/schema, embedded by the build.
 * Constants; any thread.
 */
#ifndef OUTBOX_SCHEMA_SQL_H
#define OUTBOX_SCHEMA_SQL_H

#include <stddef.h>

struct schema_migration {
    int version;      /* 1, 2, 3 ... without gaps: the number of the file */
    const char *name; /* "001_tables" */
    const char *sql;
};

/** In order of version. */
extern const struct schema_migration schema_migrations[];
extern const size_t schema_n_migrations;

/** Roles and grants; may be applied again at any time. */
extern const char *const schema_roles_sql;

#endif
