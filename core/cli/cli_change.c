/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_change.c - what commands that change something have in common.
 *
 * Not here: which filter keys exist and what they mean (the schema checks them).
 */
#include "cli/cli_change.h"

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/parse.h"
#include "cli/cli_exit.h"

#include <ctype.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Flags that go into the filter as they are. */
static const struct {
    const char *flag, *key;
} texts[] = {
    {"destination", "destination"},
    {"type", "type"},
    {"cause", "cause"},
    {"aggregate-type", "aggregateType"},
    {"aggregate-id", "aggregateId"},
};

/* "2h" is two hours before now; anything else is for the database to judge. */
static void write_time(struct json_writer *w, const char *key, const char *value)
{
    char text[CLOCK_RFC3339_SIZE];
    uint64_t back_ms;

    if (value == NULL) {
        return;
    }
    if (parse_duration_ms(value, &back_ms, NULL) == 0) {
        (void)clock_format_rfc3339(clock_wall_us() - (int64_t)back_ms * 1000, text);
        value = text;
    }
    jw_string(w, key, value);
}

static int write_events(const struct cli_args *args, size_t first,
                        struct json_writer *w, struct rider_error *err)
{
    const char *id;
    size_t at = 0;
    bool any = false;

    while ((id = cli_arg_next(args, "event", &at)) != NULL ||
           first < args->n_operands) {
        id = id == NULL ? args->operands[first++] : id;
        if (!parse_is_uuid(id)) {
            return rider_fail(err, RIDER_E_CONFIG,
                              "\"%.60s\" is not an event id (a UUID)", id);
        }
        if (!any) {
            jw_array(w, "eventId");
        }
        any = true;
        jw_string(w, NULL, id);
    }
    if (any) {
        jw_array_end(w);
    }
    return 0;
}

int cli_filter(const struct cli_args *args, size_t first_event, bool allowed_empty,
               struct buf *ret, struct rider_error *err)
{
    struct json_writer w = jw_begin(ret);

    jw_object(&w, NULL);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *value = cli_arg(args, texts[i].flag);

        if (value != NULL) {
            jw_string(&w, texts[i].key, value);
        }
    }
    write_time(&w, "since", cli_arg(args, "since"));
    write_time(&w, "until", cli_arg(args, "until"));
    int rc = write_events(args, first_event, &w, err);
    jw_object_end(&w);
    if (rc != 0) {
        return rc;
    }
    if (ret->failed) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    if (!allowed_empty && strcmp(buf_text(ret), "{}") == 0) {
        return rider_fail(err, RIDER_E_CONFIG,
                          "name what is meant: an event id, or --destination, --type, "
                          "--cause, --since ...");
    }
    return 0;
}

bool cli_confirm(const struct cli_args *args, const char *question, int *ret_status)
{
    char answer[16] = "";

    *ret_status = CLI_OK;
    if (cli_given(args, "yes")) {
        return true;
    }
    if (isatty(STDIN_FILENO) == 0) {
        *ret_status =
            cli_fail_text(CLI_USAGE, "nobody to ask: add --yes, or --dry-run to look");
        return false;
    }
    (void)fprintf(stderr, "%s [y/N] ", question);
    if (fgets(answer, (int)sizeof(answer), stdin) == NULL ||
        tolower((unsigned char)answer[0]) != 'y') {
        (void)fputs("nothing done\n", stderr);
        return false;
    }
    return true;
}

void cli_actor(char *out, size_t size)
{
    char names[1024];
    char host[64] = "localhost";
    struct passwd user;
    struct passwd *found = NULL;

    (void)gethostname(host, sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    if (getpwuid_r(getuid(), &user, names, sizeof(names), &found) == 0 &&
        found != NULL) {
        (void)snprintf(out, size, "cli %.60s@%s", found->pw_name, host);
    } else {
        (void)snprintf(out, size, "cli %u@%s", (unsigned)getuid(), host);
    }
}

struct cli_progress cli_progress_start(const char *what, int64_t total)
{
    uint64_t now = clock_mono_ms();

    return (struct cli_progress){
        .what = what,
        .total = total,
        .started_ms = now,
        .said_ms = now,
        .terminal = isatty(STDERR_FILENO) != 0,
    };
}

void cli_progress_show(struct cli_progress *p, int64_t done)
{
    uint64_t now = clock_mono_ms();

    if (now - p->said_ms < (p->terminal ? 1000 : 10000)) {
        return;
    }
    p->said_ms = now;
    p->said = true;
    (void)fprintf(stderr, "%s%s %" PRId64 " of %" PRId64 ", %" PRIu64 " s%s",
                  p->terminal ? "\r" : "", p->what, done, p->total,
                  (now - p->started_ms) / 1000, p->terminal ? "" : "\n");
    (void)fflush(stderr);
}

void cli_progress_end(struct cli_progress *p)
{
    if (p->said && p->terminal) {
        (void)fputc('\n', stderr);
    }
}
