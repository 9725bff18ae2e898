/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_receiver.c - new, repeated, old, forged and malformed deliveries. The
 * signed request is the one most Standard Webhooks libraries test with.
 */
#include "receiver/receiver.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
static const char body[] = "{\"test\": 2432232314}";
#define SIGNED_AT 1614265330

static const struct http_header signed_headers[] = {
    {"Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek"},
    {"Webhook-Timestamp", "1614265330"},
    {"Webhook-Signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
};

static struct http_request signed_request(void)
{
    return (struct http_request){
        .method = "POST",
        .path = "/hook",
        .remote = "127.0.0.1:1",
        .headers = signed_headers,
        .n_headers = 3,
        .body = body,
        .body_len = sizeof(body) - 1,
    };
}

static int set_up(void **state)
{
    struct receiver *receiver = NULL;
    struct rider_error err;
    struct rider_key key;

    assert_int_equal(rider_key_parse(secret, 0, &key), RIDER_SIGNATURE_OK);
    const struct receiver_options options = {
        .keys = &key, .n_keys = 1, .tolerance_s = 300, .remember = 10};
    assert_int_equal(receiver_create(&options, &receiver, &err), 0);
    *state = receiver;
    return 0;
}

static int tear_down(void **state)
{
    receiver_stop(*state);
    return 0;
}

static struct receiver_delivery judge(struct receiver *receiver,
                                      const struct http_request *req, int64_t now)
{
    struct http_response res = {.status = 200, .body = buf_make(1024)};
    struct receiver_delivery delivery = receiver_judge(receiver, req, now, &res);

    assert_int_equal(res.status, delivery.status);
    buf_done(&res.body);
    return delivery;
}

static void a_repeated_delivery_is_marked(void **state)
{
    const struct http_request req = signed_request();
    struct receiver_delivery delivery = judge(*state, &req, SIGNED_AT + 5);

    assert_int_equal(delivery.verdict, RECEIVER_ACCEPTED);
    assert_int_equal(delivery.status, 200);
    assert_string_equal(delivery.id, "msg_p5jXN8AQM9LWM0D4loKWxJek");
    assert_null(delivery.reason);
    delivery = judge(*state, &req, SIGNED_AT + 6);
    assert_int_equal(delivery.verdict, RECEIVER_DUPLICATE);
    assert_int_equal(delivery.status, 200);
}

static void time_is_checked_both_ways(void **state)
{
    const struct http_request req = signed_request();

    assert_int_equal(judge(*state, &req, SIGNED_AT + 301).status, 400);
    assert_int_equal(judge(*state, &req, SIGNED_AT - 301).status, 400);
    /* What was refused is not remembered. */
    assert_int_equal(judge(*state, &req, SIGNED_AT + 300).verdict, RECEIVER_ACCEPTED);
}

static void a_changed_body_is_refused(void **state)
{
    struct http_request req = signed_request();
    struct receiver_delivery delivery;

    req.body_len--;
    delivery = judge(*state, &req, SIGNED_AT);
    assert_int_equal(delivery.verdict, RECEIVER_REFUSED);
    assert_int_equal(delivery.status, 401);
    assert_non_null(delivery.reason);
    req.body_len++;
    assert_int_equal(judge(*state, &req, SIGNED_AT).verdict, RECEIVER_ACCEPTED);
}

static void a_missing_header_is_refused(void **state)
{
    struct http_request req = signed_request();

    req.n_headers = 2;
    assert_int_equal(judge(*state, &req, SIGNED_AT).status, 400);
    req.n_headers = 0;
    assert_int_equal(judge(*state, &req, SIGNED_AT).status, 400);
}

static void only_post_is_taken(void **state)
{
    struct http_request req = signed_request();

    req.method = "PUT";
    assert_int_equal(judge(*state, &req, SIGNED_AT).status, 405);
}

static void without_keys_only_the_id_counts(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(receiver_stop) struct receiver *receiver = NULL;
    const struct receiver_options options = {.remember = 10};
    struct http_request req = signed_request();
    char long_id[300];
    struct rider_error err;

    assert_int_equal(receiver_create(&options, &receiver, &err), 0);
    req.n_headers = 1;
    assert_int_equal(judge(receiver, &req, 0).verdict, RECEIVER_ACCEPTED);
    assert_int_equal(judge(receiver, &req, 0).verdict, RECEIVER_DUPLICATE);
    req.n_headers = 0;
    assert_int_equal(judge(receiver, &req, 0).status, 400);

    memset(long_id, 'x', sizeof(long_id) - 1);
    long_id[sizeof(long_id) - 1] = '\0';
    const struct http_header header = {"webhook-id", long_id};
    req.headers = &header;
    req.n_headers = 1;
    assert_int_equal(judge(receiver, &req, 0).status, 400);
}

static void check_answer(struct receiver *receiver, const struct http_request *req,
                         enum receiver_verdict verdict, const char *answer)
{
    struct http_response res = {.status = 0, .body = buf_make(1024)};
    const struct receiver_delivery delivery = receiver_judge(receiver, req, 0, &res);

    assert_true(delivery.test);
    assert_int_equal(delivery.verdict, verdict);
    assert_int_equal(res.status, 200);
    assert_string_equal(buf_text(&res.body), answer);
    buf_done(&res.body);
}

/* What it answers to a body with the header webhook-test, and to the same again. */
static void check_handshake(const char *text, const char *answer, const char *again)
{
    RIDER_CLEANUP_PTR(receiver_stop) struct receiver *receiver = NULL;
    const struct receiver_options options = {.remember = 10};
    const struct http_header headers[] = {{"webhook-id", "1"},
                                          {"webhook-test", "true"}};
    struct http_request req = signed_request();
    struct rider_error err;

    assert_int_equal(receiver_create(&options, &receiver, &err), 0);
    req.headers = headers;
    req.n_headers = 2;
    req.body = text;
    req.body_len = strlen(text);
    check_answer(receiver, &req, RECEIVER_ACCEPTED, answer);
    check_answer(receiver, &req, RECEIVER_DUPLICATE, again);
}

static void handshakes_are_agreed_to_each_time(void **state)
{
    const char *const others[] = {"{\"type\":\"postrider.test\",\"challenge\":\"a\"}",
                                  "{\"type\":\"verification\",\"challenge\":1}",
                                  "{\"type\":\"verification\"}", "verification"};

    (void)state;
    check_handshake("{\"type\":\"verification\",\"challenge\":\"a\\\"b\"}",
                    "{\"challenge\":\"a\\\"b\"}", "{\"challenge\":\"a\\\"b\"}");
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        check_handshake(others[i], "accepted\n", "duplicate\n");
    }
}

static void it_listens(void **state)
{
    (void)state;
    RIDER_CLEANUP_PTR(receiver_stop) struct receiver *receiver = NULL;
    const struct receiver_options options = {.listen = "127.0.0.1:0", .remember = 10};
    struct rider_error err;

    assert_int_equal(receiver_start(&options, &receiver, &err), 0);
    assert_int_equal(strncmp(receiver_address(receiver), "127.0.0.1:", 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_repeated_delivery_is_marked, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(time_is_checked_both_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_body_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_header_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_post_is_taken, set_up, tear_down),
        cmocka_unit_test(without_keys_only_the_id_counts),
        cmocka_unit_test(handshakes_are_agreed_to_each_time),
        cmocka_unit_test(it_listens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
