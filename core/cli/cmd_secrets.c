/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_secrets.c - postrider secrets: keys that encrypt the secrets of subscriptions.
 *
 * No secret and no key is shown but the one that new-key or new-signing-key has just
 * made, on standard output.
 *
 * Not here: the file (webhooks/key_ring.h), the rows (outbox/secret_store.h).
 */
#include "base/cleanup.h"
#include "cli/cli_change.h"
#include "cli/cli_command.h"
#include "cli/cli_settings.h"
#include "cli/cli_table.h"
#include "outbox/secret_store.h"
#include "webhooks/jwks.h"
#include "webhooks/key_ring.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define NUMBER_MAX INT64_C(2147483647)

/* What the command line and the file say. */
struct request {
    const struct cli_args *args;
    struct cli_settings settings;
    const char *dsn;
    const char *path; /* of the key ring; NULL: none is named */
};

static int read_request(const struct cli_args *args, struct request *r)
{
    *r = (struct request){.args = args};
    int status = cli_dsn(args, &r->settings, &r->dsn);

    if (status != CLI_OK) {
        return status;
    }
    r->path = cli_arg(args, "key-ring");
    if (r->path == NULL && r->settings.settings != NULL) {
        r->path = r->settings.settings->webhooks.key_ring;
    }
    return CLI_OK;
}

static int read_ring(const struct request *r, struct key_ring **ret)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};

    if (r->path == NULL) {
        return cli_fail_text(CLI_CONFIG, "which key ring? set webhooks.key_ring in the "
                                         "configuration, or give --key-ring FILE");
    }
    return key_ring_read(r->path, ret, &err) == 0 ? CLI_OK : cli_fail(&err);
}

/* ---- new keys ---------------------------------------------------------------- */

/* `>>` has made the file before this program runs: an empty one is no ring yet. */
static bool is_absent(const char *path)
{
    struct stat st;

    return path == NULL || stat(path, &st) != 0 ||
           (S_ISREG(st.st_mode) && st.st_size == 0);
}

static int next_number(const struct request *r, uint32_t *ret)
{
    RIDER_CLEANUP_PTR(key_ring_destroy) struct key_ring *ring = NULL;
    uint32_t numbers[KEY_RING_MAX_KEYS];

    *ret = 1;
    if (is_absent(r->path)) {
        return CLI_OK;
    }
    int status = read_ring(r, &ring);
    size_t n = status == CLI_OK ? key_ring_numbers(ring, numbers) : 0;

    for (size_t i = 0; i < n; i++) {
        if (numbers[i] >= *ret) {
            *ret = numbers[i] + 1;
        }
    }
    if (*ret > NUMBER_MAX) {
        return cli_fail_text(CLI_CONFIG, "the highest number is taken");
    }
    return status;
}

static int new_key(const struct cli_args *args)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct request r = {.args = args, .path = cli_arg(args, "key-ring")};
    char line[KEY_RING_LINE_SIZE];
    uint32_t number = 1;
    int status = CLI_OK;

    if (r.path == NULL && cli_has_config(args)) {
        status = read_request(args, &r);
    }
    if (status == CLI_OK) {
        status = next_number(&r, &number);
    }
    if (status == CLI_OK && key_ring_new_line(number, line, &err) != 0) {
        status = cli_fail(&err);
    }
    if (status == CLI_OK) {
        (void)puts(line);
        explicit_bzero(line, sizeof(line));
    }
    cli_settings_done(&r.settings);
    return status;
}

static int new_signing_key(const struct cli_args *args)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    char text[WEBHOOK_KEY_SIZE];

    (void)args;
    if (webhook_key_new(text, &err) != 0) {
        return cli_fail(&err);
    }
    (void)puts(text);
    explicit_bzero(text, sizeof(text));
    return CLI_OK;
}

/* ---- status -------------------------------------------------------------------- */

/* One line of the answer: a key of the ring, or one that secrets need. */
struct key_line {
    int64_t number, secrets, used, answers;
    bool in_ring, current;
};

struct key_lines {
    struct key_line *items;
    size_t n;
    bool missing; /* a used key is not in the ring */
};

static struct key_line *line_of(struct key_lines *lines, int64_t number)
{
    size_t i = 0;

    while (i < lines->n && lines->items[i].number < number) {
        i++;
    }
    if (i == lines->n || lines->items[i].number != number) {
        memmove(&lines->items[i + 1], &lines->items[i],
                (lines->n - i) * sizeof(lines->items[0]));
        lines->items[i] = (struct key_line){.number = number};
        lines->n++;
    }
    return &lines->items[i];
}

/* Ascending by number; false when memory is short. The caller frees items. */
static bool collect(const struct key_ring *ring, const struct row_set *rows,
                    struct key_lines *ret)
{
    uint32_t numbers[KEY_RING_MAX_KEYS];
    size_t n = key_ring_numbers(ring, numbers);

    *ret = (struct key_lines){.items =
                                  calloc(n + row_set_count(rows), sizeof(*ret->items))};
    if (ret->items == NULL) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        struct key_line *line = line_of(ret, numbers[i]);

        line->in_ring = true;
        line->current = numbers[i] == key_ring_current(ring);
    }
    for (size_t i = 0; i < row_set_count(rows); i++) {
        struct key_line *line = line_of(ret, row_set_int(rows, i, "number"));

        line->secrets = row_set_int(rows, i, "secrets");
        line->used = row_set_int(rows, i, "used");
        line->answers = row_set_int(rows, i, "answers");
        ret->missing |= line->used > 0 && !line->in_ring;
    }
    return true;
}

static const char *advice(const struct key_line *line)
{
    if (!line->in_ring) {
        return line->used > 0 ? "MISSING in the ring" : "not in the ring, not used";
    }
    if (line->current) {
        return "current";
    }
    return line->secrets > 0 || line->answers > 0 ? "old: rewrap" : "not needed";
}

static int print_lines_json(const struct key_lines *lines)
{
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(CLI_OUTPUT_MAX);
    struct json_writer w = jw_begin(&out);

    jw_object(&w, NULL);
    jw_bool(&w, "complete", !lines->missing);
    jw_array(&w, "keys");
    for (size_t i = 0; i < lines->n; i++) {
        const struct key_line *line = &lines->items[i];

        jw_object(&w, NULL);
        jw_int(&w, "number", line->number);
        jw_bool(&w, "inRing", line->in_ring);
        jw_bool(&w, "current", line->current);
        jw_int(&w, "secrets", line->secrets);
        jw_int(&w, "used", line->used);
        jw_int(&w, "answers", line->answers);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    return cli_print_json(&out);
}

static int print_lines(const struct request *r, const struct key_lines *lines)
{
    if (cli_given(r->args, "json")) {
        int status = print_lines_json(lines);
        return status == CLI_OK && lines->missing ? CLI_CONFIG : status;
    }
    (void)puts("KEY         SECRETS  USED     ANSWERS  STATE");
    for (size_t i = 0; i < lines->n; i++) {
        const struct key_line *line = &lines->items[i];

        (void)printf(
            "%-10" PRId64 "  %-7" PRId64 "  %-7" PRId64 "  %-7" PRId64 "  %s\n",
            line->number, line->secrets, line->used, line->answers, advice(line));
    }
    if (lines->missing) {
        (void)fflush(stdout);
        return cli_fail_text(CLI_CONFIG,
                             "%s lacks keys that secrets need: put them back", r->path);
    }
    return CLI_OK;
}

static int show_status(const struct request *r)
{
    RIDER_CLEANUP_PTR(key_ring_destroy) struct key_ring *ring = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct key_lines lines;
    int status = read_ring(r, &ring);

    if (status != CLI_OK) {
        return status;
    }
    if (secret_store_keys(r->dsn, &rows, &err) != 0) {
        return cli_fail(&err);
    }
    if (!collect(ring, rows, &lines)) {
        return cli_fail_text(CLI_INTERNAL, "out of memory");
    }
    status = print_lines(r, &lines);
    free(lines.items);
    return status;
}

/* ---- rewrap -------------------------------------------------------------------- */

static void on_progress(void *arg, int64_t done)
{
    cli_progress_show(arg, done);
}

static void on_refused(void *arg, const char *what, const char *reason)
{
    (void)arg;
    (void)fprintf(stderr, "postrider: %s: %s\n", what, reason);
}

static int64_t count_old(const struct row_set *rows, uint32_t current)
{
    int64_t old = 0;

    for (size_t i = 0; i < row_set_count(rows); i++) {
        if (row_set_int(rows, i, "number") != (int64_t)current) {
            old += row_set_int(rows, i, "secrets");
        }
    }
    return old;
}

static int print_rewrap(const struct request *r, uint32_t current,
                        const struct secret_rewrap_result *result)
{
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(CLI_OUTPUT_MAX);
    struct json_writer w = jw_begin(&out);
    bool dry = cli_given(r->args, "dry-run");
    int status = CLI_OK;

    if (!cli_given(r->args, "json")) {
        (void)printf("%s %" PRId64 " secrets and %" PRId64 " answers with key %u\n",
                     dry ? "would encrypt" : "encrypted", result->secrets,
                     result->answers, current);
    } else {
        jw_object(&w, NULL);
        jw_bool(&w, "dryRun", dry);
        jw_int(&w, "key", (int64_t)current);
        jw_int(&w, "secrets", result->secrets);
        jw_int(&w, "answers", result->answers);
        jw_int(&w, "refused", result->refused);
        jw_object_end(&w);
        status = cli_print_json(&out);
    }
    if (status == CLI_OK && result->refused > 0) {
        (void)fflush(stdout);
        return cli_fail_text(CLI_DATA, "%" PRId64 " of them could not be decrypted",
                             result->refused);
    }
    return status;
}

static int rewrap(const struct request *r)
{
    RIDER_CLEANUP_PTR(key_ring_destroy) struct key_ring *ring = NULL;
    RIDER_CLEANUP_PTR(row_set_destroy) struct row_set *rows = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct secret_rewrap_result result = {0, 0, 0};
    char actor[160];
    int status = read_ring(r, &ring);

    if (status != CLI_OK) {
        return status;
    }
    if (secret_store_keys(r->dsn, &rows, &err) != 0) {
        return cli_fail(&err);
    }
    cli_actor(actor, sizeof(actor));
    struct cli_progress progress =
        cli_progress_start("encrypted", count_old(rows, key_ring_current(ring)));
    const struct secret_rewrap order = {.dsn = r->dsn,
                                        .ring = ring,
                                        .actor = actor,
                                        .dry_run = cli_given(r->args, "dry-run"),
                                        .progress = on_progress,
                                        .refused = on_refused,
                                        .arg = &progress};
    int rc = secret_store_rewrap(&order, &result, &err);

    cli_progress_end(&progress);
    if (rc != 0) {
        (void)fprintf(stderr, "postrider: stopped after %" PRId64 " of %" PRId64 "\n",
                      result.secrets, progress.total);
        return cli_fail(&err);
    }
    return print_rewrap(r, key_ring_current(ring), &result);
}

/* -------------------------------------------------------------------------------- */

static int run(const struct cli_args *args)
{
    const char *action = args->operands[0];
    struct request r;

    /* Keys and secrets in clear are in this process: no core file, no debugger. */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (strcmp(action, "new-key") == 0) {
        return new_key(args);
    }
    if (strcmp(action, "new-signing-key") == 0) {
        return new_signing_key(args);
    }
    bool rewraps = strcmp(action, "rewrap") == 0;

    if (!rewraps && strcmp(action, "status") != 0) {
        return cli_fail_text(
            CLI_USAGE,
            "secrets: \"%.40s\" is not one of status, rewrap, new-key, "
            "new-signing-key",
            action);
    }
    int status = read_request(args, &r);

    if (status == CLI_OK) {
        status = rewraps ? rewrap(&r) : show_status(&r);
    }
    cli_settings_done(&r.settings);
    return status;
}

static const struct cli_flag flags[] = {
    CLI_FLAG_CONFIG,
    CLI_FLAG_DSN,
    {"key-ring", 0, "FILE", "the key ring, instead of webhooks.key_ring of the file"},
    {"dry-run", 'n', NULL, "rewrap: decrypt every old secret and change nothing"},
    CLI_FLAG_JSON,
};

const struct cli_command cmd_secrets = {
    .name = "secrets",
    .summary = "look after the keys that encrypt secrets of subscriptions",
    .operands = "status|rewrap|new-key|new-signing-key",
    .description =
        "The secrets of webhook subscriptions, and answers that are kept for repeated\n"
        "requests of the API, lie in the database encrypted with the current key of\n"
        "webhooks.key_ring; older keys of the ring still decrypt.\n"
        "\n"
        "status says what each key is needed for, and exits with status 78 when the "
        "ring\n"
        "lacks one. rewrap encrypts what lies under other keys with the current one. "
        "It\n"
        "may be killed and run again at any time, while relays run; exit status 65 "
        "means\n"
        "that some could not be decrypted and were left as they are. rewrap needs "
        "the\n"
        "rights of outbox_relay; status does with those of outbox_api.\n"
        "\n"
        "new-key prints a line for the ring, with the next number; new-signing-key "
        "prints a\n"
        "whsk_ key for webhooks.signing_key. They change nothing.\n"
        "\n"
        "To replace a key: add a line of new-key and \"current OLD\", reload every "
        "relay;\n"
        "take the \"current\" line out, reload every relay; rewrap; when status says\n"
        "\"not needed\", take the old line out.",
    .examples = "  (umask 077; postrider secrets new-key >> /etc/postrider/keys)\n"
                "  postrider secrets new-key -c postrider.yaml >> /etc/postrider/keys\n"
                "  postrider secrets status -c postrider.yaml\n"
                "  postrider secrets rewrap -c postrider.yaml --dry-run\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
