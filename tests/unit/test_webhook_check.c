/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_webhook_check.c - options that fit together, and targets before they are used.
 */
#include "webhook/webhook_check.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define URL    "https://example.com/"
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

/* A braced initialiser, and the same as a value. */
#define INIT(text)               \
    {                            \
        (text), sizeof(text) - 1 \
    }
#define BYTES(text) ((struct rider_bytes)INIT(text))

static void an_older_host_has_no_subscriptions(void **state)
{
    struct rider_host host = {.struct_size = sizeof(host),
                              .flags = RIDER_HOST_SUBSCRIPTIONS};

    (void)state;
    assert_true(webhook_has_subscriptions(&host));
    host.struct_size = offsetof(struct rider_host, flags);
    assert_false(webhook_has_subscriptions(&host));
    host = (struct rider_host){.struct_size = sizeof(host)};
    assert_false(webhook_has_subscriptions(&host));
}

/** The text that refuses the options, "" for none. */
static const char *refusal_of(const struct webhook_config *config, bool subscriptions)
{
    static char err[512];
    struct webhook_policy policy;

    err[0] = '\0';
    int rc = webhook_check_options(config, subscriptions, &policy, err, sizeof(err));

    assert_int_equal(rc != 0, err[0] != '\0');
    return err;
}

static void options_go_together(void **state)
{
    static char long_folder[1024];
    static const struct {
        struct webhook_config config;
        bool subscriptions;
        const char *says;
    } rows[] = {
        {{.url = URL, .secret = SECRET, .ports = "443"}, false, ""},
        {{.ports = "443"}, true, ""},
        {{.ports = "443"}, false, "url is missing"},
        {{.url = URL, .ports = "443"}, false, "secret is missing"},
        {{.secret = SECRET, .ports = "443"}, false, "url is missing"},
        {{.url = URL, .ports = "443"}, true, "url is not allowed"},
        {{.secret = SECRET, .ports = "443"}, true, "secret is not allowed"},
        {{.previous_secret = SECRET, .ports = "443"}, true, "previous_secret is not"},
        {{.url = "https://10.0.0.1/", .secret = SECRET, .ports = "443"},
         false,
         "private"},
        {{.cert_file = "/c", .ports = "443"}, true, "go together"},
        {{.key_file = "/k", .ports = "443"}, true, "go together"},
        {{.allow_cidrs = "10.0.0.1/8", .ports = "443"}, true, "allow_cidrs"},
        {{.tls_folder = long_folder, .ports = "443"}, true, "tls_folder is longer"},
    };

    (void)state;
    memset(long_folder, 'x', sizeof(long_folder) - 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *said = refusal_of(&rows[i].config, rows[i].subscriptions);

        if (rows[i].says[0] == '\0') {
            assert_string_equal(said, "");
        } else if (strstr(said, rows[i].says) == NULL) {
            fail_msg("\"%s\" is not in: %s", rows[i].says, said);
        }
    }
}

static struct rider_target target_of(struct rider_bytes url)
{
    static const struct rider_bytes secrets[] = {INIT(SECRET)};

    return (struct rider_target){.struct_size = sizeof(struct rider_target),
                                 .n_secrets = 1,
                                 .id = BYTES("sub_1"),
                                 .url = url,
                                 .secrets = secrets};
}

/** Judged with an exception for 10.1.0.0/16; literal addresses need no resolver. */
static int judge(const struct rider_target *target, struct rider_target_fault *ret)
{
    const struct webhook_config config = {.ports = "443,8443"};
    struct webhook_policy policy;
    char err[64];

    memset(ret, 0, sizeof(*ret));
    ret->struct_size = sizeof(*ret);
    assert_int_equal(
        webhook_policy_init(&policy, "10.1.0.0/16", config.ports, err, sizeof(err)), 0);
    return webhook_check_target(&config, &policy, target, ret);
}

static void refused(const struct rider_target *target, enum rider_cause cause,
                    const char *member)
{
    struct rider_target_fault fault;

    assert_int_equal(judge(target, &fault), -1);
    assert_int_equal(fault.cause, cause);
    assert_string_equal(fault.member, member);
    assert_non_null(memchr(fault.detail, '\0', sizeof(fault.detail)));
    assert_true(fault.detail[0] != '\0');
    assert_null(strstr(fault.detail, "T0KEN"));
}

static void urls(void **state)
{
    static const struct {
        struct rider_bytes url;
        enum rider_cause cause;
    } rows[] = {
        {INIT(""), RIDER_CAUSE_INVALID_PAYLOAD},
        {INIT("https://user:T0KEN@1.1.1.1/"), RIDER_CAUSE_INVALID_PAYLOAD},
        {INIT("https://1.1.1.1/T0KEN\0x"), RIDER_CAUSE_INVALID_PAYLOAD},
        {INIT("https://1.1.1.1/T0KEN#x"), RIDER_CAUSE_INVALID_PAYLOAD},
        {INIT("ftp://1.1.1.1/T0KEN"), RIDER_CAUSE_INVALID_PAYLOAD},
        {INIT("https://[fe80::1%25eth0]/"), RIDER_CAUSE_INVALID_PAYLOAD},
        {INIT("https://1.1.1.1:0/"), RIDER_CAUSE_INVALID_PAYLOAD},
        {INIT("http://1.1.1.1/T0KEN"), RIDER_CAUSE_TLS},
        {INIT("https://1.1.1.1:22/T0KEN"), RIDER_CAUSE_BLOCKED_ADDRESS},
        {INIT("https://10.2.0.1/T0KEN"), RIDER_CAUSE_BLOCKED_ADDRESS},
        {INIT("https://0xa9fea9fe/T0KEN"), RIDER_CAUSE_BLOCKED_ADDRESS},
        {INIT("https://[::ffff:7f00:1]/"), RIDER_CAUSE_BLOCKED_ADDRESS},
        {INIT("https://localhost/"), RIDER_CAUSE_BLOCKED_ADDRESS},
    };
    struct rider_target_fault fault;
    struct rider_target target;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        target = target_of(rows[i].url);
        refused(&target, rows[i].cause, "url");
    }
    target = target_of(BYTES("https://1.1.1.1:8443/hook"));
    assert_int_equal(judge(&target, &fault), 0);
    target = target_of(BYTES("https://10.1.2.3:9999/hook"));
    assert_int_equal(judge(&target, &fault), 0);
}

static void what_else_a_target_has(void **state)
{
    const struct rider_bytes short_secret[] = {INIT("whsec_dG9vc2hvcnQ=")};
    const struct rider_header reserved[] = {{BYTES("webhook-id"), BYTES("T0KEN")}};
    struct rider_target target = target_of(BYTES("https://1.1.1.1/"));
    struct rider_target_fault fault;

    (void)state;
    target.secrets = short_secret;
    refused(&target, RIDER_CAUSE_SECRET_UNDECRYPTABLE, "secrets");
    target.n_secrets = 0; /* only the rest is asked about */
    assert_int_equal(judge(&target, &fault), 0);
    target.headers = reserved;
    target.n_headers = 1;
    refused(&target, RIDER_CAUSE_INVALID_PAYLOAD, "headers");
    target.n_headers = 0;
    target.ca_ref = BYTES("shop");
    refused(&target, RIDER_CAUSE_TLS, "ca_ref");
    target.ca_ref.len = 0;
    target.cert_ref = BYTES("shop");
    refused(&target, RIDER_CAUSE_TLS, "cert_ref");
    /* An older host: these members are not its own. */
    target.struct_size = offsetof(struct rider_target, timeout_ms);
    assert_int_equal(judge(&target, &fault), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_older_host_has_no_subscriptions),
        cmocka_unit_test(options_go_together),
        cmocka_unit_test(urls),
        cmocka_unit_test(what_else_a_target_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
