/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_array.c - array parameters in text form (PostgreSQL manual, "Array Input
 * and Output Syntax").
 */
#include "outbox/pg_array.h"

#define ARRAY_MAX ((size_t)64 * 1024 * 1024)

void pg_array_init(struct pg_array *a)
{
    a->text = buf_make(ARRAY_MAX);
    a->n = 0;
}

void pg_array_done(struct pg_array *a)
{
    buf_done(&a->text);
}

void pg_array_reset(struct pg_array *a)
{
    buf_reset(&a->text);
    a->n = 0;
}

static void separate(struct pg_array *a)
{
    buf_putc(&a->text, a->n++ == 0 ? '{' : ',');
}

void pg_array_add_int(struct pg_array *a, int64_t value)
{
    separate(a);
    buf_printf(&a->text, "%lld", (long long)value);
}

void pg_array_add_null(struct pg_array *a)
{
    separate(a);
    buf_puts(&a->text, "NULL");
}

void pg_array_add_text(struct pg_array *a, const char *data, size_t len)
{
    separate(a);
    buf_putc(&a->text, '"');
    for (size_t i = 0; i < len && data[i] != '\0'; i++) {
        if (data[i] == '"' || data[i] == '\\') {
            buf_putc(&a->text, '\\');
        }
        buf_putc(&a->text, data[i]);
    }
    buf_putc(&a->text, '"');
}

const char *pg_array_text(struct pg_array *a)
{
    if (a->n == 0) {
        return "{}";
    }
    buf_putc(&a->text, '}');
    return a->text.failed ? NULL : buf_text(&a->text);
}
