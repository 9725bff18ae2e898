/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_webhook_tls.c - a name finds its files, and nothing outside the folder.
 */
#include "webhook/webhook_tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/webhook_tls_XXXXXX";
static const char *const files[] = {"shop.ca.pem", "shop.cert.pem", "shop.key.pem",
                                    "half.cert.pem"};

static void path_of(const char *name, char ret[128])
{
    (void)snprintf(ret, 128, "%s/%s", folder, name);
}

static int make_folder(void **state)
{
    char path[128];

    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        path_of(files[i], path);
        FILE *file = fopen(path, "we");

        if (file == NULL || fclose(file) != 0) {
            return -1;
        }
    }
    return 0;
}

static int drop_folder(void **state)
{
    char path[128];

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        path_of(files[i], path);
        (void)unlink(path);
    }
    return rmdir(folder);
}

static const char *find(const char *where, const char *ca, const char *cert,
                        struct webhook_tls *ret, const char **ret_member)
{
    const struct rider_target target = {.struct_size = sizeof(target),
                                        .ca_ref = {ca, strlen(ca)},
                                        .cert_ref = {cert, strlen(cert)}};

    return webhook_tls_find(where, &target, ret, ret_member);
}

static void finds_files(void **state)
{
    struct webhook_tls tls;
    const char *member = NULL;
    char path[128];

    (void)state;
    assert_null(find(NULL, "", "", &tls, &member));
    assert_string_equal(tls.ca, "");
    assert_string_equal(tls.cert, "");
    assert_null(find(folder, "shop", "", &tls, &member));
    path_of("shop.ca.pem", path);
    assert_string_equal(tls.ca, path);
    assert_string_equal(tls.cert, "");
    assert_null(find(folder, "shop", "shop", &tls, &member));
    path_of("shop.key.pem", path);
    assert_string_equal(tls.key, path);
}

static void refused(const char *where, const char *ca, const char *cert,
                    const char *member_expected, const char *says)
{
    struct webhook_tls tls;
    const char *member = NULL;
    const char *reason = find(where, ca, cert, &tls, &member);

    assert_non_null(reason);
    assert_string_equal(member, member_expected);
    if (strstr(reason, says) == NULL) {
        fail_msg("\"%s\" is not in: %s", says, reason);
    }
}

static void names_what_is_missing(void **state)
{
    char long_name[WEBHOOK_TLS_NAME_MAX + 2];

    (void)state;
    memset(long_name, 'a', sizeof(long_name));
    long_name[sizeof(long_name) - 1] = '\0';
    refused(NULL, "shop", "", "ca_ref", "tls_folder is not set");
    refused(NULL, "", "shop", "cert_ref", "tls_folder is not set");
    refused(folder, "other", "", "ca_ref", "NAME.ca.pem");
    refused(folder, "shop", "other", "cert_ref", "NAME.cert.pem");
    refused(folder, "", "half", "cert_ref", "NAME.key.pem");
    refused(folder, "../shop", "", "ca_ref", "letters");
    refused(folder, "a/b", "", "ca_ref", "letters");
    refused(folder, "shop.", "", "ca_ref", "letters");
    refused(folder, "", "sh\xc3\xb6p", "cert_ref", "letters");
    refused(folder, long_name, "", "ca_ref", "letters");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_files),
        cmocka_unit_test(names_what_is_missing),
    };

    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
