/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_api_auth.c - token files: what they may hold, and that they may change.
 */
#include "api/api_auth.h"
#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* printf %s alpha | sha256sum, and of beta */
#define ALPHA "8ed3f6ad685b959ead7022518e1af76cd816f8e8ec7ccdda1ed4018e8f2223f8"
#define BETA  "f44e64e75f3948e9f73f8dfa94721c4ce8cbb4f265c4790c702b2d41cfbf2753"

struct file {
    char path[64];
};

static int set_up(void **state)
{
    struct file *file = calloc(1, sizeof(*file));

    assert_non_null(file);
    (void)snprintf(file->path, sizeof(file->path), "/tmp/test_api_auth.XXXXXX");
    int fd = mkstemp(file->path);
    assert_true(fd >= 0);
    (void)close(fd);
    *state = file;
    return 0;
}

static int tear_down(void **state)
{
    struct file *file = *state;

    (void)unlink(file->path);
    free(file);
    return 0;
}

/* The size differs each time, so that a change shows within one tick of the clock. */
static void write_file(const struct file *file, const char *text)
{
    FILE *out = fopen(file->path, "we");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static struct api_auth *open_file(const struct file *file, const char *text)
{
    struct rider_error err = {.text = ""};
    struct api_auth *auth = NULL;

    write_file(file, text);
    if (api_auth_create(file->path, &auth, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return auth;
}

static void tokens_are_known_by_their_digest(void **state)
{
    struct api_auth *auth = open_file(*state, "# who scope sha256\n\n"
                                              "dash read " ALPHA "\n"
                                              "\tdeploy@ci  read,write  " BETA "\r\n");
    struct api_principal who;

    assert_true(api_auth_check(auth, "Bearer alpha", &who));
    assert_string_equal(who.name, "dash");
    assert_int_equal(who.scopes, API_READ | API_WEBHOOKS_READ);
    assert_true(api_auth_check(auth, "bearer beta", &who));
    assert_string_equal(who.name, "deploy@ci");
    assert_int_equal(who.scopes,
                     API_READ | API_WRITE | API_WEBHOOKS_READ | API_WEBHOOKS_WRITE);
    api_auth_destroy(auth);
}

static void scopes_of_subscriptions_stay_there(void **state)
{
    struct api_auth *auth = open_file(*state, "a webhooks.read " ALPHA "\n"
                                              "b read,webhooks.write " BETA "\n");
    struct api_principal who;

    assert_true(api_auth_check(auth, "Bearer alpha", &who));
    assert_int_equal(who.scopes, API_WEBHOOKS_READ);
    assert_true(api_auth_check(auth, "Bearer beta", &who));
    assert_int_equal(who.scopes, API_READ | API_WEBHOOKS_READ | API_WEBHOOKS_WRITE);
    api_auth_destroy(auth);
}

static void anything_else_is_refused(void **state)
{
    static const char *const headers[] = {NULL,
                                          "",
                                          "Bearer",
                                          "Bearer ",
                                          "Bearer alph",
                                          "Bearer alpha ",
                                          "alpha",
                                          "Basic alpha",
                                          "Bearer  alpha",
                                          ("Bearer " ALPHA),
                                          "Bearer ALPHA",
                                          "Bearerx",
                                          "Bearer alphabeta"};
    struct api_auth *auth = open_file(*state, "dash read " ALPHA "\n");
    struct api_principal who;

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (api_auth_check(auth, headers[i], &who)) {
            fail_msg("accepted: %s", headers[i] == NULL ? "nothing" : headers[i]);
        }
    }
    api_auth_destroy(auth);
}

static void a_bad_file_is_named_by_line(void **state)
{
    static const struct {
        const char *text, *problem;
    } cases[] = {
        {"", "names no principal"},
        {"# nothing\n", "names no principal"},
        {"dash read " ALPHA "\nx admin " BETA "\n", "line 2: the second word"},
        {"dash read,,write " ALPHA "\n", "line 1: the second word"},
        {"dash read, " ALPHA "\n", "line 1: the second word"},
        {"dash read alpha\n", "line 1: the third word"},
        {"dash read " ALPHA "0\n", "line 1: the third word"},
        {"dash read\n", "line 1: the third word"},
        {"dash\n", "line 1: the second word"},
        {"da/sh read " ALPHA "\n", "line 1: the name"},
        {"dash read " ALPHA " more\n", "fourth word"},
    };
    const struct file *file = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rider_error err = {.text = ""};
        struct api_auth *auth = NULL;

        write_file(file, cases[i].text);
        assert_int_equal(api_auth_create(file->path, &auth, &err), RIDER_E_CONFIG);
        if (strstr(err.text, cases[i].problem) == NULL) {
            fail_msg("expected \"%s\": %s", cases[i].problem, err.text);
        }
        assert_null(strstr(err.text, "alpha")); /* it could be a token */
    }
}

static void a_file_that_all_may_write_is_refused(void **state)
{
    const struct file *file = *state;
    struct rider_error err = {.text = ""};
    struct api_auth *auth = NULL;

    write_file(file, "dash read " ALPHA "\n");
    assert_int_equal(chmod(file->path, 0666), 0);
    assert_int_equal(api_auth_create(file->path, &auth, &err), RIDER_E_CONFIG);
    assert_non_null(strstr(err.text, "chmod"));
}

static void a_changed_file_counts_and_a_bad_one_does_not(void **state)
{
    struct api_auth *auth = open_file(*state, "dash read " ALPHA "\n");
    struct api_principal who;

    log_setup(LOG_ERROR_LEVEL, LOG_FORMAT_JSON);
    write_file(*state, "other read,write " BETA "\n");
    assert_false(api_auth_check(auth, "Bearer alpha", &who));
    assert_true(api_auth_check(auth, "Bearer beta", &who));
    write_file(*state, "nonsense\n");
    assert_true(api_auth_check(auth, "Bearer beta", &who));
    const struct file *file = *state;
    (void)unlink(file->path);
    assert_true(api_auth_check(auth, "Bearer beta", &who));
    write_file(*state, "back read " ALPHA "\n");
    assert_true(api_auth_check(auth, "Bearer alpha", &who));
    assert_string_equal(who.name, "back");
    api_auth_destroy(auth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tokens_are_known_by_their_digest, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(scopes_of_subscriptions_stay_there, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(anything_else_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bad_file_is_named_by_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_all_may_write_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_changed_file_counts_and_a_bad_one_does_not,
                                        set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
