/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_request_check.c - framing that smuggles requests and paths that hide
 * characters are refused; ordinary requests pass.
 */
#include "http/request_check.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MAX 4

struct header_case {
    struct http_header headers[MAX];
    unsigned int status;
};

static void headers_are_judged(void **state)
{
    (void)state;
    static const struct header_case cases[] = {
        {{{"Host", "a"}, {"Content-Length", "5"}}, 0},
        {{{"Host", "a"}, {"Transfer-Encoding", "chunked"}}, 0},
        {{{"Host", "a"}, {"transfer-encoding", "Chunked"}}, 0},
        {{{"Host", "a"}, {"X-Text", "tab\tand \xc3\xa9"}, {"x-text", ""}}, 0},
        {{{"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}}, 400},
        {{{"Transfer-Encoding", "chunked"}, {"content-length", "5"}}, 400},
        {{{"Content-Length", "5"}, {"content-length", "5"}}, 400},
        {{{"Content-Length", "5"}, {"Content-Length", "6"}}, 400},
        {{{"Content-Length", "5, 5"}}, 400},
        {{{"Content-Length", "+5"}}, 400},
        {{{"Content-Length", "-5"}}, 400},
        {{{"Content-Length", "0x5"}}, 400},
        {{{"Content-Length", ""}}, 400},
        {{{"Content-Length ", "5"}}, 400},
        {{{"Transfer-Encoding", "gzip, chunked"}}, 400},
        {{{"Transfer-Encoding", "identity"}}, 400},
        {{{"Transfer-Encoding", "xchunked"}}, 400},
        {{{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}, 400},
        {{{"Host", "a"}, {"host", "b"}}, 400},
        {{{"Authorization", "a"}, {"authorization", "a"}}, 400},
        {{{"Content-Type", "a"}, {"X", "b"}, {"content-type", "a"}}, 400},
        {{{"Idempotency-Key", "a"}, {"Idempotency-Key", "b"}}, 400},
        {{{"If-Match", "a"}, {"If-Match", "b"}}, 0},
        {{{"", "x"}}, 400},
        {{{"X Y", "x"}}, 400},
        {{{"X\xc3\xa9", "x"}}, 400},
        {{{"X", "a\rb"}}, 400},
        {{{"X", "a\nb"}}, 400},
        {{{"X", "a\x7f"}}, 400},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = 0;

        while (n < MAX && cases[i].headers[n].name != NULL) {
            n++;
        }
        struct request_verdict verdict = request_check_headers(cases[i].headers, n);

        if (verdict.status != cases[i].status) {
            fail_msg("case %zu: status %u", i, verdict.status);
        }
        assert_int_equal(verdict.reason == NULL, verdict.status == 0);
    }
}

static void too_many_headers_are_refused(void **state)
{
    (void)state;
    struct http_header headers[REQUEST_MAX_HEADERS + 1];

    for (size_t i = 0; i <= REQUEST_MAX_HEADERS; i++) {
        headers[i] = (struct http_header){"X", "y"};
    }
    assert_int_equal(request_check_headers(headers, REQUEST_MAX_HEADERS).status, 0);
    assert_int_equal(request_check_headers(headers, REQUEST_MAX_HEADERS + 1).status,
                     431);
}

static void paths_are_judged(void **state)
{
    (void)state;
    static const char *const good[] = {
        "/",    "/metrics",   "/a/b.c", "/.well-known/x", "/a%20b",
        "/...", "/a%C3%A9/b", "//",     "/a..b",          "/a?b",
    };
    static const char *const refused[] = {
        "",       "*",      "metrics", "http://a/b", "/healthz%00x", "/a%2fb",
        "/a%2Fb", "/a%5cb", "/a\\b",   "/a%0db",     "/a%7f",        "/a%",
        "/a%4",   "/a%zz",  "/a%4g",   "/a b",       "/a\tb",        "/a\xc3\xa9",
        "/..",    "/.",     "/a/../b", "/a/./b",     "/a/%2e%2E/b",  "/.%2e",
        "/a/..",  "/%2e",   "/../",    "/%",
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (request_check_path(good[i]).status != 0) {
            fail_msg("\"%s\" is refused", good[i]);
        }
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (request_check_path(refused[i]).status != 400) {
            fail_msg("\"%s\" passes", refused[i]);
        }
    }
}

static void long_paths_are_refused(void **state)
{
    (void)state;
    char path[REQUEST_MAX_PATH + 2];

    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[REQUEST_MAX_PATH] = '\0';
    assert_int_equal(request_check_path(path).status, 0);
    path[REQUEST_MAX_PATH] = 'a';
    path[REQUEST_MAX_PATH + 1] = '\0';
    assert_int_equal(request_check_path(path).status, 414);
}

static void methods_are_tokens(void **state)
{
    (void)state;
    assert_int_equal(request_check_method("GET").status, 0);
    assert_int_equal(request_check_method("M-SEARCH").status, 0);
    assert_int_equal(request_check_method("").status, 400);
    assert_int_equal(request_check_method("GE T").status, 400);
    assert_int_equal(request_check_method("GET(").status, 400);
    assert_int_equal(request_check_method("ABCDEFGHIJKLMNOPQ").status, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_judged),
        cmocka_unit_test(too_many_headers_are_refused),
        cmocka_unit_test(paths_are_judged),
        cmocka_unit_test(long_paths_are_refused),
        cmocka_unit_test(methods_are_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
