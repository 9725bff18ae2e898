/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one line a record on standard error, as JSON or for people.
 *
 * A record is one write(2), so lines of several threads never mix. A failing
 * write is dropped and counted: logging never stops delivery. No payloads, no
 * secrets. Modules below the wiring return errors and do not log above debug.
 * Thread: any; the level and format are set once before threads start, and by
 * a reload.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR_LEVEL, LOG_WARN_LEVEL, LOG_INFO_LEVEL, LOG_DEBUG_LEVEL };
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_HUMAN, LOG_FORMAT_JSON };

/** AUTO is human on a terminal and JSON elsewhere. */
void log_setup(enum log_level level, enum log_format format);

/** `component` is "lane stream" or the like; `event` is a stable word such as
 *  "lane.claimed" that people can alert on; the rest is the message. */
void log_line(enum log_level level, const char *component, const char *event,
              const char *fmt, ...) RIDER_PRINTF_LIKE(4, 5);

/* They are called like functions. NOLINTBEGIN(readability-identifier-naming) */
#define log_error(component, event, ...) \
    log_line(LOG_ERROR_LEVEL, component, event, __VA_ARGS__)
#define log_warn(component, event, ...) \
    log_line(LOG_WARN_LEVEL, component, event, __VA_ARGS__)
#define log_info(component, event, ...) \
    log_line(LOG_INFO_LEVEL, component, event, __VA_ARGS__)
#define log_debug(component, event, ...) \
    log_line(LOG_DEBUG_LEVEL, component, event, __VA_ARGS__)
/* NOLINTEND(readability-identifier-naming) */

bool log_enabled(enum log_level level);

/** Lines that could not be written. */
uint64_t log_lines_dropped(void);

/** Lets one site speak at most once per `interval_ms`; returns whether to speak
 *  now and how many calls were silent since. Zero-initialised, one thread. */
struct log_limit {
    uint64_t next_ms;
    uint64_t suppressed;
};
bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint64_t interval_ms,
                    uint64_t *ret_suppressed);

#endif
