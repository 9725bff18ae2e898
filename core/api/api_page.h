/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_page.h - lists in pages: `limit`, `cursor`, and where the next page is.
 *
 * A page is asked for with one row more than its limit; whether that one came says
 * whether there is more. The cursor holds the list's name and the key of the last row
 * in base64url: to a client it is opaque, and anything that this code has not written
 * is refused.
 * Thread: one at a time. Nothing blocks.
 */
#ifndef API_API_PAGE_H
#define API_API_PAGE_H

#include "api/api_call.h"
#include "api/api_request.h"
#include "outbox/row_set.h"

#include <stdint.h>

#define API_PAGE_LIMIT    50
#define API_PAGE_MAX      250
#define API_PAGE_KEY_SIZE 128
#define API_CURSOR_SIZE   256

/** What is shown in pages. */
struct api_list {
    const char *name;
    const char *key; /* what orders it, numbers with dots between: a letter for each,
                        'b' for a bigint and 'i' for an int */
};

struct api_page {
    const struct api_list *list;   /* static: which list it is a page of */
    int64_t limit;                 /* rows to show; ask for one more */
    char after[API_PAGE_KEY_SIZE]; /* "": from the start. A key of the list */
};

/** Whether the database can read `text` as a key that is made of what `key` says. */
bool api_page_is_key(const char *text, const char *key);

/** Reads the values of `limit` and `cursor`. RIDER_E_CONFIG with call->problem set. */
int api_page_read(struct api_call *call, const struct api_list *list,
                  const struct api_parameter *limit, const struct api_parameter *cursor,
                  struct api_page *ret) RIDER_MUST_CHECK;

/** Writes one row as a value of an array. */
typedef void api_row_fn(const struct row_set *rows, size_t row, struct json_writer *w);

/** Writes {"data": [...], "next_cursor", "has_more"} and, when there is more, a header
 *  Link to the next page (RFC 8288). `key` is the column whose text orders the list;
 *  `write` NULL: every other column by its name. */
void api_page_write(struct api_call *call, const struct api_page *page,
                    const struct row_set *rows, const char *key, api_row_fn *write,
                    struct buf *out);

/** Exposed for tests: the text of a cursor, and back; false: not one of `list`. */
void api_cursor_write(const struct api_list *list, const char *key,
                      char out[API_CURSOR_SIZE]);
bool api_cursor_read(const char *text, const struct api_list *list,
                     char ret[API_PAGE_KEY_SIZE]);

#endif
