/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_jwks.c - the published key: RFC 8037 appendix A, and the pair that Standard
 * Webhooks libraries test with.
 */
#include "webhooks/jwks.h"

#include "postrider/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void assert_document(const char *signing_key, const char *expected)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct buf out = buf_make(4096);

    assert_int_equal(webhook_keys_write(signing_key, &out, &err), 0);
    assert_string_equal(buf_text(&out), expected);
    buf_done(&out);
}

/* The seed of A.1, x of A.2 and kid of A.3. */
static void key_of_the_rfc(void **state)
{
    (void)state;
    assert_document(
        "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\","
        "\"use\":\"sig\",\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\","
        "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\","
        "\"whpk\":\"whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"}]}");
}

/* A wrong public half in the text changes nothing: signing takes the seed. */
static void pair_of_the_libraries(void **state)
{
    static const char *const texts[] = {
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ"
        "6p9lMicMFs6Kvg==",
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbcAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAA==",
        "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc="};
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct buf out = buf_make(4096);

        assert_int_equal(webhook_keys_write(texts[i], &out, NULL), 0);
        assert_non_null(
            strstr(buf_text(&out),
                   "\"whpk\":\"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=\""));
        assert_non_null(strstr(
            buf_text(&out), "\"x\":\"1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4\""));
        assert_null(strstr(buf_text(&out), "6Xb"));
        buf_done(&out);
    }
}

static void without_a_key(void **state)
{
    static const char *const bad[] = {
        "", "whsk_AAAA", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="};
    (void)state;

    assert_document(NULL, "{\"keys\":[]}");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rider_error err = {.code = RIDER_OK, .text = ""};
        struct buf out = buf_make(4096);

        assert_int_equal(webhook_keys_write(bad[i], &out, &err), RIDER_E_CONFIG);
        assert_null(strstr(err.text, "MfKQ"));
        buf_done(&out);
    }
}

/* What a new key signs verifies with what is published of it. */
static void a_new_key(void **state)
{
    char text[WEBHOOK_KEY_SIZE], other[WEBHOOK_KEY_SIZE], whpk[50];
    char signature[RIDER_SIGNATURE_SIZE];
    struct buf out = buf_make(4096);
    struct rider_key secret, public;
    const struct rider_signed_message message = {"id", "1000", signature, "x", 1};
    (void)state;

    assert_int_equal(webhook_key_new(text, NULL), 0);
    assert_int_equal(webhook_key_new(other, NULL), 0);
    assert_string_not_equal(text, other);
    assert_int_equal(rider_key_parse(text, 0, &secret), RIDER_SIGNATURE_OK);
    assert_int_equal(secret.len, 64);
    assert_int_equal(webhook_keys_write(text, &out, NULL), 0);
    memcpy(whpk, strstr(buf_text(&out), "whpk_"), 49);
    whpk[49] = '\0';
    assert_int_equal(rider_key_parse(whpk, 0, &public), RIDER_SIGNATURE_OK);
    assert_memory_equal(public.bytes, secret.bytes + 32, 32);
    assert_int_equal(rider_signature_sign(&secret, "id", 1000, "x", 1, signature), 0);
    assert_int_equal(rider_signature_verify(&public, 1, &message, 1000, 0), 0);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_of_the_rfc),
        cmocka_unit_test(pair_of_the_libraries),
        cmocka_unit_test(without_a_key),
        cmocka_unit_test(a_new_key),
    };

    return cmocka_run_group_tests_name("jwks", tests, NULL, NULL);
}
