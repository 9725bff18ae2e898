/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_table.c - rows of the database as a table on standard output, or as JSON.
 *
 * Every cell is rendered twice, once to measure, so that nothing is kept.
 */
#include "cli/cli_table.h"

#include "base/cleanup.h"
#include "cli/cli_exit.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MAX_COLUMNS 12

void cli_append_safe(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        bool control = (unsigned char)*text < 0x20 || *text == 0x7f;

        if (control) {
            buf_putc(out, '?');
        } else {
            buf_putc(out, *text);
        }
    }
}

void cli_age(int64_t ms, char out[CLI_AGE_SIZE])
{
    static const struct {
        int64_t ms;
        char unit;
    } units[] = {{86400000, 'd'}, {3600000, 'h'}, {60000, 'm'}, {1000, 's'}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (ms >= 2 * units[i].ms || (units[i].unit == 's' && ms >= units[i].ms)) {
            (void)snprintf(out, CLI_AGE_SIZE, "%" PRId64 "%c", ms / units[i].ms,
                           units[i].unit);
            return;
        }
    }
    (void)snprintf(out, CLI_AGE_SIZE, ms > 0 ? "<1s" : "-");
}

void cli_cell_age(const struct row_set *rows, size_t row, const char *column,
                  struct buf *out)
{
    char age[CLI_AGE_SIZE];

    cli_age(row_set_int(rows, row, column), age);
    buf_puts(out, age);
}

void cli_cell_time(const struct row_set *rows, size_t row, const char *column,
                   struct buf *out)
{
    const char *text = row_set_text(rows, row, column);
    size_t len = strcspn(text, ".+");

    buf_append(out, text, len);
    buf_puts(out, len == 0 ? "-" : "Z");
}

void cli_cell_destination(const struct row_set *rows, size_t row, const char *column,
                          struct buf *out)
{
    (void)column;
    cli_append_safe(out, row_set_text(rows, row, "destination"));
    if (!row_set_is_null(rows, row, "subscriptionId")) {
        buf_puts(out, " > ");
        cli_append_safe(out, row_set_text(rows, row, "host"));
    }
}

void cli_cell_key(const struct row_set *rows, size_t row, const char *column,
                  struct buf *out)
{
    const char *type = row_set_text(rows, row, "aggregateType");

    (void)column;
    cli_append_safe(out, type);
    buf_puts(out, type[0] == '\0' ? "" : "/");
    cli_append_safe(out, row_set_text(rows, row, "aggregateId"));
}

void cli_cell_or_dash(const struct row_set *rows, size_t row, const char *column,
                      struct buf *out)
{
    const char *text = row_set_text(rows, row, column);

    cli_append_safe(out, text[0] == '\0' ? "-" : text);
}

static void render(const struct row_set *rows, size_t row, const struct cli_column *c,
                   struct buf *out)
{
    buf_reset(out);
    if (c->cell != NULL) {
        c->cell(rows, row, c->column, out);
    } else {
        cli_append_safe(out, row_set_text(rows, row, c->column));
    }
    if (c->max > 3 && out->len > (size_t)c->max) {
        /* Not inside a UTF-8 sequence. */
        size_t at = (size_t)c->max - 2;
        while (at > 0 && ((unsigned char)out->data[at] & 0xC0) == 0x80) {
            at--;
        }
        out->len = at;
        buf_puts(out, "..");
    }
}

static size_t measure(const struct row_set *rows, const struct cli_column *column,
                      struct buf *cell)
{
    size_t width = strlen(column->title);

    for (size_t r = 0; r < row_set_count(rows); r++) {
        render(rows, r, column, cell);
        width = cell->len > width ? cell->len : width;
    }
    return width;
}

/* The last cell of a line is not padded. */
static void print_cell(const char *text, size_t width, bool last)
{
    if (last) {
        (void)puts(text);
    } else {
        (void)printf("%-*s  ", (int)width, text);
    }
}

void cli_table_print(const struct row_set *rows, const struct cli_column *columns,
                     size_t n)
{
    RIDER_CLEANUP(buf_done) struct buf cell = buf_make(CLI_OUTPUT_MAX);
    size_t widths[MAX_COLUMNS] = {0};

    n = n < MAX_COLUMNS ? n : MAX_COLUMNS;
    for (size_t c = 0; c < n; c++) {
        widths[c] = measure(rows, &columns[c], &cell);
    }
    for (size_t c = 0; c < n; c++) {
        print_cell(columns[c].title, widths[c], c + 1 == n);
    }
    for (size_t r = 0; r < row_set_count(rows); r++) {
        for (size_t c = 0; c < n; c++) {
            render(rows, r, &columns[c], &cell);
            print_cell(buf_text(&cell), widths[c], c + 1 == n);
        }
    }
}

int cli_print_json(const struct buf *out)
{
    if (out->failed) {
        return cli_fail_text(CLI_TEMPORARY, "out of memory");
    }
    (void)puts(buf_text(out));
    return CLI_OK;
}
