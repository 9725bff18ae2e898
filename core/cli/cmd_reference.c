/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_reference.c - postrider reference: the pages of docs/reference and the
 * schema of the configuration file, from the tables that the program works by.
 */
#include "base/cleanup.h"
#include "cli/cli_command.h"
#include "cli/cli_help.h"
#include "cli/cli_settings.h"
#include "daemon/report.h"

#include <stdio.h>
#include <string.h>

#define MAX_OUTPUT   ((size_t)4 * 1024 * 1024)
#define MAX_ADAPTERS 64

/* The adapters of one directory. */
struct found {
    struct described_adapter adapters[MAX_ADAPTERS];
    size_t n;
    bool refused;
};

static void take_adapter(void *arg, const char *file, const struct publisher_vtable *vt,
                         const char *reason)
{
    struct found *found = arg;

    if (vt == NULL) {
        (void)cli_fail_text(CLI_CONFIG, "%s is refused: %s", file, reason);
        found->refused = true;
    } else if (found->n < MAX_ADAPTERS) {
        found->adapters[found->n++] = (struct described_adapter){
            vt->name, vt->summary, vt->options, vt->option_size};
    }
}

static int describe_settings(const struct cli_args *args, bool json, struct buf *out)
{
    RIDER_CLEANUP_PTR(plugin_registry_destroy) struct plugin_registry *reg = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct found found = {.n = 0};
    int rc = cli_registry_open(args, &reg, &err);

    if (rc == 0) {
        rc = plugin_registry_list(reg, take_adapter, &found, &err);
    }
    if (rc != 0) {
        return cli_fail(&err);
    }
    settings_describe(found.adapters, found.n, json, out);
    return found.refused ? CLI_CONFIG : CLI_OK;
}

static int print_configuration(const struct cli_args *args, struct buf *out)
{
    buf_puts(out,
             "# Configuration\n\n"
             "<!-- Made by `postrider reference configuration`. -->\n\n"
             "One YAML file, strictly read: an unknown or repeated key is an error, "
             "and so are anchors and tags.\n"
             "`postrider check` reports every mistake at once with its place. "
             "`${NAME}` and `${NAME:-default}` stand for\n"
             "environment variables in any value. SIGHUP reads the file again.\n\n"
             "`config/postrider.yaml` is an annotated example; "
             "`config/postrider.schema.json` lets editors complete and check.\n\n");
    return describe_settings(args, /* json= */ false, out);
}

static int print_schema(const struct cli_args *args, struct buf *out)
{
    int status = describe_settings(args, /* json= */ true, out);

    buf_putc(out, '\n');
    return status;
}

static int print_metrics(const struct cli_args *args, struct buf *out)
{
    (void)args;
    buf_puts(out,
             "# Metrics\n\n"
             "<!-- Made by `postrider reference metrics`. -->\n\n"
             "`GET /metrics` of the `ops` listener, in the Prometheus text format. A "
             "scrape reads memory and never waits\n"
             "for the database: what comes from there is sampled every few seconds, "
             "and its age is shown.\n\n");
    report_describe_metrics(out);
    buf_puts(out, "\nBesides these there are the usual metrics of a process: "
                  "`process_cpu_seconds_total`,\n"
                  "`process_resident_memory_bytes`, `process_virtual_memory_bytes`, "
                  "`process_start_time_seconds`,\n"
                  "`process_open_fds` and `process_max_fds`.\n");
    return CLI_OK;
}

/* Help is written to streams. */
static int print_helps(FILE *stream)
{
    const struct cli_command *const *commands = cli_commands();

    (void)fputs("```text\n", stream);
    cli_help_overview(stream, commands);
    (void)fputs("```\n", stream);
    for (; *commands != NULL; commands++) {
        (void)fprintf(stream, "\n## postrider %s\n\n```text\n", (*commands)->name);
        cli_help_text(stream, *commands);
        (void)fputs("```\n", stream);
    }
    return fclose(stream);
}

static int print_commands(const struct cli_args *args, struct buf *out)
{
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);

    (void)args;
    buf_puts(out, "# Commands\n\n"
                  "<!-- Made by `postrider reference commands`. -->\n\n"
                  "What `--help` says. All commands share the exit statuses of the "
                  "overview.\n\n");
    if (stream == NULL || print_helps(stream) != 0) {
        free(text);
        return cli_fail_text(CLI_TEMPORARY, "out of memory");
    }
    buf_append(out, text, len);
    free(text);
    return CLI_OK;
}

static const struct page {
    const char *name;
    int (*print)(const struct cli_args *args, struct buf *out); /* an exit status */
} pages[] = {
    {"commands", print_commands},
    {"configuration", print_configuration},
    {"metrics", print_metrics},
    {"schema", print_schema},
};

static const struct page *find_page(const char *name)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (strcmp(pages[i].name, name) == 0) {
            return &pages[i];
        }
    }
    return NULL;
}

static int run(const struct cli_args *args)
{
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(MAX_OUTPUT);
    const struct page *page = find_page(args->operands[0]);

    if (page == NULL) {
        return cli_fail_text(CLI_USAGE,
                             "reference: \"%.80s\" is no page; `postrider reference "
                             "--help` lists them",
                             args->operands[0]);
    }
    int status = page->print(args, &out);
    if (out.failed) {
        return cli_fail_text(CLI_TEMPORARY, "out of memory");
    }
    (void)fputs(buf_text(&out), stdout);
    return status;
}

static const struct cli_flag flags[] = {CLI_FLAG_ADAPTER_DIR};

const struct cli_command cmd_reference = {
    .name = "reference",
    .summary = "print a page of the reference manual",
    .operands = "PAGE",
    .description =
        "Prints one page about this very version, made from the tables that it works\n"
        "by:\n"
        "\n"
        "  commands       every command and its options, as Markdown\n"
        "  configuration  every key of the file and of each adapter's options\n"
        "  metrics        every metric, its type and labels\n"
        "  schema         a JSON Schema of the configuration file, for editors\n"
        "\n"
        "Adapters come from one directory, as in `postrider adapters`, so adapters of\n"
        "your own are described, too.",
    .examples = "  postrider reference metrics\n"
                "  postrider reference schema > postrider.schema.json\n",
    .flags = flags,
    .n_flags = sizeof(flags) / sizeof(flags[0]),
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
