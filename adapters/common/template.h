/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template.h - addresses made of an event's fields, such as
 * "events.{aggregateType}". The syntax is that of include/postrider/options.h.
 *
 * A template is parsed once and expanded for each event without allocating.
 * Thread: any; a parsed template is constant.
 */
#ifndef ADAPTER_TEMPLATE_H
#define ADAPTER_TEMPLATE_H

#include "postrider/publisher.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum template_field {
    TEMPLATE_LITERAL, /* not a field: text between fields */
    TEMPLATE_TYPE,
    TEMPLATE_AGGREGATE_TYPE,
    TEMPLATE_AGGREGATE_ID,
    TEMPLATE_EVENT_ID,
    TEMPLATE_VERSION
};

#define TEMPLATE_MAX_PARTS 24

struct template_part {
    enum template_field field;
    const char *text; /* LITERAL: borrowed from the template's text */
    size_t len;
};

/** A parsed template: a value, nothing to free. */
struct template
{
    size_t n;
    struct template_part parts[TEMPLATE_MAX_PARTS];
};

/** Parses `text`, which must outlive *ret (option values do). Returns 0, or
 *  EINVAL with one line in `err` that names the place; *ret is then untouched. */
int template_parse(const char *text, struct template *ret, char *err, size_t err_size);

/** Whether expanding needs `field`. */
bool template_uses(const struct template *t, enum template_field field);

/** True if the template has no field, so that every event gets the same text. */
bool template_is_constant(const struct template *t);

/** Writes the text for `event` with a closing NUL into out[out_size] and returns
 *  its length without the NUL (out_size > 0); an empty field becomes nothing. Text that does
 *  not fit is never cut: returns -1 and one line in `err` that names the field
 *  and the limit, without the event's values. */
ssize_t template_expand(const struct template *t, const struct rider_event *event,
                        char *out, size_t out_size, char *err, size_t err_size);

#endif
