/* SPDX-License-Identifier: Apache-2.0 */
/*
 * problems.h - the list of mistakes of one configuration file.
 *
 * Reading goes on after a mistake, so that a person sees all of them at once.
 * The list is bounded: beyond PROBLEMS_MAX they are only counted.
 * Thread: one at a time.
 */
#ifndef CONFIG_PROBLEMS_H
#define CONFIG_PROBLEMS_H

#include "base/buf.h"
#include "base/error.h"

#include <stdarg.h>
#include <stddef.h>

#define PROBLEMS_MAX 100

/** A place in the file, counted from 1; line 0 stands for the file as a whole. */
struct text_mark {
    unsigned int line, column;
};

enum problem_kind { PROBLEM_ERROR, PROBLEM_WARNING };

struct problem;

struct problems {
    const char *file;      /* borrowed: the name to print */
    struct problem *items; /* NULL until the first one */
    size_t n, n_errors, n_dropped;
};

struct problems problems_make(const char *file);
void problems_done(struct problems *p);

/** Adds one. `path` names the key ("destinations[0].retry.max") or is NULL. */
void problems_add(struct problems *p, enum problem_kind kind, struct text_mark at,
                  const char *path, const char *fmt, ...) RIDER_PRINTF_LIKE(5, 6);
void problems_add_va(struct problems *p, enum problem_kind kind, struct text_mark at,
                     const char *path, const char *fmt, va_list ap)
    RIDER_PRINTF_LIKE(5, 0);

/** Appends "file:line:col: path: reason" lines in the order of the file. Reasons
 *  of warnings begin with "warning: ". */
void problems_print(struct problems *p, struct buf *out);

#endif
