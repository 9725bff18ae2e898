/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.h - why something failed.
 *
 * A function that can fail returns 0 or a negative enum rider_code and fills a
 * struct rider_error that lives on the caller's stack. Nothing here allocates.
 * Wording: lower case, no full stop, "could not" (may work next time) against
 * "cannot" (never will), names quoted, no secrets, no payloads.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>

enum rider_code {
    RIDER_OK = 0,
    RIDER_E_NOMEM = -1,
    RIDER_E_CONFIG = -2, /* what the user wrote is wrong */
    RIDER_E_IO = -3,     /* files, sockets: may work next time */
    RIDER_E_TIMEOUT = -4,
    RIDER_E_PROTOCOL = -5, /* the peer broke its contract */
    RIDER_E_PERMISSION = -6,
    RIDER_E_NOT_FOUND = -7,
    RIDER_E_DB = -8,      /* the database refused; the text names why */
    RIDER_E_DB_LOST = -9, /* the connection is gone: reconnect */
    RIDER_E_SCHEMA = -10, /* the outbox schema is missing or of another version */
    RIDER_E_FENCED = -11, /* another process holds the lease */
    RIDER_E_INTERNAL = -12
};

struct rider_error {
    enum rider_code code;
    char text[512];
};

#define RIDER_MUST_CHECK        __attribute__((warn_unused_result))
#define RIDER_PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/** Fills `err` (which may be NULL) and returns `code`, so that a failure is one
 *  line: return rider_fail(err, RIDER_E_IO, "could not open \"%s\"", path); */
int rider_fail(struct rider_error *err, enum rider_code code, const char *fmt, ...)
    RIDER_PRINTF_LIKE(3, 4);

/** As rider_fail(), with the reason for `errnum` appended after a colon. */
int rider_fail_errno(struct rider_error *err, enum rider_code code, int errnum,
                     const char *fmt, ...) RIDER_PRINTF_LIKE(4, 5);

/** Puts "context: " before the text; returns err->code. */
int rider_fail_in(struct rider_error *err, const char *fmt, ...)
    RIDER_PRINTF_LIKE(2, 3);

#endif
