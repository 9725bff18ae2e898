/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ops_routes.c - path, method and state to answer.
 */
#include "daemon/ops_routes.h"

#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct fake {
    bool live, ready;
};

static void fake_metrics(void *arg, struct buf *out)
{
    (void)arg;
    buf_puts(out, "x 1\n");
}

static bool fake_live(void *arg, struct buf *json)
{
    const struct fake *fake = arg;

    buf_puts(json, "{\"live\":1}");
    return fake->live;
}

static bool fake_ready(void *arg, struct buf *json)
{
    const struct fake *fake = arg;

    buf_puts(json, "{\"ready\":1}");
    return fake->ready;
}

struct expect {
    const char *method, *path;
    bool live, ready;
    unsigned int status;
    const char *content_type, *body;
};

static const struct expect expects[] = {
    {"GET", "/metrics", false, false, 200, "text/plain; version=0.0.4; charset=utf-8",
     "x 1\n"},
    {"HEAD", "/metrics", true, true, 200, "text/plain; version=0.0.4; charset=utf-8",
     "x 1\n"},
    {"GET", "/livez", true, false, 200, "application/json", "{\"live\":1}\n"},
    {"GET", "/livez", false, true, 503, "application/json", "{\"live\":1}\n"},
    {"GET", "/healthz", true, false, 200, "application/json", "{\"live\":1}\n"},
    {"GET", "/healthz", false, true, 503, "application/json", "{\"live\":1}\n"},
    {"GET", "/readyz", false, true, 200, "application/json", "{\"ready\":1}\n"},
    {"GET", "/readyz", true, false, 503, "application/json", "{\"ready\":1}\n"},
    {"POST", "/livez", true, true, 405, "text/plain; charset=utf-8",
     "method not allowed\n"},
    {"get", "/livez", true, true, 405, "text/plain; charset=utf-8",
     "method not allowed\n"},
    {"GET", "/", true, true, 404, "text/plain; charset=utf-8", NULL},
    {"GET", "/livez/", true, true, 404, "text/plain; charset=utf-8", NULL},
    {"GET", "/livez%20", true, true, 404, "text/plain; charset=utf-8", NULL},
    {"DELETE", "/nothing", true, true, 404, "text/plain; charset=utf-8", NULL},
};

static void routes_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(expects) / sizeof(expects[0]); i++) {
        const struct expect *expect = &expects[i];
        struct fake fake = {expect->live, expect->ready};
        struct ops_source source = {&fake, fake_metrics, fake_live, fake_ready};
        const struct http_request req = {.method = expect->method,
                                         .path = expect->path};
        struct http_response res = {.status = 200, .body = buf_make(4096)};

        ops_routes_handle(&source, &req, &res);
        assert_int_equal(res.status, expect->status);
        assert_string_equal(res.content_type, expect->content_type);
        if (expect->body != NULL) {
            assert_string_equal(buf_text(&res.body), expect->body);
        }
        if (expect->status == 405) {
            assert_int_equal(res.n_headers, 1);
            assert_string_equal(res.headers[0].name, "Allow");
            assert_string_equal(res.headers[0].value, "GET, HEAD");
        }
        buf_done(&res.body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
