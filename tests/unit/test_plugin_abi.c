/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_plugin_abi.c - which tables are refused, and in what words. No function
 * of a table is ever called, so any address will do.
 */
#include "plugin/plugin_abi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct config {
    int64_t number;
    const char *text;
    uint32_t choice;
};

static const char *const choices[] = {"a", "b", NULL};

static struct rider_option rows[4];

static int create(const struct rider_host *host, const void *config,
                  struct publisher **ret, char *err, size_t err_size)
{
    (void)host;
    (void)config;
    (void)ret;
    (void)err;
    (void)err_size;
    fail();
    return 0;
}

static int start(struct publisher *self, char *err, size_t err_size)
{
    (void)self;
    (void)err;
    (void)err_size;
    return 0;
}

static size_t publish(struct publisher *self, const struct rider_event *const *events,
                      size_t n)
{
    (void)self;
    (void)events;
    return n;
}

static size_t flush(struct publisher *self, uint64_t deadline_ms)
{
    (void)self;
    (void)deadline_ms;
    return 0;
}

static void stop(struct publisher *self, uint64_t deadline_ms)
{
    (void)self;
    (void)deadline_ms;
}

static void destroy(struct publisher *self)
{
    (void)self;
}

static void health(struct publisher *self, struct rider_health *ret)
{
    (void)self;
    (void)ret;
}

/* A sound table over fresh rows. */
static struct publisher_vtable sound(void)
{
    memset(rows, 0, sizeof(rows));
    rows[0] =
        (struct rider_option){.name = "number",
                              .type = RIDER_INT,
                              .offset = RIDER_FIELD(struct config, number, int64_t),
                              .help = "A number."};
    rows[1] =
        (struct rider_option){.name = "text.x",
                              .type = RIDER_STRING,
                              .flags = RIDER_OPT_REQUIRED | RIDER_OPT_SECRET,
                              .offset = RIDER_FIELD(struct config, text, const char *),
                              .help = "A text."};
    rows[2] =
        (struct rider_option){.name = "choice",
                              .type = RIDER_ENUM,
                              .offset = RIDER_FIELD(struct config, choice, uint32_t),
                              .choices = choices,
                              .help = "A choice."};
    return (struct publisher_vtable){
        .magic = RIDER_PUBLISHER_MAGIC,
        .struct_size = sizeof(struct publisher_vtable),
        .abi_major = RIDER_PUBLISHER_ABI_MAJOR,
        .abi_minor = RIDER_PUBLISHER_ABI_MINOR,
        .name = "test",
        .version = "1",
        .summary = "Tests",
        .options = rows,
        .option_size = sizeof(struct rider_option),
        .config_size = sizeof(struct config),
        .create = create,
        .start = start,
        .publish = publish,
        .flush = flush,
        .stop = stop,
        .destroy = destroy,
        .health = health,
    };
}

static void assert_refused(const struct publisher_vtable *vt, const char *says)
{
    struct publisher_vtable copy = {.magic = 1};
    struct rider_error err = {0};

    assert_int_equal(plugin_abi_check(vt, "test", &copy, &err), RIDER_E_PROTOCOL);
    assert_int_equal(copy.magic, 1);
    if (strstr(err.text, says) == NULL) {
        fail_msg("\"%s\" is not in: %s", says, err.text);
    }
}

static void accepts_a_sound_table(void **state)
{
    struct publisher_vtable vt = sound();
    struct publisher_vtable copy;
    struct rider_error err = {0};

    (void)state;
    assert_int_equal(plugin_abi_check(&vt, "test", &copy, &err), 0);
    assert_memory_equal(&copy, &vt, sizeof(vt));
}

static void a_shorter_table_reads_as_null(void **state)
{
    struct publisher_vtable vt = sound();
    struct publisher_vtable copy;
    struct rider_error err = {0};

    (void)state;
    vt.struct_size = offsetof(struct publisher_vtable, health);
    assert_int_equal(plugin_abi_check(&vt, "test", &copy, &err), 0);
    assert_null(copy.health);
    assert_non_null(copy.destroy);
    vt.struct_size = offsetof(struct publisher_vtable, destroy);
    assert_refused(&vt, "is too small");
}

/* An adapter built when the table ended with explain(). */
static void a_table_of_minor_0_is_accepted(void **state)
{
    struct publisher_vtable vt = sound();
    struct publisher_vtable copy = {0};
    struct rider_error err = {0};

    (void)state;
    vt.abi_minor = 0;
    vt.struct_size = offsetof(struct publisher_vtable, check_target);
    /* What lies behind a shorter table is not the adapter's. */
    memset(&vt.check_target, 0xa5, sizeof(vt.check_target));
    assert_int_equal(plugin_abi_check(&vt, "test", &copy, &err), 0);
    assert_int_equal(copy.abi_minor, 0);
    assert_null(copy.check_target);
    assert_ptr_equal(copy.health, health);
}

static void names_what_is_wrong_with_the_table(void **state)
{
    struct publisher_vtable vt = sound();

    (void)state;
    assert_refused(NULL, "returned NULL");
    vt.magic++;
    assert_refused(&vt, "not built with postrider/publisher.h");
    vt = sound();
    vt.struct_size = 8;
    assert_refused(&vt, "does not even hold the ABI version");
    vt = sound();
    vt.abi_major++;
    vt.struct_size = sizeof(vt) * 2; /* the version is the cause to name */
    assert_refused(&vt, "built for ABI 2.1, this postrider has 1.1: rebuild");
    vt = sound();
    vt.abi_minor++;
    assert_refused(&vt, "use a newer postrider");
    vt = sound();
    vt.struct_size++;
    assert_refused(&vt, "is more than the");
    vt = sound();
    vt.config_size = SIZE_MAX;
    assert_refused(&vt, "config_size");
    vt = sound();
    vt.name = "other";
    assert_refused(&vt, "must be named postrider-other.so");
    vt = sound();
    vt.summary = NULL;
    assert_refused(&vt, "its summary is missing");
}

static void names_a_missing_callback(void **state)
{
    struct publisher_vtable vt = sound();

    (void)state;
    vt.create = NULL;
    assert_refused(&vt, "callback create is NULL");
    vt = sound();
    vt.start = NULL;
    assert_refused(&vt, "callback start is NULL");
    vt = sound();
    vt.publish = NULL;
    assert_refused(&vt, "callback publish is NULL");
    vt = sound();
    vt.flush = NULL;
    assert_refused(&vt, "callback flush is NULL");
    vt = sound();
    vt.stop = NULL;
    assert_refused(&vt, "callback stop is NULL");
    vt = sound();
    vt.destroy = NULL;
    assert_refused(&vt, "callback destroy is NULL");
}

static void names_a_bad_option(void **state)
{
    struct publisher_vtable vt = sound();

    (void)state;
    vt.options = NULL;
    assert_refused(&vt, "option table is NULL");
    vt = sound();
    vt.option_size--;
    assert_refused(&vt, "is not the size of a rider_option");
    vt = sound();
    rows[0].offset = sizeof(struct config);
    assert_refused(&vt, "\"number\" fills a field outside the config struct");
    vt = sound();
    rows[0].offset = SIZE_MAX - 7;
    assert_refused(&vt, "\"number\" fills a field outside the config struct");
    vt = sound();
    rows[0].offset = 1;
    assert_refused(&vt, "not aligned");
    vt = sound();
    rows[0].type = RIDER_PROPERTIES + 1;
    assert_refused(&vt, "type this postrider does not know");
    vt = sound();
    rows[1].name = "number";
    assert_refused(&vt, "\"number\" is declared twice");
    vt = sound();
    rows[1].flags = 1u << 30;
    assert_refused(&vt, "flag this postrider does not know");
    vt = sound();
    rows[1].default_value = "x";
    assert_refused(&vt, "is required and has a default");
    vt = sound();
    rows[2].choices = NULL;
    assert_refused(&vt, "\"choice\" is an enum without choices");
    vt = sound();
    rows[0].min = 2;
    assert_refused(&vt, "minimum above its maximum");
    vt = sound();
    rows[0].help = NULL;
    assert_refused(&vt, "has no help text");
    vt = sound();
    rows[0].name = "a b";
    assert_refused(&vt, "name that is not made of");
}

static void a_table_without_end_is_refused(void **state)
{
    static struct rider_option endless[300];
    static char names[300][8];
    struct publisher_vtable vt = sound();

    (void)state;
    for (size_t i = 0; i < 300; i++) {
        endless[i] = rows[0];
        names[i][0] = (char)('a' + i % 26);
        names[i][1] = (char)('a' + i / 26);
        endless[i].name = names[i];
    }
    vt.options = endless;
    assert_refused(&vt, "no end within 256 rows");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_a_sound_table),
        cmocka_unit_test(a_shorter_table_reads_as_null),
        cmocka_unit_test(a_table_of_minor_0_is_accepted),
        cmocka_unit_test(names_what_is_wrong_with_the_table),
        cmocka_unit_test(names_a_missing_callback),
        cmocka_unit_test(names_a_bad_option),
        cmocka_unit_test(a_table_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
