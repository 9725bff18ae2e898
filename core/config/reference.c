/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reference.c - option tables as a Markdown table and as a JSON Schema: the two
 * settings_describe functions of settings.h.
 *
 * Made of the same rows that reading uses, so neither can go stale. The schema
 * accepts what the reader accepts: every value may also be text that contains
 * a ${...}, which only the reader can judge.
 */
#include "base/cleanup.h"
#include "base/json_writer.h"
#include "config/option_value.h"
#include "config/sections.h"
#include "config/settings.h"

struct described_adapters {
    const struct described_adapter *items;
    size_t n;
};

/* ---- Markdown ---- */

static void markdown_limits(const struct rider_option *row, struct buf *out)
{
    if (row->min != row->max) {
        buf_puts(out, ", ");
        option_value_print(row, row->min, out);
        buf_puts(out, " to ");
        option_value_print(row, row->max, out);
    }
    for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++) {
        buf_printf(out, "%s`%s`", i == 0 ? ": " : ", ", row->choices[i]);
    }
}

/* "|" would end the cell. */
static void markdown_cell(const char *text, struct buf *out)
{
    for (; text != NULL && *text != '\0'; text++) {
        if (*text == '|') {
            buf_puts(out, "\\|");
        } else if (*text == '\n') {
            buf_putc(out, ' ');
        } else {
            buf_putc(out, *text);
        }
    }
}

static void markdown_row(const struct rider_option *row, struct buf *out)
{
    if (row->type == RIDER_PROPERTIES) {
        buf_puts(out, "| any other key | text |  | ");
    } else {
        buf_printf(out, "| `%s` | %s", row->name, option_value_type_name(row));
        markdown_limits(row, out);
        buf_puts(out, " | ");
        if ((row->flags & RIDER_OPT_REQUIRED) != 0) {
            buf_puts(out, "required");
        } else if (row->default_value != NULL) {
            buf_printf(out, "`%s`", row->default_value);
        }
        buf_puts(out, " | ");
    }
    markdown_cell(row->help, out);
    if ((row->flags & RIDER_OPT_SECRET) != 0) {
        buf_printf(out, " Secret; `%s_file` names a file with the value.", row->name);
    }
    buf_puts(out, " |\n");
}

static void markdown_table(const struct option_table *t, struct buf *out)
{
    struct rider_option row;

    if (!option_table_row(t, 0, &row)) {
        return;
    }
    buf_puts(out, "| key | value | default | meaning |\n|---|---|---|---|\n");
    for (size_t i = 0; option_table_row(t, i, &row); i++) {
        markdown_row(&row, out);
    }
}

static void markdown_section(const struct section *section, const char *prefix,
                             struct buf *out)
{
    struct buf name = buf_make(256);

    if (section->name != NULL) {
        buf_printf(&name, "%s%s%s%s", prefix, *prefix == '\0' ? "" : ".", section->name,
                   section->list ? "[]" : "");
        buf_printf(out, "\n## `%s`\n\n", buf_text(&name));
    }
    buf_printf(out, "%s\n\n", section->help);
    markdown_table(&section->keys, out);
    for (size_t i = 0; section->sections != NULL && section->sections[i] != NULL; i++) {
        markdown_section(section->sections[i], buf_text(&name), out);
    }
    buf_done(&name);
}

static void markdown_adapters(const struct described_adapters *adapters,
                              struct buf *out)
{
    for (size_t i = 0; i < adapters->n; i++) {
        const struct described_adapter *a = &adapters->items[i];
        const struct option_table t = {.rows = a->table, .row_size = a->option_size};
        struct rider_option row;

        buf_printf(out, "\n## `destinations[].options` with `adapter: %s`\n\n",
                   a->name);
        markdown_cell(a->summary, out);
        buf_puts(out, option_table_row(&t, 0, &row) ? ".\n\n" : ". No options.\n");
        markdown_table(&t, out);
    }
}

/* ---- JSON Schema ---- */

static void schema_types(struct json_writer *w, const char *a, const char *b,
                         const char *c)
{
    jw_array(w, "type");
    jw_string(w, NULL, a);
    if (b != NULL) {
        jw_string(w, NULL, b);
    }
    if (c != NULL) {
        jw_string(w, NULL, c);
    }
    jw_array_end(w);
}

static void schema_choices(struct json_writer *w, const struct rider_option *row)
{
    jw_array(w, "anyOf");
    jw_object(w, NULL);
    jw_array(w, "enum");
    for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++) {
        jw_string(w, NULL, row->choices[i]);
    }
    jw_array_end(w);
    jw_object_end(w);
    jw_object(w, NULL);
    jw_string(w, "type", "string");
    jw_string(w, "pattern", "\\$\\{");
    jw_object_end(w);
    jw_array_end(w);
}

static void schema_texts(struct json_writer *w)
{
    jw_array(w, "anyOf");
    jw_object(w, NULL);
    jw_string(w, "type", "string");
    jw_int(w, "minLength", 1);
    jw_object_end(w);
    jw_object(w, NULL);
    jw_string(w, "type", "array");
    jw_int(w, "minItems", 1);
    jw_object(w, "items");
    jw_string(w, "type", "string");
    jw_int(w, "minLength", 1);
    jw_object_end(w);
    jw_object_end(w);
    jw_array_end(w);
}

static void schema_number(struct json_writer *w, const struct rider_option *row)
{
    const char *pattern = "^-?[0-9]+$|\\$\\{";

    schema_types(w, "integer", "string", NULL);
    if (row->type == RIDER_MS) {
        pattern = "^(0+|[0-9]+(ms|s|m|h|d))$|\\$\\{";
        jw_int(w, "minimum", 0);
        jw_int(w, "maximum", 0); /* only 0 needs no unit */
    } else if (row->type == RIDER_SIZE) {
        pattern = "^[0-9]+(KB|MB|GB)?$|\\$\\{";
    }
    jw_string(w, "pattern", pattern);
    if (row->min != row->max && row->type != RIDER_MS) {
        jw_int(w, "minimum", row->min);
        jw_int(w, "maximum", row->max);
    }
}

static void schema_value(struct json_writer *w, const struct rider_option *row)
{
    switch (row->type) {
    case RIDER_INT:
    case RIDER_MS:
    case RIDER_SIZE:
        schema_number(w, row);
        break;
    case RIDER_BOOL:
        schema_types(w, "boolean", "string", NULL);
        jw_string(w, "pattern", "^(true|false)$|\\$\\{");
        break;
    case RIDER_ENUM:
        schema_choices(w, row);
        break;
    case OPTION_TEXTS:
        schema_texts(w);
        break;
    default:
        schema_types(w, "string", "number", "boolean");
        break;
    }
}

static void schema_row(struct json_writer *w, const struct rider_option *row)
{
    jw_object(w, row->name);
    if (row->help != NULL) {
        jw_string(w, "description", row->help);
    }
    schema_value(w, row);
    if (row->default_value != NULL) {
        jw_string(w, "default", row->default_value);
    }
    jw_object_end(w);
    if ((row->flags & RIDER_OPT_SECRET) != 0) {
        struct buf name = buf_make(128);
        buf_printf(&name, "%s_file", row->name);
        jw_object(w, buf_text(&name));
        jw_string(w, "description", "A file with the value, by absolute path.");
        jw_string(w, "type", "string");
        jw_object_end(w);
        buf_done(&name);
    }
}

/* A required secret may come from a file or the environment: the reader knows. */
static void schema_required(struct json_writer *w, const struct option_table *t)
{
    struct rider_option row;

    jw_array(w, "required");
    for (size_t i = 0; option_table_row(t, i, &row); i++) {
        if ((row.flags & (RIDER_OPT_REQUIRED | RIDER_OPT_SECRET)) ==
            RIDER_OPT_REQUIRED) {
            jw_string(w, NULL, row.name);
        }
    }
    jw_array_end(w);
}

/* The properties of `t`; leaves "properties" open for sections. Returns whether
 * other keys are allowed. */
static bool schema_properties(struct json_writer *w, const struct option_table *t)
{
    struct rider_option row;
    bool open = false;

    jw_object(w, "properties");
    for (size_t i = 0; option_table_row(t, i, &row); i++) {
        if (row.type == RIDER_PROPERTIES) {
            open = true;
        } else {
            schema_row(w, &row);
        }
    }
    return open;
}

static void schema_rest(struct json_writer *w, bool open)
{
    jw_object_end(w); /* properties */
    if (open) {
        jw_object(w, "additionalProperties");
        schema_types(w, "string", "number", "boolean");
        jw_object_end(w);
    } else {
        jw_bool(w, "additionalProperties", false);
    }
}

static bool has_required(const struct option_table *t)
{
    struct rider_option row;

    for (size_t i = 0; option_table_row(t, i, &row); i++) {
        if ((row.flags & RIDER_OPT_REQUIRED) != 0) {
            return true;
        }
    }
    return false;
}

static void schema_options(struct json_writer *w, const struct option_table *t)
{
    jw_string(w, "type", "object");
    schema_rest(w, schema_properties(w, t));
    schema_required(w, t);
}

/* Which options there are depends on the adapter; those of an adapter that is
 * not listed are left open. */
static void schema_adapters(struct json_writer *w,
                            const struct described_adapters *adapters)
{
    jw_array(w, "allOf");
    for (size_t i = 0; i < adapters->n; i++) {
        const struct described_adapter *a = &adapters->items[i];
        const struct option_table t = {.rows = a->table, .row_size = a->option_size};

        jw_object(w, NULL);
        jw_object(w, "if");
        jw_object(w, "properties");
        jw_object(w, "adapter");
        jw_string(w, "const", a->name);
        jw_object_end(w);
        jw_object_end(w);
        jw_object_end(w);
        jw_object(w, "then");
        jw_object(w, "properties");
        jw_object(w, "options");
        schema_options(w, &t);
        jw_object_end(w);
        jw_object_end(w);
        if (has_required(&t)) {
            jw_array(w, "required");
            jw_string(w, NULL, "options");
            jw_array_end(w);
        }
        jw_object_end(w);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void schema_section(struct json_writer *w, const struct section *section,
                           const struct described_adapters *adapters)
{
    jw_string(w, "description", section->help);
    if (section->list) {
        jw_string(w, "type", "array");
        jw_object(w, "items");
    }
    jw_string(w, "type", "object");
    if (!section->open) {
        (void)schema_properties(w, &section->keys);
        for (size_t i = 0; section->sections != NULL && section->sections[i] != NULL;
             i++) {
            jw_object(w, section->sections[i]->name);
            schema_section(w, section->sections[i], adapters);
            jw_object_end(w);
        }
        schema_rest(w, false);
        schema_required(w, &section->keys);
    }
    if (section == section_destination() && adapters->n > 0) {
        schema_adapters(w, adapters);
    }
    if (section->list) {
        jw_object_end(w);
    }
}

void settings_describe_options(const struct rider_option *table, size_t option_size,
                               bool json, struct buf *out)
{
    const struct option_table t = {.rows = table, .row_size = option_size};

    if (!json) {
        markdown_table(&t, out);
        return;
    }
    struct json_writer w = jw_begin(out);
    jw_object(&w, NULL);
    schema_options(&w, &t);
    jw_object_end(&w);
}

void settings_describe(const struct described_adapter *adapters, size_t n_adapters,
                       bool json, struct buf *out)
{
    const struct described_adapters all = {adapters, n_adapters};

    if (!json) {
        markdown_section(section_root(), "", out);
        markdown_adapters(&all, out);
        return;
    }
    struct json_writer w = jw_begin(out);
    jw_object(&w, NULL);
    jw_string(&w, "$schema", "https://json-schema.org/draft/2020-12/schema");
    jw_string(&w, "title", "Postrider configuration");
    schema_section(&w, section_root(), &all);
    jw_object_end(&w);
}
