/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.c - fills struct rider_error.
 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

RIDER_PRINTF_LIKE(3, 0)
static int fail_va(struct rider_error *err, enum rider_code code, const char *fmt,
                   va_list ap)
{
    if (err != NULL) {
        err->code = code;
        (void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
    }
    return (int)code;
}

int rider_fail(struct rider_error *err, enum rider_code code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int rc = fail_va(err, code, fmt, ap);
    va_end(ap);
    return rc;
}

int rider_fail_errno(struct rider_error *err, enum rider_code code, int errnum,
                     const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int rc = fail_va(err, code, fmt, ap);
    va_end(ap);
    if (err != NULL) {
        char reason[128];
        size_t used = strlen(err->text);

        /* The GNU variant: it may return a static string instead of `reason`. */
        (void)snprintf(err->text + used, sizeof(err->text) - used, ": %s",
                       strerror_r(errnum, reason, sizeof(reason)));
    }
    return rc;
}

int rider_fail_in(struct rider_error *err, const char *fmt, ...)
{
    if (err == NULL) {
        return RIDER_E_INTERNAL;
    }
    char inner[sizeof(err->text)];
    char outer[256];
    va_list ap;

    memcpy(inner, err->text, sizeof(inner));
    va_start(ap, fmt);
    (void)vsnprintf(outer, sizeof(outer), fmt, ap);
    va_end(ap);
    (void)snprintf(err->text, sizeof(err->text), "%s: %.*s", outer,
                   (int)(sizeof(err->text) - sizeof(outer) - 3), inner);
    return (int)err->code;
}
