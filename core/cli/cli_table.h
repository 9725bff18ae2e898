/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_table.h - rows of the database as a table on standard output, or as JSON.
 */
#ifndef CLI_CLI_TABLE_H
#define CLI_CLI_TABLE_H

#include "base/buf.h"
#include "outbox/row_set.h"

/** Appends what a cell shows. */
typedef void cli_cell_fn(const struct row_set *rows, size_t row, const char *column,
                         struct buf *out);

struct cli_column {
    const char *title;
    const char *column;
    cli_cell_fn *cell; /* NULL: the text */
    int max; /* longer ones are cut; 0: never. The last column is not padded */
};

/** Prints a head line and a line a row. Control characters become "?". */
void cli_table_print(const struct row_set *rows, const struct cli_column *columns,
                     size_t n);

/** Cells: a time by the second; milliseconds as "3m"; "type/id" of aggregateType and
 *  aggregateId; a number, "-" for null; a text, "-" for null. */
cli_cell_fn cli_cell_time;
cli_cell_fn cli_cell_age;
cli_cell_fn cli_cell_key;
/** The column "destination" and, where there is a subscription, its endpoint's host. */
cli_cell_fn cli_cell_destination;
cli_cell_fn cli_cell_or_dash;

/** "3s", "12m", "5h", "9d"; "<1s" below a second, "-" for 0. */
#define CLI_AGE_SIZE 24
void cli_age(int64_t ms, char out[CLI_AGE_SIZE]);

/** Appends `text` without control characters, which could steer a terminal. */
void cli_append_safe(struct buf *out, const char *text);

/** Prints `out` and a newline; returns an exit status. */
int cli_print_json(const struct buf *out);

/** The most that a command prints. */
#define CLI_OUTPUT_MAX ((size_t)64 * 1024 * 1024)

#endif
