/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_webhook_target.c - which addresses and URLs are let through.
 */
#include "webhook/webhook_target.h"
#include "webhook/webhook_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct webhook_policy policy_of(const char *cidrs)
{
    struct webhook_policy policy;
    char err[256] = "";

    assert_int_equal(webhook_policy_init(&policy, cidrs, "443,8443", err, sizeof(err)),
                     0);
    return policy;
}

static struct sockaddr_storage address_of(const char *text, uint16_t port)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
        memcpy(&storage, &in, sizeof(in));
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
        memcpy(&storage, &in6, sizeof(in6));
    }
    return storage;
}

static int judge(const struct webhook_policy *policy, const char *text, uint16_t port)
{
    struct sockaddr_storage storage = address_of(text, port);

    return (int)webhook_policy_judge(policy, (const struct sockaddr *)&storage, NULL);
}

static void refused_ranges(void **state)
{
    static const char *const forbidden[] = {"0.0.0.0",
                                            "0.1.2.3",
                                            "127.0.0.1",
                                            "127.255.255.255",
                                            "169.254.0.1",
                                            "169.254.169.254",
                                            "192.0.0.1",
                                            "192.0.0.192",
                                            "192.0.2.1",
                                            "192.88.99.1",
                                            "198.18.0.1",
                                            "198.19.255.255",
                                            "198.51.100.1",
                                            "203.0.113.1",
                                            "224.0.0.1",
                                            "239.255.255.255",
                                            "240.0.0.1",
                                            "255.255.255.255",
                                            "168.63.129.16",
                                            "100.100.100.200",
                                            "::",
                                            "::1",
                                            "::2",
                                            "::7f00:1",
                                            "::ffff:127.0.0.1",
                                            "::ffff:169.254.169.254",
                                            "::ffff:0:7f00:1",
                                            "64:ff9b::7f00:1",
                                            "64:ff9b:1::1",
                                            "100::1",
                                            "2001::1",
                                            "2001:1ff::1",
                                            "2001:db8::1",
                                            "2002:7f00:1::",
                                            "3fff::1",
                                            "5f00::1",
                                            "fe80::1",
                                            "febf::1",
                                            "fec0::1",
                                            "ff02::1",
                                            "fd00:ec2::254",
                                            "4000::1",
                                            "8000::1",
                                            "e000::1",
                                            "1000::1",
                                            "::fffe:1.2.3.4"};
    static const char *const private[] = {
        "10.0.0.1",    "10.255.255.255", "172.16.0.1",      "172.31.255.255",
        "192.168.0.1", "100.64.0.1",     "100.127.255.255", "fc00::1",
        "fdff::1",     "::ffff:10.0.0.1"};
    const struct webhook_policy policy = policy_of(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
        assert_int_equal(judge(&policy, forbidden[i], 443), WEBHOOK_ADDRESS_FORBIDDEN);
    }
    for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
        assert_int_equal(judge(&policy, private[i], 443), WEBHOOK_ADDRESS_PRIVATE);
    }
}

static void public_addresses(void **state)
{
    static const char *const public[] = {"1.1.1.1",
                                         "9.255.255.255",
                                         "11.0.0.0",
                                         "100.63.255.255",
                                         "100.128.0.0",
                                         "126.255.255.255",
                                         "128.0.0.1",
                                         "168.63.129.15",
                                         "172.15.255.255",
                                         "172.32.0.0",
                                         "192.0.1.0",
                                         "192.167.255.255",
                                         "198.17.255.255",
                                         "198.20.0.0",
                                         "223.255.255.255",
                                         "2001:200::1",
                                         "2001:4860:4860::8888",
                                         "2003::1",
                                         "2606:4700::1111",
                                         "::ffff:1.1.1.1"};
    const struct webhook_policy policy = policy_of(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++) {
        assert_int_equal(judge(&policy, public[i], 443), WEBHOOK_ADDRESS_OK);
        assert_int_equal(judge(&policy, public[i], 8443), WEBHOOK_ADDRESS_OK);
        assert_int_equal(judge(&policy, public[i], 80), WEBHOOK_ADDRESS_PORT);
        assert_int_equal(judge(&policy, public[i], 0), WEBHOOK_ADDRESS_PORT);
    }
}

static void exceptions(void **state)
{
    const struct webhook_policy narrow = policy_of("127.0.0.1, 10.1.0.0/16,fd00::/8");
    const struct webhook_policy wide = policy_of("0.0.0.0/0, ::/0");
    const struct webhook_policy cgnat = policy_of("100.64.0.0/10 169.254.0.0/16");

    (void)state;
    assert_int_equal(judge(&narrow, "127.0.0.1", 9999), WEBHOOK_ADDRESS_OK);
    assert_int_equal(judge(&narrow, "::ffff:127.0.0.1", 9999), WEBHOOK_ADDRESS_OK);
    assert_int_equal(judge(&narrow, "127.0.0.2", 9999), WEBHOOK_ADDRESS_FORBIDDEN);
    assert_int_equal(judge(&narrow, "10.1.255.255", 80), WEBHOOK_ADDRESS_OK);
    assert_int_equal(judge(&narrow, "10.2.0.0", 80), WEBHOOK_ADDRESS_PRIVATE);
    assert_int_equal(judge(&narrow, "fd12::1", 80), WEBHOOK_ADDRESS_OK);
    assert_int_equal(judge(&narrow, "fd00:ec2::254", 80), WEBHOOK_ADDRESS_FORBIDDEN);
    /* A wide block opens no special range. */
    assert_int_equal(judge(&wide, "127.0.0.1", 443), WEBHOOK_ADDRESS_FORBIDDEN);
    assert_int_equal(judge(&wide, "10.0.0.1", 443), WEBHOOK_ADDRESS_PRIVATE);
    assert_int_equal(judge(&wide, "::1", 443), WEBHOOK_ADDRESS_FORBIDDEN);
    assert_int_equal(judge(&wide, "fc00::1", 443), WEBHOOK_ADDRESS_PRIVATE);
    /* Nor does a range open a metadata address inside it. */
    assert_int_equal(judge(&cgnat, "100.64.0.1", 443), WEBHOOK_ADDRESS_OK);
    assert_int_equal(judge(&cgnat, "100.100.100.200", 443), WEBHOOK_ADDRESS_FORBIDDEN);
    assert_int_equal(judge(&cgnat, "169.254.169.254", 443), WEBHOOK_ADDRESS_FORBIDDEN);
    assert_int_equal(judge(&cgnat, "169.254.1.1", 443), WEBHOOK_ADDRESS_OK);
}

/** Each of them lies in a block that an operator may have good reason to open. */
static void metadata_needs_its_own_entry(void **state)
{
    static const char *const addresses[] = {
        "169.254.169.254",    "169.254.170.2",    "169.254.170.23", "169.254.42.42",
        "169.254.0.23",       "192.0.0.192",      "168.63.129.16",  "100.100.100.200",
        "fd00:ec2::254",      "fd00:ec2::23",     "fd20:ce::254",   "fd00:42::42",
        "fd00:c1::a9fe:a9fe", "fd00:a9fe:a9fe::1"};
    const struct webhook_policy blocks =
        policy_of("169.254.0.0/16, 192.0.0.0/24, 168.63.0.0/16, 100.64.0.0/10, "
                  "fd00::/8, fc00::/7, fd00::/16");

    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        const struct webhook_policy own = policy_of(addresses[i]);

        assert_int_equal(judge(&blocks, addresses[i], 443), WEBHOOK_ADDRESS_FORBIDDEN);
        assert_int_equal(judge(&own, addresses[i], 443), WEBHOOK_ADDRESS_OK);
    }
}

static int judge_own(const char *cidrs, const char *text, const struct webhook_own *own)
{
    const struct webhook_policy policy = policy_of(cidrs);
    struct sockaddr_storage storage = address_of(text, 443);

    return (int)webhook_policy_judge(&policy, (const struct sockaddr *)&storage, own);
}

static void add_own(struct webhook_own *own, const char *text)
{
    struct sockaddr_storage storage = address_of(text, 0);

    webhook_own_add(own, (const struct sockaddr *)&storage);
}

static void own_addresses(void **state)
{
    static const char *const rows[][3] = {
        /* the address, a block around it, an entry of its own */
        {"1.2.3.4", "1.2.3.0/24", "1.2.3.4"},
        {"10.0.0.5", "10.0.0.0/8", "10.0.0.5/32"},
        {"10.0.0.5", "10.0.0.4/31", "10.0.0.5"},
        {"192.168.1.1", "192.168.0.0/16", "::ffff:192.168.1.1"},
        {"169.254.7.7", "169.254.0.0/16", "169.254.7.7"},
        {"fd00::5", "fc00::/7", "fd00::5/128"},
        {"fe80::5", "fe80::/10", "fe80::5"},
        {"2a00::5", "2a00::4/127", "2a00::5"},
    };
    const struct sockaddr local = {.sa_family = AF_UNIX};
    const struct webhook_policy policy = policy_of(NULL);
    struct webhook_own own = {0};

    (void)state;
    webhook_own_add(&own, &local);
    assert_int_equal(own.n, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        own.n = 0;
        assert_int_equal(judge_own(rows[i][1], rows[i][0], &own), WEBHOOK_ADDRESS_OK);
        add_own(&own, rows[i][0]);
        assert_int_equal(judge_own(NULL, rows[i][0], &own), WEBHOOK_ADDRESS_OWN);
        assert_int_equal(judge_own(rows[i][1], rows[i][0], &own), WEBHOOK_ADDRESS_OWN);
        assert_int_equal(judge_own(rows[i][2], rows[i][0], &own), WEBHOOK_ADDRESS_OK);
    }
    own.n = 0;
    add_own(&own, "10.0.0.5");
    assert_int_equal(judge_own("10.0.0.0/8", "::ffff:10.0.0.5", &own),
                     WEBHOOK_ADDRESS_OWN);
    assert_int_equal(judge_own("10.0.0.0/8", "10.0.0.6", &own), WEBHOOK_ADDRESS_OK);
    assert_int_equal(webhook_policy_judge(&policy, &local, NULL),
                     WEBHOOK_ADDRESS_FAMILY);
}

/** Whoever needs NAT64 opens its prefix, and not each IPv4 address by way of it. */
static void behind_nat64_the_address_inside_is_judged(void **state)
{
    const struct webhook_policy nat = policy_of("64:ff9b::/96"),
                                both = policy_of("64:ff9b::/96, 10.0.0.0/8"),
                                one = policy_of("64:ff9b::7f00:1");
    struct webhook_own own = {0};

    (void)state;
    assert_int_equal(judge(&nat, "64:ff9b::101:101", 443), WEBHOOK_ADDRESS_OK);
    assert_int_equal(judge(&nat, "64:ff9b::101:101", 80), WEBHOOK_ADDRESS_PORT);
    assert_int_equal(judge(&nat, "64:ff9b::a00:5", 443), WEBHOOK_ADDRESS_PRIVATE);
    assert_int_equal(judge(&nat, "64:ff9b::7f00:1", 443), WEBHOOK_ADDRESS_FORBIDDEN);
    assert_int_equal(judge(&nat, "64:ff9b::a9fe:a9fe", 443), WEBHOOK_ADDRESS_FORBIDDEN);
    assert_int_equal(judge(&nat, "64:ff9b:1::1", 443), WEBHOOK_ADDRESS_FORBIDDEN);
    assert_int_equal(judge(&nat, "::ffff:10.0.0.5", 443), WEBHOOK_ADDRESS_PRIVATE);
    assert_int_equal(judge(&both, "64:ff9b::a00:5", 80), WEBHOOK_ADDRESS_OK);
    assert_int_equal(judge(&one, "64:ff9b::7f00:1", 80), WEBHOOK_ADDRESS_OK);
    add_own(&own, "10.0.0.5");
    assert_int_equal(judge_own("64:ff9b::/96, 10.0.0.0/8", "64:ff9b::a00:5", &own),
                     WEBHOOK_ADDRESS_OWN);
}

static void loopback_is_judged_by_its_range(void **state)
{
    struct webhook_own own = {0};

    (void)state;
    add_own(&own, "127.0.0.1");
    add_own(&own, "::1");
    assert_int_equal(own.n, 0);
    own.overflow = true;
    assert_int_equal(judge_own("127.0.0.0/8", "127.0.0.1", &own), WEBHOOK_ADDRESS_OK);
    assert_int_equal(judge_own("::1", "::1", &own), WEBHOOK_ADDRESS_OK);
    assert_int_equal(judge_own("::1", "127.0.0.1", &own), WEBHOOK_ADDRESS_FORBIDDEN);
    assert_int_equal(judge_own("::/0", "::1", &own), WEBHOOK_ADDRESS_FORBIDDEN);
}

static void a_list_that_is_not_complete_refuses(void **state)
{
    struct webhook_own own = {0};
    char text[32];

    (void)state;
    for (unsigned i = 0; i < WEBHOOK_MAX_OWN; i++) {
        (void)snprintf(text, sizeof(text), "10.1.%u.%u", i / 256, i % 256);
        add_own(&own, text);
    }
    assert_false(own.overflow);
    assert_int_equal(judge_own("10.0.0.0/8", "10.2.0.1", &own), WEBHOOK_ADDRESS_OK);
    add_own(&own, "10.2.0.0");
    assert_true(own.overflow);
    assert_int_equal(judge_own("10.0.0.0/8", "10.2.0.1", &own), WEBHOOK_ADDRESS_OWN);
    assert_int_equal(judge_own(NULL, "1.1.1.1", &own), WEBHOOK_ADDRESS_OWN);
    assert_int_equal(judge_own("10.2.0.1", "10.2.0.1", &own), WEBHOOK_ADDRESS_OK);
}

static void bad_options(void **state)
{
    static const char *const cidrs[] = {
        "10.0.0.1/8", "10.0.0.0/33", "fd00::/129", "10/8",         "localhost",
        "10.0.0.0/",  "10.0.0.0/-1", "::1/1",      "10.0.0.0/8/8", "0x7f.0.0.1"};
    static const char *const ports[] = {"0",    "65536", "http",
                                        "443x", "-1",    "443000000000000000000"};
    struct webhook_policy policy;
    char err[256];

    (void)state;
    for (size_t i = 0; i < sizeof(cidrs) / sizeof(cidrs[0]); i++) {
        assert_int_equal(
            webhook_policy_init(&policy, cidrs[i], "443", err, sizeof(err)), EINVAL);
    }
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        assert_int_equal(webhook_policy_init(&policy, NULL, ports[i], err, sizeof(err)),
                         EINVAL);
    }
}

static int url_ok(const struct webhook_policy *policy, bool http, const char *url)
{
    char err[256] = "";

    return webhook_url_check(policy, http, url, err, sizeof(err));
}

static void refused_urls(void **state)
{
    static const char *const urls[] = {
        "", "example.com", "//example.com/", "ftp://example.com/", "file:///etc/passwd",
        "gopher://example.com/", "http://example.com/", "https://", "https:///path",
        "https:/example.com", "https:example.com", "https://user@example.com/",
        "https://user:pw@example.com/", "https://a@b", "https://example.com/#part",
        "https://example.com/ ", " https://example.com/", "https://exa\tmple.com/",
        "https://example.com/\r\nX: y", "https://example.com\\@b/",
        "https://example.com:0/", "https://example.com:65536/",
        "https://[fe80::1%25eth0]/", "https://[::ffff:127.0.0.1%25lo]/",
        "https://m\xc3\xbcller.example/", "https://exa%00mple.com/",
        "https://ex%7fample.com/", "https://m%c3%bcller.example/",
        /* Full-width digits, which IDN makes 127. */
        "https://%ef%bc%91%ef%bc%92%ef%bc%97.0.0.1/", "https://%31%32%37.0.0.1/",
        "https://%32130706433/", "https://0%787f.1", "https://%35?x",
        "https://127.0.0.1/", "https://2130706433/", "https://0x7f.1/",
        "https://0177.0.0.1/", "https://127.1/", "https://0/", "https://[::1]/",
        "https://[::ffff:7f00:1]/", "https://[::ffff:169.254.169.254]/",
        "https://10.1.2.3/", "https://169.254.169.254/latest/", "https://1.1.1.1:80/"};
    const struct webhook_policy policy = policy_of(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        assert_int_not_equal(url_ok(&policy, false, urls[i]), 0);
    }
}

static void says_what_kind_of_refusal(void **state)
{
    const struct webhook_policy strict = policy_of(NULL), lax = policy_of("10.0.0.0/8");

    (void)state;
    assert_int_equal(url_ok(&strict, false, "https://a@example.com/"), EINVAL);
    assert_int_equal(url_ok(&strict, false, "http://example.com/"), EPROTONOSUPPORT);
    assert_int_equal(url_ok(&strict, false, "https://0x7f.1/"), EACCES);
    /* A name may turn out to be an exception, which any port is open on. */
    assert_int_equal(url_ok(&strict, false, "https://example.com:8444/"), EACCES);
    assert_int_equal(url_ok(&lax, false, "https://example.com:8444/"), 0);
    assert_int_equal(url_ok(&lax, false, "https://10.1.2.3:8444/"), 0);
}

static void copies_nothing_that_is_cut_short(void **state)
{
    static char longest[WEBHOOK_URL_MAX + 1];
    char copy[WEBHOOK_URL_MAX + 1];

    (void)state;
    assert_true(webhook_url_copy("https://a.example/xyz", 18, copy));
    assert_string_equal(copy, "https://a.example/");
    assert_true(webhook_url_copy(NULL, 0, copy));
    assert_string_equal(copy, "");
    assert_false(webhook_url_copy("https://a.example/\0b", 20, copy));
    memset(longest, 'a', sizeof(longest));
    assert_true(webhook_url_copy(longest, WEBHOOK_URL_MAX, copy));
    assert_false(webhook_url_copy(longest, WEBHOOK_URL_MAX + 1, copy));
}

static void hosts_and_ports(void **state)
{
    static const char *const rows[][3] = {
        {"https://example.com/x", "example.com", "443"},
        {"https://EXAMPLE.com:8443", "EXAMPLE.com", "8443"},
        {"http://[2001:db8::1]:81/", "2001:db8::1", "81"},
        {"https://0x7f.1/", "127.0.0.1", "443"},
    };
    char host[WEBHOOK_HOST_MAX], port[WEBHOOK_PORT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(webhook_url_host(rows[i][0], host, port));
        assert_string_equal(host, rows[i][1]);
        assert_string_equal(port, rows[i][2]);
    }
}

static void accepted_urls(void **state)
{
    const struct webhook_policy policy = policy_of("127.0.0.1, ::1");
    char origin[WEBHOOK_ORIGIN_MAX];

    (void)state;
    assert_int_equal(url_ok(&policy, false, "https://example.com"), 0);
    assert_int_equal(url_ok(&policy, false, "https://example.com:8443/a/b?c=d&e=%20"),
                     0);
    assert_int_equal(url_ok(&policy, false, "https://xn--bcher-kva.example/"), 0);
    assert_int_equal(url_ok(&policy, true, "http://127.0.0.1:12345/hook"), 0);
    assert_int_equal(url_ok(&policy, true, "http://[::1]:12345/hook"), 0);
    assert_int_equal(url_ok(NULL, true, "http://10.0.0.1/"), 0);
    webhook_url_origin("https://example.com/secret/path?token=x", origin);
    assert_string_equal(origin, "https://example.com:443");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_ranges),
        cmocka_unit_test(public_addresses),
        cmocka_unit_test(exceptions),
        cmocka_unit_test(metadata_needs_its_own_entry),
        cmocka_unit_test(own_addresses),
        cmocka_unit_test(behind_nat64_the_address_inside_is_judged),
        cmocka_unit_test(bad_options),
        cmocka_unit_test(refused_urls),
        cmocka_unit_test(accepted_urls),
        cmocka_unit_test(says_what_kind_of_refusal),
        cmocka_unit_test(hosts_and_ports),
        cmocka_unit_test(copies_nothing_that_is_cut_short),
        cmocka_unit_test(loopback_is_judged_by_its_range),
        cmocka_unit_test(a_list_that_is_not_complete_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
