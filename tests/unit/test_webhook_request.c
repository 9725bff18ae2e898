/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_webhook_request.c - what is sent, what never is, what is refused.
 */
#include "webhook/webhook_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

/* A braced initialiser, and the same as a value. */
#define INIT(text)               \
    {                            \
        (text), sizeof(text) - 1 \
    }
#define BYTES(text) ((struct rider_bytes)INIT(text))
#define NOW         INT64_C(1614265330)

static struct webhook_signers signers;

static int make_signers(void **state)
{
    static const char *const secrets[] = {"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                                          "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"};
    struct rider_key key;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        if (rider_key_parse(secrets[i], 0, &key) != RIDER_SIGNATURE_OK ||
            rider_signer_create(&key, &signers.list[i]) != RIDER_SIGNATURE_OK) {
            return -1;
        }
    }
    signers.n = 2;
    return 0;
}

static int drop_signers(void **state)
{
    (void)state;
    rider_signer_destroy(signers.list[0]);
    rider_signer_destroy(signers.list[1]);
    return 0;
}

static struct rider_event event_of(void)
{
    return (struct rider_event){
        .struct_size = sizeof(struct rider_event),
        .id = BYTES("msg_p5jXN8AQM9LWM0D4loKWxJek"),
        .body = BYTES("{\"test\": 2432232314}"),
        .content_type = BYTES("application/json"),
    };
}

/** The value of the one line with this name, NULL for none. */
static const char *value_of(const struct curl_slist *list, const char *name)
{
    const char *found = NULL;

    for (; list != NULL; list = list->next) {
        size_t len = strlen(name);

        if (strncmp(list->data, name, len) == 0 && list->data[len] == ':') {
            assert_null(found);
            found = list->data + len + 2;
        }
    }
    return found;
}

static struct curl_slist *build(const struct rider_event *event)
{
    struct curl_slist *list = NULL;
    struct rider_result refusal = {.reason = ""};

    assert_int_equal(webhook_request_build(event, &signers, NOW, &list, &refusal), 0);
    return list;
}

static void refused(const struct rider_event *event)
{
    struct curl_slist *list = NULL;
    struct rider_result refusal = {0};

    assert_int_equal(webhook_request_build(event, &signers, NOW, &list, &refusal), -1);
    assert_null(list);
    assert_int_equal(refusal.outcome, RIDER_REJECTED);
    assert_int_equal(refusal.cause, RIDER_CAUSE_INVALID_PAYLOAD);
    assert_non_null(refusal.reason);
}

static void standard_headers(void **state)
{
    const struct rider_event event = event_of();
    struct curl_slist *list = build(&event);
    const char *signature = value_of(list, "webhook-signature");

    (void)state;
    assert_string_equal(value_of(list, "webhook-id"), "msg_p5jXN8AQM9LWM0D4loKWxJek");
    assert_string_equal(value_of(list, "webhook-timestamp"), "1614265330");
    assert_string_equal(value_of(list, "Content-Type"), "application/json");
    /* The current secret's entry first, one space, the older one's. */
    assert_int_equal(
        strncmp(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,", 51),
        0);
    assert_int_equal(strlen(signature), 47 + 1 + 47);
    curl_slist_free_all(list);
}

static void bodies(void **state)
{
    static const struct rider_bytes bad[] = {
        INIT(""),
        INIT("\xff\xfe{}"),
        INIT("\xc0\x80"),
        INIT("\xe2\x82"),
        INIT("\xed\xa0\x80"),
        INIT("\xf4\x90\x80\x80"),
        INIT("\xc3("),
        INIT("\xf0\x80\x80\x80"),
        INIT("\x80"),
        INIT("\xe0\x80\x80"),
        INIT("\xf5\x80\x80\x80"),
    };
    struct rider_event event = event_of();

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        event.body = bad[i];
        refused(&event);
    }
    event.body = BYTES("{\"n\":\"\xc5\x81\xc3\xb3\xf0\x9f\xa6\x80\xed\x9f\xbf\"}");
    curl_slist_free_all(build(&event));
}

static void writers_headers(void **state)
{
    const struct rider_header headers[] = {
        {BYTES("traceparent"),
         BYTES("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")},
        {BYTES("tenant"), BYTES("internal")},
        {BYTES("Authorization"), BYTES("Bearer internal")},
        {BYTES("webhook-id"), BYTES("forged")},
        {BYTES("Host"), BYTES("forged")},
        {BYTES("X-Event-Region"), BYTES("eu")},
    };
    struct rider_event event = event_of();

    (void)state;
    event.headers = headers;
    event.n_headers = sizeof(headers) / sizeof(headers[0]);
    struct curl_slist *list = build(&event);

    assert_non_null(value_of(list, "traceparent"));
    assert_string_equal(value_of(list, "X-Event-Region"), "eu");
    assert_null(value_of(list, "tenant"));
    assert_null(value_of(list, "Authorization"));
    assert_null(value_of(list, "Host"));
    assert_string_equal(value_of(list, "webhook-id"), "msg_p5jXN8AQM9LWM0D4loKWxJek");
    curl_slist_free_all(list);
}

static void injection(void **state)
{
    static const struct rider_header bad[] = {
        {INIT("x-event-a"), INIT("a\r\nHost: b")},
        {INIT("x-event-a"), INIT("a\nb")},
        {INIT("x-event-a"), INIT("a\0b")},
        {INIT("x-event-a"), INIT("\xc3\xbc")},
        {INIT("x-event-a b"), INIT("c")},
        {INIT("x-event-a:"), INIT("c")},
        {INIT("x-event-\r\nHost"), INIT("c")},
        {INIT("x-event-\0"), INIT("c")},
    };
    struct rider_event event = event_of();

    (void)state;
    event.n_headers = 1;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        event.headers = &bad[i];
        refused(&event);
    }
    event = event_of();
    event.content_type = BYTES("application/json\r\nX: y");
    refused(&event);
    event = event_of();
    event.id = BYTES("a.b");
    refused(&event);
    event.id = BYTES("a\0b");
    refused(&event);
    event.id = BYTES("");
    refused(&event);
}

static void custom_headers(void **state)
{
    static const struct rider_header reserved[] = {
        {INIT("webhook-signature"), INIT("v1,x")},
        {INIT("Webhook-Id"), INIT("x")},
        {INIT("HOST"), INIT("x")},
        {INIT("Content-Length"), INIT("0")},
        {INIT("transfer-encoding"), INIT("chunked")},
        {INIT("Connection"), INIT("close")},
        {INIT("ce-id"), INIT("x")},
    };
    const struct rider_header good = {BYTES("X-Api-Key"), BYTES("k")};
    struct rider_target target = {.struct_size = sizeof(target), .n_headers = 1};
    struct rider_event event = event_of();

    (void)state;
    event.target = &target;
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        target.headers = &reserved[i];
        refused(&event);
    }
    target.headers = &good;
    struct curl_slist *list = build(&event);

    assert_string_equal(value_of(list, "X-Api-Key"), "k");
    curl_slist_free_all(list);
}

static void cloud_event_attributes(void **state)
{
    const struct rider_header attributes[] = {
        {BYTES("id"), BYTES("e1")},
        {BYTES("subject"), BYTES("Euro \xe2\x82\xac \"100%\"")},
    };
    struct rider_event event = event_of();

    (void)state;
    event.attributes = attributes;
    event.n_attributes = 2;
    struct curl_slist *list = build(&event);

    assert_string_equal(value_of(list, "ce-id"), "e1");
    assert_string_equal(value_of(list, "ce-subject"),
                        "Euro%20%E2%82%AC%20%22100%25%22");
    curl_slist_free_all(list);
}

static void a_trial_says_so(void **state)
{
    struct rider_target target = {.struct_size = sizeof(target),
                                  .flags = RIDER_TARGET_TEST};
    struct rider_event event = event_of();

    (void)state;
    event.target = &target;
    struct curl_slist *list = build(&event);

    assert_string_equal(value_of(list, "webhook-test"), "true");
    curl_slist_free_all(list);
    /* An older host: what lies behind its struct is not the target's. */
    target.struct_size = offsetof(struct rider_target, timeout_ms);
    list = build(&event);
    assert_null(value_of(list, "webhook-test"));
    curl_slist_free_all(list);
}

static void custom_headers_can_be_checked_alone(void **state)
{
    const struct rider_header headers[] = {{BYTES("X-Api-Key"), BYTES("k")},
                                           {BYTES("X-Empty"), BYTES("")},
                                           {BYTES("X-Bad"), BYTES("a\r\nX-Evil: 1")},
                                           {BYTES("WEBHOOK-TEST"), BYTES("true")}};

    (void)state;
    assert_null(webhook_request_check_headers(NULL, 0));
    assert_null(webhook_request_check_headers(headers, 2));
    assert_non_null(strstr(webhook_request_check_headers(headers, 3), "value"));
    assert_non_null(strstr(webhook_request_check_headers(headers + 3, 1), "reserved"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standard_headers),
        cmocka_unit_test(bodies),
        cmocka_unit_test(writers_headers),
        cmocka_unit_test(injection),
        cmocka_unit_test(custom_headers),
        cmocka_unit_test(cloud_event_attributes),
        cmocka_unit_test(a_trial_says_so),
        cmocka_unit_test(custom_headers_can_be_checked_alone),
    };

    return cmocka_run_group_tests(tests, make_signers, drop_signers);
}
