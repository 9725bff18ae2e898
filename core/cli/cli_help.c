/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli_help.c - what --help prints.
 *
 * Texts come from the command tables; long help lines are wrapped here, at 79
 * columns, so that tables hold plain sentences.
 */
#include "cli/cli_help.h"

#include <string.h>

#define COLUMNS    79
#define HELP_START 26

void cli_help_overview(FILE *out, const struct cli_command *const *commands)
{
    (void)fputs(
        "Usage: postrider COMMAND [OPTIONS]\n\n"
        "Postrider carries every event that a PostgreSQL transaction committed to\n"
        "every destination that a route names: at least once, in order per aggregate.\n"
        "\nCommands:\n",
        out);
    for (; *commands != NULL; commands++) {
        (void)fprintf(out, "  %-10s %s\n", (*commands)->name, (*commands)->summary);
    }
    (void)fputs(
        "\nFirst steps:\n"
        "  postrider check -c postrider.yaml      is the configuration right?\n"
        "  postrider migrate -c postrider.yaml    create the outbox schema\n"
        "  postrider run -c postrider.yaml        start the relay\n"
        "  postrider status -c postrider.yaml     what is delivered, what waits\n"
        "\n`postrider COMMAND --help` explains one command.\n",
        out);
    cli_exit_describe(out);
}

/* Words of `text`, wrapped; the cursor stands at column `at`. */
static void print_wrapped(FILE *out, const char *text, size_t at)
{
    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        if (at + 1 + len > COLUMNS && at > HELP_START) {
            (void)fprintf(out, "\n%*s", HELP_START, "");
            at = HELP_START;
        } else if (at > HELP_START) {
            (void)fputc(' ', out);
            at++;
        }
        (void)fprintf(out, "%.*s", (int)len, text);
        at += len;
        text += len + strspn(text + len, " ");
    }
    (void)fputc('\n', out);
}

static void print_flag(FILE *out, const struct cli_flag *flag)
{
    char letter[8] = "    ";
    int width;

    if (flag->letter != 0) {
        (void)snprintf(letter, sizeof(letter), "-%c, ", flag->letter);
    }
    width =
        fprintf(out, "  %s--%s%s%s", letter, flag->name, flag->value == NULL ? "" : " ",
                flag->value == NULL ? "" : flag->value);
    if (width < 0) {
        return;
    }
    if (width >= HELP_START) {
        (void)fputc('\n', out);
        width = 0;
    }
    (void)fprintf(out, "%*s", HELP_START - width, "");
    print_wrapped(out, flag->help, HELP_START);
}

void cli_help_text(FILE *out, const struct cli_command *command)
{
    static const struct cli_flag help = {"help", 'h', NULL, "print this text"};

    (void)fprintf(out, "Usage: postrider %s [OPTIONS]%s%s\n\n%s\n", command->name,
                  command->operands == NULL ? "" : " ",
                  command->operands == NULL ? "" : command->operands,
                  command->description);
    (void)fputs("\nOptions:\n", out);
    for (size_t i = 0; i < command->n_flags; i++) {
        print_flag(out, &command->flags[i]);
    }
    print_flag(out, &help);
    if (command->examples != NULL) {
        (void)fprintf(out, "\nExamples:\n%s", command->examples);
    }
}

void cli_help_command(FILE *out, const struct cli_command *command)
{
    cli_help_text(out, command);
    cli_exit_describe(out);
}
