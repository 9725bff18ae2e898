/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row_arrays.c - rows of outbox.delivery, and keys, as parallel arrays.
 */
#include "outbox/row_arrays.h"

#include "dispatch/cause.h"

#include <string.h>

void row_arrays_init(struct row_arrays *a)
{
    for (int i = 0; i < ROW_ARRAYS; i++) {
        pg_array_init(&a->columns[i]);
    }
}

void row_arrays_done(struct row_arrays *a)
{
    for (int i = 0; i < ROW_ARRAYS; i++) {
        pg_array_done(&a->columns[i]);
    }
}

static void add_word(struct pg_array *a, const char *word)
{
    pg_array_add_text(a, word, strlen(word));
}

static const char *state_word(enum park_state state)
{
    static const char *const words[] = {
        [PARK_RETRY] = "RETRY",
        [PARK_HELD] = "HELD",
        [PARK_DEAD] = "DEAD",
        [PARK_DELIVERED] = "DELIVERED",
    };

    return words[state];
}

static void reset(struct row_arrays *a)
{
    for (int i = 0; i < ROW_ARRAYS; i++) {
        pg_array_reset(&a->columns[i]);
    }
}

static bool close_all(struct row_arrays *a, int n, const char **texts)
{
    for (int i = 0; i < n; i++) {
        texts[i] = pg_array_text(&a->columns[i]);
        if (texts[i] == NULL) {
            return false;
        }
    }
    return true;
}

static void add_row(struct pg_array *columns, const struct lane_row *row)
{
    const struct park *park = row->park;

    pg_array_add_int(&columns[0], row->seq);
    pg_array_add_int(&columns[1], row->subscription);
    add_word(&columns[2], state_word(park->state));
    pg_array_add_int(&columns[3], park->attempts);
    pg_array_add_int(&columns[4], (int64_t)park->delay_ms);
    if (park->cause == RIDER_CAUSE_NONE) {
        pg_array_add_null(&columns[5]);
    } else {
        add_word(&columns[5], cause_word(park->cause));
    }
    if (park->error[0] == '\0') {
        pg_array_add_null(&columns[6]);
    } else {
        add_word(&columns[6], park->error);
    }
}

bool row_arrays_fill_rows(struct row_arrays *a, const struct lane_row *rows, size_t n,
                          const char *texts[ROW_ARRAYS])
{
    reset(a);
    for (size_t i = 0; i < n; i++) {
        add_row(a->columns, &rows[i]);
    }
    return close_all(a, ROW_ARRAYS, texts);
}

bool row_arrays_fill_keys(struct row_arrays *a, const struct lane_key *keys, size_t n,
                          const char *texts[KEY_ARRAYS])
{
    struct pg_array *columns = a->columns;

    reset(a);
    for (size_t i = 0; i < n; i++) {
        pg_array_add_int(&columns[0], keys[i].subscription);
        pg_array_add_text(&columns[1], keys[i].aggregate_type.data,
                          keys[i].aggregate_type.len);
        pg_array_add_text(&columns[2], keys[i].aggregate_id.data,
                          keys[i].aggregate_id.len);
    }
    return close_all(a, KEY_ARRAYS, texts);
}
