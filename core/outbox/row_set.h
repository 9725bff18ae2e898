/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_set.h - the answer of a query: rows of named columns, for a table or JSON.
 *
 * Column names are those of the JSON, so that the commands' --json and the HTTP
 * API cannot differ. Texts live as long as the set. Thread: one at a time.
 */
#ifndef OUTBOX_ROW_SET_H
#define OUTBOX_ROW_SET_H

#include "base/cleanup.h"
#include "base/json_writer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct row_set;

size_t row_set_count(const struct row_set *rows);

/** The value as text, "" for null. `column` must be one of the query. */
const char *row_set_text(const struct row_set *rows, size_t row, const char *column);
bool row_set_is_null(const struct row_set *rows, size_t row, const char *column);
/** 0 for null. */
int64_t row_set_int(const struct row_set *rows, size_t row, const char *column);
bool row_set_bool(const struct row_set *rows, size_t row, const char *column);

/** Writes one row as an object, or all of them as an array of objects: numbers,
 *  booleans and null as such, json without blanks outside its texts, times by RFC 3339
 *  with six digits, else text. */
void row_set_write_row(const struct row_set *rows, size_t row, struct json_writer *w,
                       const char *key);
/** The same object without the column `but`, which is the order of a list. */
void row_set_write_row_but(const struct row_set *rows, size_t row,
                           struct json_writer *w, const char *key, const char *but);
/** One value as a member of the object that is being written. */
void row_set_write_value(const struct row_set *rows, size_t row, const char *column,
                         struct json_writer *w);
void row_set_write(const struct row_set *rows, struct json_writer *w, const char *key);

/** Accepts NULL. */
void row_set_destroy(struct row_set *rows);
RIDER_DEFINE_PTR_CLEANUP(struct row_set, row_set_destroy);

#endif
