/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exposition.c - writes metrics in the Prometheus text format 0.0.4.
 *
 * Text goes straight into the caller's buffer; nothing is stored in between.
 * Numbers are printed with the fewest digits that read back to the same double.
 * The program never leaves the "C" locale, so the decimal point is a point.
 *
 * Not here: which metrics exist. Each collector knows its own.
 */
#include "metrics/exposition.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct exposition exposition_begin(struct buf *out)
{
    return (struct exposition){.out = out, .name = ""};
}

/* A quote is escaped in label values only: the format says so. */
static void escape(struct buf *out, const char *text, int quoted)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\\') {
            buf_puts(out, "\\\\");
        } else if (*p == '\n') {
            buf_puts(out, "\\n");
        } else if (*p == '"' && quoted) {
            buf_puts(out, "\\\"");
        } else {
            buf_putc(out, *p);
        }
    }
}

void exposition_family(struct exposition *e, const char *name, enum metric_type type,
                       const char *help)
{
    static const char *const words[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_HISTOGRAM] = "histogram",
    };

    e->name = name;
    buf_printf(e->out, "# HELP %s ", name);
    escape(e->out, help, 0);
    buf_printf(e->out, "\n# TYPE %s %s\n", name, words[type]);
}

/* Name, suffix and labels, with an le label at the end unless `le` is NULL. */
static void write_series(const struct exposition *e, const char *suffix,
                         const struct metric_label *labels, size_t n_labels,
                         const char *le)
{
    const char *before = "{";

    buf_puts(e->out, e->name);
    buf_puts(e->out, suffix);
    for (size_t i = 0; i < n_labels; i++) {
        buf_printf(e->out, "%s%s=\"", before, labels[i].name);
        escape(e->out, labels[i].value, 1);
        buf_putc(e->out, '"');
        before = ",";
    }
    if (le != NULL) {
        buf_printf(e->out, "%sle=\"%s\"", before, le);
        before = ",";
    }
    buf_puts(e->out, *before == ',' ? "} " : " ");
}

#define NUMBER_SIZE 32

static void format_number(double value, char out[NUMBER_SIZE])
{
    if (isnan(value)) {
        (void)snprintf(out, NUMBER_SIZE, "NaN");
        return;
    }
    if (isinf(value)) {
        (void)snprintf(out, NUMBER_SIZE, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(out, NUMBER_SIZE, "%.*g", digits, value);
        double back = strtod(out, NULL);

        if (back >= value && back <= value) {
            return;
        }
    }
}

void exposition_sample(struct exposition *e, const struct metric_label *labels,
                       size_t n_labels, double value)
{
    char number[NUMBER_SIZE];

    format_number(value, number);
    write_series(e, "", labels, n_labels, NULL);
    buf_printf(e->out, "%s\n", number);
}

void exposition_count(struct exposition *e, const struct metric_label *labels,
                      size_t n_labels, uint64_t value)
{
    write_series(e, "", labels, n_labels, NULL);
    buf_printf(e->out, "%" PRIu64 "\n", value);
}

void exposition_histogram(struct exposition *e, const struct metric_label *labels,
                          size_t n_labels, const struct histogram *h)
{
    struct histogram_snapshot now;
    char number[NUMBER_SIZE];

    histogram_read(h, &now);
    for (size_t i = 0; i <= now.n_bounds; i++) {
        format_number(i < now.n_bounds ? now.bounds[i] : (double)INFINITY, number);
        write_series(e, "_bucket", labels, n_labels, number);
        buf_printf(e->out, "%" PRIu64 "\n", now.cumulative[i]);
    }
    format_number(now.sum_seconds, number);
    write_series(e, "_sum", labels, n_labels, NULL);
    buf_printf(e->out, "%s\n", number);
    write_series(e, "_count", labels, n_labels, NULL);
    buf_printf(e->out, "%" PRIu64 "\n", now.count);
}
