/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_reference.c - option tables as Markdown and as JSON Schema.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/settings.h"

#include <string.h>

struct sample {
    const char *key;
    uint64_t wait;
    struct rider_properties rest;
};

static const struct rider_option rows[] = {
    {.name = "key",
     .type = RIDER_STRING,
     .flags = RIDER_OPT_REQUIRED | RIDER_OPT_SECRET,
     .offset = RIDER_FIELD(struct sample, key, const char *),
     .help = "A|B."},
    {.name = "wait",
     .type = RIDER_MS,
     .offset = RIDER_FIELD(struct sample, wait, uint64_t),
     .default_value = "1s",
     .min = 10,
     .max = 90000,
     .help = "A pause."},
    {.name = "*",
     .type = RIDER_PROPERTIES,
     .offset = RIDER_FIELD(struct sample, rest, struct rider_properties),
     .help = "Passed on."},
    {0},
};

static void test_markdown(void **state)
{
    struct buf out = buf_make(1 << 16);
    (void)state;

    settings_describe_options(rows, sizeof(rows[0]), false, &out);
    assert_string_equal(
        buf_text(&out),
        "| key | value | default | meaning |\n|---|---|---|---|\n"
        "| `key` | text | required | A\\|B. Secret; `key_file` names a file with the "
        "value. |\n"
        "| `wait` | duration, 10ms to 90s | `1s` | A pause. |\n"
        "| any other key | text |  | Passed on. |\n");
    buf_done(&out);
}

static void test_schema(void **state)
{
    struct buf out = buf_make(1 << 16);
    (void)state;

    settings_describe_options(rows, sizeof(rows[0]), true, &out);
    assert_string_equal(
        buf_text(&out),
        "{\"type\":\"object\",\"properties\":{"
        "\"key\":{\"description\":\"A|B.\",\"type\":[\"string\",\"number\",\"boolean\"]"
        "},\"key_file\":{\"description\":\"A file with the value, by absolute path.\","
        "\"type\":\"string\"},"
        "\"wait\":{\"description\":\"A pause.\",\"type\":[\"integer\",\"string\"],"
        "\"minimum\":0,\"maximum\":0,"
        "\"pattern\":\"^(0+|[0-9]+(ms|s|m|h|d))$|\\\\$\\\\{\",\"default\":\"1s\"}},"
        "\"additionalProperties\":{\"type\":[\"string\",\"number\",\"boolean\"]},"
        "\"required\":[]}");
    buf_done(&out);
}

static void test_whole_file(void **state)
{
    static const char *const parts[] = {
        "## `source`",
        "| `dsn` | text | required |",
        "## `destinations[]`",
        "| `batch` | integer, 1 to 1000 | `1000` |",
        "## `destinations[].retry`",
        "`cloudevents-structured`, `cloudevents-binary`",
        "## `routes[].match`",
        "| `to` | list of text | required |",
    };
    struct buf out = buf_make(1 << 16);
    (void)state;

    settings_describe(NULL, 0, false, &out);
    assert_false(out.failed);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        assert_non_null(strstr(buf_text(&out), parts[i]));
    }
    buf_reset(&out);
    settings_describe(NULL, 0, true, &out);
    assert_false(out.failed);
    assert_non_null(strstr(buf_text(&out), "\"source\":{\"description\""));
    assert_non_null(strstr(buf_text(&out), "\"required\":[\"name\",\"adapter\"]"));
    buf_done(&out);
}

static void test_adapters(void **state)
{
    static const struct described_adapter adapter = {"tube", "A tube", rows,
                                                     sizeof(rows[0])};
    struct buf out = buf_make(1 << 16);
    (void)state;

    settings_describe(&adapter, 1, false, &out);
    assert_non_null(strstr(buf_text(&out),
                           "\n## `destinations[].options` with `adapter: tube`\n\n"
                           "A tube.\n\n| key |"));
    buf_reset(&out);
    settings_describe(&adapter, 1, true, &out);
    assert_non_null(strstr(
        buf_text(&out), "\"allOf\":[{\"if\":{\"properties\":{\"adapter\":{\"const\":"
                        "\"tube\"}}},\"then\":{\"properties\":{\"options\":{\"type\":"
                        "\"object\",\"properties\":{\"key\":"));
    assert_non_null(strstr(buf_text(&out), "\"required\":[\"options\"]"));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_markdown),
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_whole_file),
        cmocka_unit_test(test_adapters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
