/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_adapters.c - postrider adapters: what can be a destination, and with
 * which options.
 */
#include "base/cleanup.h"
#include "base/json_writer.h"
#include "cli/cli_command.h"
#include "cli/cli_settings.h"
#include "config/option_table.h"
#include "config/option_value.h"

#include <stdio.h>
#include <string.h>

#define MAX_OUTPUT ((size_t)4 * 1024 * 1024)

struct listing {
    const char *only; /* the one adapter that was asked for, or NULL */
    bool json;
    size_t shown, refused;
    struct buf out;
    struct json_writer w;
};

static void write_json(struct listing *l, const char *file,
                       const struct publisher_vtable *vt, const char *reason)
{
    RIDER_CLEANUP(buf_done) struct buf schema = buf_make(MAX_OUTPUT);

    jw_object(&l->w, NULL);
    jw_string(&l->w, "file", file);
    jw_string_or_null(&l->w, "name", vt == NULL ? NULL : vt->name);
    jw_string_or_null(&l->w, "problem", vt == NULL ? reason : NULL);
    if (vt != NULL) {
        jw_string(&l->w, "version", vt->version);
        jw_string(&l->w, "summary", vt->summary);
        jw_int(&l->w, "abiMajor", vt->abi_major);
        jw_int(&l->w, "abiMinor", vt->abi_minor);
        jw_bool(&l->w, "keyOrder", (vt->caps & RIDER_CAP_KEY_ORDER) != 0);
        jw_bool(&l->w, "idempotent", (vt->caps & RIDER_CAP_IDEMPOTENT) != 0);
        jw_bool(&l->w, "subscriptions", (vt->caps & RIDER_CAP_SUBSCRIPTIONS) != 0);
        settings_describe_options(vt->options, vt->option_size, /* json= */ true,
                                  &schema);
        jw_raw(&l->w, "options", buf_text(&schema), schema.len);
    }
    jw_object_end(&l->w);
}

static void print_limits(struct buf *out, const struct rider_option *row)
{
    if (row->min != row->max) {
        buf_puts(out, ", ");
        option_value_print(row, row->min, out);
        buf_puts(out, " to ");
        option_value_print(row, row->max, out);
    }
    for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++) {
        buf_printf(out, "%s%s", i == 0 ? ": " : " | ", row->choices[i]);
    }
}

static void print_option(struct buf *out, const struct rider_option *row)
{
    if (row->type == RIDER_PROPERTIES) {
        buf_puts(out, "  any other key");
    } else {
        buf_printf(out, "  %s  (%s", row->name, option_value_type_name(row));
        print_limits(out, row);
        buf_puts(out, ")");
    }
    if ((row->flags & RIDER_OPT_REQUIRED) != 0) {
        buf_puts(out, "  required");
    } else if (row->default_value != NULL) {
        buf_printf(out, "  default: %s", row->default_value);
    }
    if ((row->flags & RIDER_OPT_SECRET) != 0) {
        buf_printf(out, "  secret: %s_file names a file with it", row->name);
    }
    buf_printf(out, "\n      %s\n", row->help == NULL ? "" : row->help);
}

static void print_text(struct listing *l, const struct publisher_vtable *vt)
{
    const struct option_table table = {.rows = vt->options,
                                       .row_size = vt->option_size};
    struct rider_option row;

    buf_printf(&l->out, "%-10s %-8s %s\n", vt->name, vt->version, vt->summary);
    if (l->only == NULL) {
        return;
    }
    buf_puts(&l->out, "\nOptions:\n");
    for (size_t i = 0; option_table_row(&table, i, &row); i++) {
        print_option(&l->out, &row);
    }
}

/* Whether the file is the one of adapter `name`. */
static bool is_file_of(const char *file, const char *name)
{
    char expected[300];

    (void)snprintf(expected, sizeof(expected), "postrider-%s.so", name);
    return strcmp(file, expected) == 0;
}

static void list_one(void *arg, const char *file, const struct publisher_vtable *vt,
                     const char *reason)
{
    struct listing *l = arg;

    if (l->only != NULL && !is_file_of(file, l->only)) {
        return;
    }
    l->shown++;
    l->refused += vt == NULL ? 1 : 0;
    if (l->json) {
        write_json(l, file, vt, reason);
    } else if (vt == NULL) {
        (void)cli_fail_text(CLI_CONFIG, "%s is refused: %s", file, reason);
    } else {
        print_text(l, vt);
    }
}

static int list(struct plugin_registry *reg, struct listing *l)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};

    if (l->json) {
        l->w = jw_begin(&l->out);
        jw_array(&l->w, NULL);
    }
    if (plugin_registry_list(reg, list_one, l, &err) != 0) {
        return cli_fail(&err);
    }
    if (l->json) {
        jw_array_end(&l->w);
        buf_putc(&l->out, '\n');
    }
    if (l->out.failed) {
        return cli_fail_text(CLI_TEMPORARY, "out of memory");
    }
    if (l->only != NULL && l->shown == 0) {
        return cli_fail_text(CLI_DATA, "there is no adapter \"%s\" in \"%s\"", l->only,
                             plugin_registry_dir(reg));
    }
    (void)fputs(buf_text(&l->out), stdout);
    if (!l->json && l->shown == 0) {
        (void)fprintf(stderr, "no adapters in \"%s\"\n", plugin_registry_dir(reg));
    } else if (!l->json && l->only == NULL) {
        (void)fputs("\n`postrider adapters NAME` shows the options of one.\n", stderr);
    }
    return l->refused > 0 ? CLI_CONFIG : CLI_OK;
}

static int run(const struct cli_args *args)
{
    RIDER_CLEANUP_PTR(plugin_registry_destroy) struct plugin_registry *reg = NULL;
    struct listing l = {
        .only = args->n_operands > 0 ? args->operands[0] : NULL,
        .json = cli_given(args, "json"),
        .out = buf_make(MAX_OUTPUT),
    };
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    int status;

    if (cli_registry_open(args, &reg, &err) != 0) {
        return cli_fail(&err);
    }
    status = list(reg, &l);
    buf_done(&l.out);
    return status;
}

static const struct cli_flag flags[] = {
    CLI_FLAG_ADAPTER_DIR,
    CLI_FLAG_JSON,
};

const struct cli_command cmd_adapters = {
    .name = "adapters",
    .summary = "list adapters and their options",
    .operands = "[NAME]",
    .description =
        "Lists the adapters that a destination can name, from the files\n"
        "postrider-<name>.so of one directory: --adapter-dir, $POSTRIDER_ADAPTER_DIR, "
        "or\n"
        "the installed one. With NAME it shows the options of that adapter, as they "
        "are\n"
        "written below `options:` of a destination. A file that breaks the adapter\n"
        "contract is named with the reason and never used.",
    .examples = "  postrider adapters\n"
                "  postrider adapters kafka\n"
                "  postrider adapters --json | jq '.[].name'\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .max_operands = 1,
    .run = run,
};
