/* SPDX-License-Identifier: Apache-2.0 */
/*
 * problems.c - collects mistakes, prints them in the order of the file.
 *
 * An error is counted even when there is no memory to keep its text, so a bad
 * file is never taken for a good one.
 */
#include "config/problems.h"

#include <stdio.h>
#include <stdlib.h>

struct problem {
    struct text_mark at;
    size_t order; /* keeps two problems of one place in the order they came */
    char text[400];
};

struct problems problems_make(const char *file)
{
    return (struct problems){.file = file};
}

void problems_done(struct problems *p)
{
    free(p->items);
    *p = problems_make(p->file);
}

/* The next free entry, NULL when the list is full or there is no memory. */
static struct problem *next_item(struct problems *p)
{
    if (p->items == NULL) {
        p->items = calloc(PROBLEMS_MAX, sizeof(*p->items));
    }
    if (p->items == NULL || p->n == PROBLEMS_MAX) {
        p->n_dropped++;
        return NULL;
    }
    return &p->items[p->n];
}

void problems_add_va(struct problems *p, enum problem_kind kind, struct text_mark at,
                     const char *path, const char *fmt, va_list ap)
{
    p->n_errors += kind == PROBLEM_ERROR;
    struct problem *item = next_item(p);
    if (item == NULL) {
        return;
    }
    int used =
        snprintf(item->text, sizeof(item->text), "%.160s%s%s", path == NULL ? "" : path,
                 path == NULL ? "" : ": ", kind == PROBLEM_WARNING ? "warning: " : "");
    if (used < 0) {
        return;
    }
    (void)vsnprintf(item->text + used, sizeof(item->text) - (size_t)used, fmt, ap);
    item->at = at;
    item->order = p->n++;
}

void problems_add(struct problems *p, enum problem_kind kind, struct text_mark at,
                  const char *path, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    problems_add_va(p, kind, at, path, fmt, ap);
    va_end(ap);
}

static int three_way(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int by_place(const void *left, const void *right)
{
    const struct problem *a = left, *b = right;
    int diff = three_way(a->at.line, b->at.line);

    if (diff == 0) {
        diff = three_way(a->at.column, b->at.column);
    }
    return diff != 0 ? diff : three_way(a->order, b->order);
}

void problems_print(struct problems *p, struct buf *out)
{
    if (p->n > 1) {
        qsort(p->items, p->n, sizeof(*p->items), by_place);
    }
    for (size_t i = 0; i < p->n; i++) {
        const struct problem *item = &p->items[i];
        buf_puts(out, p->file);
        if (item->at.line != 0) {
            buf_printf(out, ":%u:%u", item->at.line, item->at.column);
        }
        buf_printf(out, ": %s\n", item->text);
    }
    if (p->n_dropped > 0) {
        buf_printf(out, "%s: and %zu more\n", p->file, p->n_dropped);
    }
}
