/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_webhook_settings.c - the section `webhooks`, the rules of destinations with
 * subscriptions, and the key ring of a configuration.
 */
#include "daemon/configuration.h"
#include "postrider/publisher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE "source: {dsn: dbname=x}\n"
#define ROUTE  "routes: [{to: [a, b]}]\n"
#define PLAIN  "  - {name: b, adapter: demo}\n"
#define RING   "webhooks: {key_ring: /etc/keys}\n"
#define KEY_A  "1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
#define SECRET "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
/* Published by the library tests of Standard Webhooks. */
#define SIGNING                                                                     \
    "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ" \
    "6p9lMicMFs6Kvg=="

/* "many" serves subscriptions, others do not. No options. */
static int lookup(void *arg, const char *adapter_dir, const char *type,
                  struct adapter_options *ret, struct rider_error *err)
{
    (void)arg;
    (void)adapter_dir;
    (void)err;
    *ret = (struct adapter_options){
        .caps = strcmp(type, "many") == 0 ? RIDER_CAP_SUBSCRIPTIONS : 0};
    return 0;
}

struct result {
    struct settings *settings;
    struct buf problems;
    int rc;
};

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void read_text(struct result *r, const char *text)
{
    const struct settings_load load = {
        .path = "p.yaml", .default_adapter_dir = "/lib/x", .lookup = lookup};
    struct rider_error err;

    write_file("p.yaml", text, 0600);
    *r = (struct result){.problems = buf_make(1 << 16)};
    r->rc = settings_read(&load, &r->settings, &r->problems, &err);
}

static void end(struct result *r)
{
    settings_destroy(r->settings);
    buf_done(&r->problems);
}

static const struct {
    const char *text, *problems;
} bad_files[] = {
    {SOURCE "webhooks: {key_ring: keys, signing_key: whsk_AAAA, ring: 1}\n",
     "p.yaml:2:22: webhooks.key_ring: expected an absolute path, got \"keys\"\n"
     "p.yaml:2:41: webhooks.signing_key: expected \"whsk_\" and 32 or 64 bytes in "
     "padded base64\n"
     "p.yaml:2:52: webhooks.ring: unrecognized key\n"},
    {SOURCE "webhooks:\n  signing_key: whsec_" SECRET "\n",
     "p.yaml:3:16: webhooks.signing_key: expected \"whsk_\" and 32 or 64 bytes in "
     "padded base64\n"},
    {SOURCE "webhooks:\n  signing_key: " SECRET "\n",
     "p.yaml:3:16: webhooks.signing_key: expected \"whsk_\" and 32 or 64 bytes in "
     "padded base64\n"},
    {SOURCE "webhooks:\n  signing_key_file: /dev/null\n",
     "p.yaml:3:21: webhooks.signing_key_file: \"/dev/null\" is not a regular file\n"},
    {SOURCE
     "destinations:\n  - {name: a, adapter: many, subscriptions: true}\n" PLAIN ROUTE,
     "p.yaml:3:45: destinations[0].subscriptions: \"webhooks.key_ring\" is missing: "
     "the "
     "keys that encrypt the secrets of subscriptions\n"},
    {SOURCE "destinations:\n  - name: a\n    adapter: one\n    subscriptions: true\n"
            "    partitions: 2\n    ordering: key\n    dead_letter: b\n" PLAIN ROUTE,
     "p.yaml:5:20: destinations[0].subscriptions: adapter \"one\" has no "
     "subscriptions\n"
     "p.yaml:5:20: destinations[0].subscriptions: \"webhooks.key_ring\" is missing: "
     "the "
     "keys that encrypt the secrets of subscriptions\n"
     "p.yaml:6:17: destinations[0].partitions: a destination with subscriptions is not "
     "split\n"
     "p.yaml:7:15: destinations[0].ordering: each subscription has an ordering of its "
     "own\n"
     "p.yaml:8:18: destinations[0].dead_letter: a destination with subscriptions has "
     "no dead_letter: its dead deliveries wait for their subscriptions\n"},
    {SOURCE RING "destinations:\n  - {name: a, adapter: many, subscriptions: true}\n"
                 "  - {name: b, adapter: demo, dead_letter: a}\n" ROUTE,
     "p.yaml:5:43: destinations[1].dead_letter: destination \"a\" has subscriptions: "
     "dead letters go to one receiver\n"},
};

static void mistakes_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
        struct result r;

        read_text(&r, bad_files[i].text);
        assert_string_equal(buf_text(&r.problems), bad_files[i].problems);
        assert_int_equal(r.rc, RIDER_E_CONFIG);
        end(&r);
    }
}

static void values_and_defaults(void **state)
{
    struct result r;
    (void)state;

    read_text(&r,
              SOURCE "webhooks: {key_ring: /etc/keys, signing_key: \"" SIGNING "\"}\n");
    assert_int_equal(r.rc, 0);
    assert_string_equal(r.settings->webhooks.key_ring, "/etc/keys");
    assert_string_equal(r.settings->webhooks.signing_key, SIGNING);
    end(&r);
    read_text(&r, SOURCE);
    assert_null(r.settings->webhooks.key_ring);
    assert_null(r.settings->webhooks.signing_key);
    end(&r);
}

/* A change of what all subscriptions share is a change of their destination. */
static void fingerprints(void **state)
{
    static const char *const webhooks[] = {"{key_ring: /a}", "{key_ring: /b}",
                                           "{key_ring: /a, signing_key: \"" SIGNING
                                           "\"}"};
    uint64_t with[3], without[3];
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        struct buf text = buf_make(4096);
        struct result r;

        buf_printf(&text,
                   SOURCE
                   "webhooks: %s\ndestinations:\n"
                   "  - {name: a, adapter: many, subscriptions: true}\n" PLAIN ROUTE,
                   webhooks[i]);
        read_text(&r, buf_text(&text));
        assert_string_equal(buf_text(&r.problems), "");
        with[i] = r.settings->destinations[0].fingerprint;
        without[i] = r.settings->destinations[1].fingerprint;
        end(&r);
        buf_done(&text);
    }
    assert_true(with[0] != with[1] && with[0] != with[2] && with[1] != with[2]);
    assert_true(without[0] == without[1] && without[0] == without[2]);
}

static char folder[] = "/tmp/postrider-webhooks-XXXXXX";

/* Reads a file that names folder/keys; what it says goes to `problems`. */
static struct configuration *configuration_of(bool no_adapters, struct buf *problems)
{
    struct configuration_source source = {.path = "p.yaml", .no_adapters = no_adapters};
    struct configuration *ret = NULL;
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    char text[256];

    (void)snprintf(text, sizeof(text), SOURCE "webhooks: {key_ring: %s/keys}\n",
                   folder);
    write_file("p.yaml", text, 0600);
    buf_reset(problems);
    int rc = configuration_read(&source, &ret, problems, &err);

    assert_true(rc == 0 || strstr(err.text, "webhooks.key_ring: ") == err.text);
    assert_true((rc == 0) == (ret != NULL));
    return ret;
}

static void ring_of_a_configuration(void **state)
{
    struct buf problems = buf_make(4096);
    (void)state;

    assert_null(configuration_of(false, &problems));
    assert_non_null(
        strstr(buf_text(&problems), "p.yaml: webhooks.key_ring: could not"));
    write_file("keys", KEY_A "2\n", 0600);
    assert_null(configuration_of(false, &problems));
    assert_non_null(strstr(buf_text(&problems), "/keys:2: a key is 32 bytes"));

    struct configuration *c = configuration_of(true, &problems);
    assert_null(c->key_ring);
    configuration_unref(c);
    write_file("keys", KEY_A, 0600);
    c = configuration_of(false, &problems);
    assert_int_equal(key_ring_current(c->key_ring), 1);
    configuration_unref(c);
    buf_done(&problems);
}

static int enter_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int leave_folder(void **state)
{
    (void)state;
    return unlink("p.yaml") != 0 || unlink("keys") != 0 || chdir("/") != 0 ||
           rmdir(folder) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(values_and_defaults),
        cmocka_unit_test(fingerprints),
        cmocka_unit_test(ring_of_a_configuration),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
