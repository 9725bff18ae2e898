/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - one line a record on standard error.
 *
 * The level, the format and the drop counter are the only process-wide state;
 * they are atomics, so no lock is held while a line is written.
 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json_writer.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_LINE_MAX 3000 /* below PIPE_BUF: one write is one line in a pipe too */

static atomic_int log_level_now = LOG_INFO_LEVEL;
static atomic_bool log_json;
static atomic_uint_fast64_t log_dropped;

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const level_marks[] = {"ERROR", "WARN ", "INFO ", "DEBUG"};

void log_setup(enum log_level level, enum log_format format)
{
    bool json = format == LOG_FORMAT_JSON ||
                (format == LOG_FORMAT_AUTO && isatty(STDERR_FILENO) != 1);

    atomic_store(&log_level_now, (int)level);
    atomic_store(&log_json, json);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_level_now, memory_order_relaxed);
}

uint64_t log_lines_dropped(void)
{
    return atomic_load(&log_dropped);
}

static void render_json(struct buf *out, enum log_level level, const char *component,
                        const char *event, const char *text)
{
    char ts[CLOCK_RFC3339_SIZE];
    struct json_writer w = jw_begin(out);

    (void)clock_format_rfc3339(clock_wall_us(), ts);
    jw_object(&w, NULL);
    jw_string(&w, "ts", ts);
    jw_string(&w, "level", level_names[level]);
    jw_string(&w, "component", component);
    jw_string(&w, "event", event);
    jw_string(&w, "msg", text);
    jw_int(&w, "pid", getpid());
    jw_object_end(&w);
    buf_putc(out, '\n');
}

static void render_human(struct buf *out, enum log_level level, const char *component,
                         const char *text)
{
    char ts[CLOCK_RFC3339_SIZE];

    (void)clock_format_rfc3339(clock_wall_us(), ts);
    buf_printf(out, "%.23sZ %s [%s] ", ts, level_marks[level], component);
    for (const char *p = text; *p != '\0'; p++) {
        buf_putc(out, (unsigned char)*p < 0x20 ? ' ' : *p);
    }
    buf_putc(out, '\n');
}

void log_line(enum log_level level, const char *component, const char *event,
              const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    if (!log_enabled(level)) {
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);

    struct buf out = buf_make(LOG_LINE_MAX);
    if (atomic_load_explicit(&log_json, memory_order_relaxed)) {
        render_json(&out, level, component, event, text);
    } else {
        render_human(&out, level, component, text);
    }
    if (out.failed || write(STDERR_FILENO, out.data, out.len) != (ssize_t)out.len) {
        atomic_fetch_add(&log_dropped, 1);
    }
    buf_done(&out);
}

bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint64_t interval_ms,
                    uint64_t *ret_suppressed)
{
    if (now_ms < limit->next_ms) {
        limit->suppressed++;
        return false;
    }
    *ret_suppressed = limit->suppressed;
    limit->suppressed = 0;
    limit->next_ms = now_ms + interval_ms;
    return true;
}
