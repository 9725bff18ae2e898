/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_plugin_file.c - which files are refused as an adapter, and in what words.
 */
#include "base/cleanup.h"
#include "plugin/plugin_file.h"
#include "plugin/plugin_registry.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char dir[64];
    char file[128];
};

/* A private directory with a well-behaved file in it. */
static int set_up(void **state)
{
    static struct place place;

    (void)snprintf(place.dir, sizeof(place.dir), "/tmp/plugin-file-XXXXXX");
    assert_non_null(mkdtemp(place.dir));
    (void)snprintf(place.file, sizeof(place.file), "%s/postrider-good.so", place.dir);
    int fd = open(place.file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "not a library", 13), 13);
    assert_int_equal(close(fd), 0);
    assert_int_equal(chmod(place.file, 0644), 0);
    *state = &place;
    return 0;
}

static int tear_down(void **state)
{
    const struct place *place = *state;

    (void)unlink(place->file);
    return rmdir(place->dir);
}

static void assert_refused(const struct place *place, int code, const char *says)
{
    struct rider_error err = {0};

    assert_int_equal(plugin_file_open(place->dir, "good", &err), code);
    assert_int_equal(err.code, code);
    if (strstr(err.text, says) == NULL) {
        fail_msg("\"%s\" is not in: %s", says, err.text);
    }
}

static void opens_a_good_file(void **state)
{
    const struct place *place = *state;
    struct rider_error err = {0};
    char text[8] = "";
    RIDER_CLEANUP_FD int fd = plugin_file_open(place->dir, "good", &err);

    assert_true(fd >= 0);
    assert_int_equal(read(fd, text, 3), 3);
    assert_string_equal(text, "not");
}

static void refuses_writable_by_others(void **state)
{
    const struct place *place = *state;

    assert_int_equal(chmod(place->file, 0666), 0);
    assert_refused(place, RIDER_E_PERMISSION, "is writable by everyone (mode 0666)");
    assert_int_equal(chmod(place->file, 0664), 0);
    assert_refused(place, RIDER_E_PERMISSION, "is writable by its group");
    assert_int_equal(chmod(place->file, 0644), 0);
    assert_int_equal(chmod(place->dir, 0777), 0);
    assert_refused(place, RIDER_E_PERMISSION, "adapter directory");
    assert_int_equal(chmod(place->dir, 0700), 0);
}

static void refuses_a_strangers_file(void **state)
{
    const struct place *place = *state;

    if (geteuid() != 0) {
        skip(); /* only root can give a file away */
    }
    assert_int_equal(chown(place->file, 65534, 65534), 0);
    assert_refused(place, RIDER_E_PERMISSION, "belongs to user 65534");
    assert_int_equal(chown(place->file, 0, 0), 0);
    assert_int_equal(chown(place->dir, 65534, 65534), 0);
    assert_refused(place, RIDER_E_PERMISSION, "adapter directory");
    assert_int_equal(chown(place->dir, 0, 0), 0);
}

static void refuses_links_and_pipes(void **state)
{
    const struct place *place = *state;

    assert_int_equal(unlink(place->file), 0);
    assert_refused(place, RIDER_E_NOT_FOUND, "there is no adapter \"good\"");
    assert_int_equal(symlink("/etc/passwd", place->file), 0);
    assert_refused(place, RIDER_E_PERMISSION, "is a symbolic link");
    assert_int_equal(unlink(place->file), 0);
    assert_int_equal(mkfifo(place->file, 0600), 0);
    assert_refused(place, RIDER_E_PERMISSION, "is not a regular file");
}

static void refuses_a_missing_directory(void **state)
{
    struct rider_error err = {0};

    (void)state;
    assert_int_equal(plugin_file_open("/nonexistent", "good", &err), RIDER_E_NOT_FOUND);
    assert_non_null(strstr(err.text, "adapter directory \"/nonexistent\""));
}

static void types_are_plain_names(void **state)
{
    static const char *const bad[] = {"", "../x", "a/b", "A", "a.b", "a b", "\xc3\xa9"};
    struct rider_error err = {0};
    char type[PLUGIN_TYPE_MAX + 1];

    (void)state;
    assert_int_equal(plugin_file_check_type("my_adapter-2", &err), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(plugin_file_check_type(bad[i], &err), RIDER_E_CONFIG);
    }
    assert_int_equal(plugin_file_type_of("postrider-x-1.so", type, &err), 0);
    assert_string_equal(type, "x-1");
    assert_int_equal(plugin_file_type_of("postrider-X.so", type, &err), RIDER_E_CONFIG);
    assert_int_equal(plugin_file_type_of("postrider-.so", type, &err), RIDER_E_CONFIG);
    assert_int_equal(plugin_file_type_of("libx.so", type, &err), RIDER_E_NOT_FOUND);
    assert_int_equal(plugin_file_type_of("postrider-.s", type, &err),
                     RIDER_E_NOT_FOUND);
}

static void limits_the_length_of_a_type(void **state)
{
    char name[PLUGIN_TYPE_MAX + 32];
    char type[PLUGIN_TYPE_MAX + 1];

    (void)state;
    for (int len = PLUGIN_TYPE_MAX; len <= PLUGIN_TYPE_MAX + 2; len++) {
        char letters[PLUGIN_TYPE_MAX + 3] = "";

        memset(letters, 'a', (size_t)len);
        (void)snprintf(name, sizeof(name), "postrider-%s.so", letters);
        assert_int_equal(plugin_file_type_of(name, type, NULL),
                         len <= PLUGIN_TYPE_MAX ? 0 : RIDER_E_CONFIG);
    }
}

static void count_refused(void *arg, const char *file_name,
                          const struct publisher_vtable *vt, const char *reason)
{
    int *n = arg;

    assert_string_equal(file_name, "postrider-good.so");
    assert_null(vt);
    assert_non_null(strstr(reason, "could not load it"));
    assert_null(strstr(reason, "/proc/"));
    (*n)++;
}

static void the_registry_lists_what_it_refuses(void **state)
{
    const struct place *place = *state;
    RIDER_CLEANUP_PTR(plugin_registry_destroy) struct plugin_registry *reg = NULL;
    struct rider_error err = {0};
    const struct publisher_vtable *vt = NULL;
    int n = 0;

    assert_int_equal(plugin_registry_create(place->dir, &reg, &err), 0);
    assert_int_equal(plugin_registry_list(reg, count_refused, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(plugin_registry_get(reg, "../good", &vt, &err), RIDER_E_CONFIG);
    assert_int_equal(plugin_registry_get(reg, "good", &vt, &err), RIDER_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opens_a_good_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_writable_by_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_a_strangers_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_links_and_pipes, set_up, tear_down),
        cmocka_unit_test(refuses_a_missing_directory),
        cmocka_unit_test(types_are_plain_names),
        cmocka_unit_test(limits_the_length_of_a_type),
        cmocka_unit_test_setup_teardown(the_registry_lists_what_it_refuses, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
