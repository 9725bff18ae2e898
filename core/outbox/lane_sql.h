/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane_sql.h - the statements of a lane's connection.
 *
 * Each is prepared once per connection. The limit of a page is a literal,
 * because LIMIT $1 under a generic plan makes the planner expect a tenth of
 * the table; so there is one statement per page size.
 */
#ifndef OUTBOX_LANE_SQL_H
#define OUTBOX_LANE_SQL_H

#include "outbox/pg_pipe.h"

/** All statements, ended by a NULL name. Static. */
const struct pg_statement *lane_sql_statements(void);

/** The statement for the largest page size that is not above `limit`, and that
 *  size; the smallest one when none is. */
const char *lane_sql_window(size_t limit, size_t *ret_limit);
const char *lane_sql_page(size_t limit, size_t *ret_limit);

#endif
