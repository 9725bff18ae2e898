/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_signature.c - published vectors, and each way to refuse a request.
 */
#include "postrider/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define BARE      "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OTHER     "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
#define ID        "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define BODY      "{\"test\": 2432232314}"
#define RIGHT     "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define WRONG     "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define EMPTY_KEY "v1,woH/1mJtZGSMCmpFTxRYbStS24eLLD/oXIYr4PYyZ7g="
#define WHEN      INT64_C(1614265330)
#define ED25519_SECRET                                       \
    "whsk_6Xb/dCcHpPea21PS1N9VY/"                            \
    "NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9l" \
    "MicMFs6Kvg=="

static struct rider_key key_of(const char *text)
{
    struct rider_key key;

    assert_int_equal(rider_key_parse(text, 1, &key), RIDER_SIGNATURE_OK);
    return key;
}

static struct rider_signed_message message_of(const char *signature)
{
    return (struct rider_signed_message){ID, "1614265330", signature, BODY,
                                         strlen(BODY)};
}

static int verify(const struct rider_signed_message *message, int64_t now)
{
    const struct rider_key key = key_of(SECRET);

    return (int)rider_signature_verify(&key, 1, message, now,
                                       RIDER_SIGNATURE_TOLERANCE);
}

static const char *text_of(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));

    assert_non_null(text);
    return text;
}

static void check_vector(const json_t *row)
{
    struct rider_key key;
    char out[RIDER_SIGNATURE_SIZE], seconds[32];
    const char *body = text_of(row, "body");
    int64_t when = json_integer_value(json_object_get(row, "timestamp"));
    struct rider_signed_message message = {.id = text_of(row, "id"),
                                           .timestamp = seconds,
                                           .signature = text_of(row, "signature"),
                                           .body = body,
                                           .body_len = strlen(body)};

    assert_int_equal(rider_key_parse(text_of(row, "secret"), 0, &key), 0);
    assert_int_equal(
        rider_signature_sign(&key, message.id, when, body, strlen(body), out), 0);
    assert_string_equal(out, message.signature);
    (void)snprintf(seconds, sizeof(seconds), "%lld", (long long)when);
    assert_int_equal(rider_signature_verify(&key, 1, &message, when, 0), 0);
}

static void vectors(void **state)
{
    FILE *file = fopen(TEST_DATA_DIR "/webhook-signatures.jsonl", "r");
    char line[4096];
    size_t n = 0;

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        json_t *row = json_loads(line, 0, NULL);

        assert_non_null(row);
        check_vector(row);
        json_decref(row);
        n++;
    }
    (void)fclose(file);
    assert_true(n >= 6);
}

static void ed25519_vector(void **state)
{
    struct rider_key secret = key_of(ED25519_SECRET);
    struct rider_key public =
        key_of("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=");
    char out[RIDER_SIGNATURE_SIZE], both[2 * RIDER_SIGNATURE_SIZE];

    (void)state;
    assert_int_equal(rider_signature_sign(&secret, ID, WHEN, BODY, strlen(BODY), out),
                     0);
    assert_string_equal(out,
                        "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymV"
                        "JaA7AZdpXwVLPo3mNl8EM+m7TBAg==");
    (void)snprintf(both, sizeof(both), "%s %s", WRONG, out);
    struct rider_signed_message message = message_of(both);

    assert_int_equal(rider_signature_verify(&public, 1, &message, WHEN, 300), 0);
    assert_int_equal(rider_signature_sign(&public, ID, WHEN, "", 0, out),
                     RIDER_SIGNATURE_NO_KEY);
    message.body = "{\"test\": 2432232315}";
    assert_int_equal(rider_signature_verify(&public, 1, &message, WHEN, 300),
                     RIDER_SIGNATURE_NO_MATCH);
}

static void key_rules(void **state)
{
    struct rider_key key;

    (void)state;
    assert_int_equal(rider_key_parse(NULL, 1, &key), RIDER_SIGNATURE_NO_KEY);
    assert_int_equal(rider_key_parse("", 1, &key), RIDER_SIGNATURE_NO_KEY);
    assert_int_equal(rider_key_parse(BARE, 0, &key), RIDER_KEY_BAD_PREFIX);
    assert_int_equal(rider_key_parse(BARE, 1, &key), RIDER_SIGNATURE_OK);
    assert_int_equal(key.len, 24);
    assert_int_equal(rider_key_parse("whsec_", 0, &key), RIDER_KEY_TOO_SHORT);
    assert_int_equal(rider_key_parse("whsec_c2hvcnQ=", 0, &key), RIDER_KEY_TOO_SHORT);
    assert_int_equal(key.kind, RIDER_KEY_NONE);
    /* URL-safe alphabet, missing padding, padding inside, stray bits, white space. */
    assert_int_equal(rider_key_parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_", 0, &key),
                     RIDER_KEY_NOT_BASE64);
    assert_int_equal(
        rider_key_parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAA", 0, &key),
        RIDER_KEY_NOT_BASE64);
    assert_int_equal(rider_key_parse("whsec_MfKQ9r8GKYqrTw==PD8ILPZIo2LaLaSw", 0, &key),
                     RIDER_KEY_NOT_BASE64);
    assert_int_equal(
        rider_key_parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAB==", 0, &key),
        RIDER_KEY_NOT_BASE64);
    assert_int_equal(rider_key_parse(SECRET "\n", 0, &key), RIDER_KEY_NOT_BASE64);
    char text[6 + 88 + 1] = "whsec_";

    memset(text + 6, 'q', 88); /* 66 bytes */
    assert_int_equal(rider_key_parse(text, 0, &key), RIDER_KEY_TOO_LONG);
    text[sizeof(text) - 2] = '=';
    text[sizeof(text) - 3] = 'o'; /* 65 bytes, unused bits zero */
    assert_int_equal(rider_key_parse(text, 0, &key), RIDER_KEY_TOO_LONG);
}

static void accepts(void **state)
{
    const struct rider_key keys[] = {key_of(OTHER), key_of(SECRET)};
    struct rider_signed_message message = message_of(WRONG " " RIGHT " " WRONG);

    (void)state;
    assert_int_equal(verify(&message, WHEN), 0);
    assert_int_equal(rider_signature_verify(keys, 2, &message, WHEN, 300), 0);
    const struct rider_key bare = key_of(BARE);

    assert_int_equal(rider_signature_verify(&bare, 1, &message, WHEN, 300), 0);
    message.signature = "v2,AAAA v1a,AAAA nonsense  " RIGHT;
    assert_int_equal(verify(&message, WHEN), 0);
    assert_int_equal(verify(&message, WHEN + 300), 0);
    assert_int_equal(verify(&message, WHEN - 300), 0);
    assert_int_equal(
        rider_signature_verify(&keys[1], 1, &message, 0, RIDER_SIGNATURE_ANY_TIME), 0);
}

static void refuses_time(void **state)
{
    static const char *const bad[] = {
        "hello", "1614265330.0", "+1614265330", " 1614265330",
        "-1",    "01614265330",  "1e9",         "9999999999999999999"};
    struct rider_signed_message message = message_of(RIGHT);

    (void)state;
    assert_int_equal(verify(&message, WHEN + 301), RIDER_SIGNATURE_TOO_OLD);
    assert_int_equal(verify(&message, WHEN - 301), RIDER_SIGNATURE_TOO_NEW);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        message.timestamp = bad[i];
        assert_int_equal(verify(&message, WHEN), RIDER_SIGNATURE_BAD_TIMESTAMP);
    }
}

static void refuses_signature(void **state)
{
    static const char *const wrong[] = {
        WRONG, "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE", "v1,g0hM9SsE",
        "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="};
    static const char *const malformed[] = {
        "v1,", "v1", ",", " ", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="};
    struct rider_signed_message message;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        message = message_of(wrong[i]);
        assert_int_equal(verify(&message, WHEN), RIDER_SIGNATURE_NO_MATCH);
    }
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        message = message_of(malformed[i]);
        assert_int_equal(verify(&message, WHEN), RIDER_SIGNATURE_MALFORMED);
    }
    message = message_of(RIGHT);
    message.body_len--;
    assert_int_equal(verify(&message, WHEN), RIDER_SIGNATURE_NO_MATCH);
    message = message_of(RIGHT);
    message.id = "msg_other";
    assert_int_equal(verify(&message, WHEN), RIDER_SIGNATURE_NO_MATCH);
    message.id = "msg.1";
    assert_int_equal(verify(&message, WHEN), RIDER_SIGNATURE_MALFORMED);
    assert_int_equal(rider_signature_verify(NULL, 0, &message, WHEN, 300),
                     RIDER_SIGNATURE_MALFORMED);
    message = message_of(RIGHT);
    message.body = "{\"test\": 2432232315}";
    assert_int_equal(verify(&message, WHEN), RIDER_SIGNATURE_NO_MATCH);
}

/* Nothing to verify with is no success, and nor is a secret of no bytes, with which
 * anybody can sign. */
static void refuses_empty_secrets(void **state)
{
    static const struct rider_key empty[] = {
        {.kind = RIDER_KEY_NONE},
        {.kind = RIDER_KEY_HMAC, .len = 0},
        {.kind = RIDER_KEY_HMAC, .len = 65},
        {.kind = RIDER_KEY_ED25519_PUBLIC, .len = 31},
        {.kind = 9, .len = 32}};
    struct rider_signed_message message = message_of(RIGHT);
    const struct rider_key good = key_of(SECRET);

    (void)state;
    assert_int_equal(rider_signature_verify(NULL, 0, &message, WHEN, 300),
                     RIDER_SIGNATURE_NO_KEY);
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        assert_int_equal(rider_signature_verify(&empty[i], 1, &message, WHEN, 300),
                         RIDER_SIGNATURE_NO_KEY);
    }
    /* HMAC-SHA256 with an empty key over the same text. */
    message.signature = EMPTY_KEY;
    assert_int_equal(rider_signature_verify(&empty[1], 1, &message, WHEN, 300),
                     RIDER_SIGNATURE_NO_KEY);
    assert_int_equal(rider_signature_verify(&good, 1, &message, WHEN, 300),
                     RIDER_SIGNATURE_NO_MATCH);
}

static void refuses_missing_headers(void **state)
{
    struct rider_signed_message message = message_of(NULL);

    (void)state;
    assert_int_equal(verify(&message, WHEN), RIDER_SIGNATURE_MISSING_HEADER);
    message = message_of("");
    assert_int_equal(verify(&message, WHEN), RIDER_SIGNATURE_MISSING_HEADER);
    message = message_of(RIGHT);
    message.timestamp = NULL;
    assert_int_equal(verify(&message, WHEN), RIDER_SIGNATURE_MISSING_HEADER);
    message = message_of(RIGHT);
    message.id = NULL;
    assert_int_equal(verify(&message, WHEN), RIDER_SIGNATURE_MISSING_HEADER);
}

static void tolerance_has_no_edge(void **state)
{
    const struct rider_key key = key_of(SECRET);
    const struct rider_signed_message message = message_of(RIGHT);

    (void)state;
    assert_int_equal(rider_signature_verify(&key, 1, &message, WHEN, INT64_MAX), 0);
    assert_int_equal(rider_signature_verify(&key, 1, &message, 0, INT64_MAX), 0);
    assert_int_equal(rider_signature_verify(&key, 1, &message, -1, INT64_MAX), 0);
    assert_int_equal(rider_signature_verify(&key, 1, &message, INT64_MAX, INT64_MAX),
                     0);
    assert_int_equal(rider_signature_verify(&key, 1, &message, INT64_MAX, 0),
                     RIDER_SIGNATURE_TOO_OLD);
    assert_int_equal(rider_signature_verify(&key, 1, &message, INT64_MIN, INT64_MAX),
                     RIDER_SIGNATURE_TOO_NEW);
    assert_int_equal(rider_signature_verify(&key, 1, &message, INT64_MIN, 0),
                     RIDER_SIGNATURE_TOO_NEW);
}

/** RIDER_SIGNATURE_OK or not, for `right` behind `n` entries like `wrong`. */
static enum rider_signature_status behind(const struct rider_key *key, int n,
                                          const char *wrong, const char *right)
{
    char header[32768] = "";
    struct rider_signed_message message = message_of(header);
    size_t used = 0;

    for (int i = 0; i < n; i++) {
        used += (size_t)snprintf(header + used, sizeof(header) - used, "%s ", wrong);
    }
    (void)snprintf(header + used, sizeof(header) - used, "%s", right);
    return rider_signature_verify(key, 1, &message, WHEN, 300);
}

/** Each v1a entry costs a pass over the body, and who sends many need not know a key. */
static void looks_at_so_many_entries(void **state)
{
    const struct rider_key shared = key_of(SECRET), pair = key_of(ED25519_SECRET);
    char right[RIDER_SIGNATURE_SIZE], wrong[RIDER_SIGNATURE_SIZE];

    (void)state;
    assert_int_equal(rider_signature_sign(&pair, ID, WHEN, BODY, strlen(BODY), right),
                     0);
    assert_int_equal(rider_signature_sign(&pair, ID, WHEN, "other", 5, wrong), 0);
    assert_int_equal(behind(&pair, RIDER_SIGNATURE_TRIES - 1, wrong, right), 0);
    assert_int_equal(behind(&pair, RIDER_SIGNATURE_TRIES, wrong, right),
                     RIDER_SIGNATURE_NO_MATCH);
    /* Others do not count, nor do those of v1, which cost nothing. */
    assert_int_equal(behind(&pair, 100, RIGHT, right), 0);
    assert_int_equal(behind(&shared, 300, wrong, RIGHT), 0);
}

static void signer_is_reusable(void **state)
{
    const struct rider_key key = key_of(SECRET);
    struct rider_signer *signer = NULL;
    char out[RIDER_SIGNATURE_SIZE];

    (void)state;
    assert_int_equal(rider_signer_create(&key, &signer), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rider_signer_sign(signer, ID, WHEN, "other", 5, out), 0);
        assert_string_not_equal(out, RIGHT);
        assert_int_equal(rider_signer_sign(signer, ID, WHEN, BODY, strlen(BODY), out),
                         0);
        assert_string_equal(out, RIGHT);
    }
    assert_int_equal(rider_signer_sign(signer, "a.b", WHEN, BODY, 1, out),
                     RIDER_SIGNATURE_MALFORMED);
    assert_int_equal(rider_signer_sign(signer, "", WHEN, BODY, 1, out),
                     RIDER_SIGNATURE_MALFORMED);
    assert_int_equal(rider_signer_sign(signer, "a\r\nb", WHEN, BODY, 1, out),
                     RIDER_SIGNATURE_MALFORMED);
    assert_int_equal(rider_signer_sign(signer, ID, -1, BODY, 1, out),
                     RIDER_SIGNATURE_BAD_TIMESTAMP);
    rider_signer_destroy(signer);
    rider_signer_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(ed25519_vector),
        cmocka_unit_test(key_rules),
        cmocka_unit_test(accepts),
        cmocka_unit_test(refuses_time),
        cmocka_unit_test(refuses_signature),
        cmocka_unit_test(refuses_empty_secrets),
        cmocka_unit_test(refuses_missing_headers),
        cmocka_unit_test(tolerance_has_no_edge),
        cmocka_unit_test(looks_at_so_many_entries),
        cmocka_unit_test(signer_is_reusable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
