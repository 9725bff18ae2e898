/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_http_server.c - a real listener on a free port and a client that sends
 * raw bytes: what passes, what is refused, and that a stop lets answers leave.
 */
#include "http/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h> /* NOLINT: cmocka needs it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_BODY 1000

/* Says what it got, so that a test can look at it in the answer. */
static void echo(void *arg, const struct http_request *req, struct http_response *res)
{
    int *calls = arg;
    const char *probe = http_request_header(req, "x-probe");

    __atomic_add_fetch(calls, 1, __ATOMIC_RELAXED);
    res->content_type = "text/plain";
    http_response_header(res, "X-Extra", "yes");
    buf_printf(&res->body, "%s %s body=%zu probe=%s local=%d\n", req->method, req->path,
               req->body_len, probe == NULL ? "-" : probe,
               strncmp(req->remote, "127.0.0.1:", 10) == 0);
    for (size_t i = 0; i < req->n_query; i++) {
        buf_printf(&res->body, "%s=%s\n", req->query[i].name, req->query[i].value);
    }
    if (strcmp(req->path, "/body") == 0) {
        buf_append(&res->body, req->body, req->body_len);
    }
    if (strcmp(req->path, "/huge") == 0) {
        char block[4096];

        memset(block, 'x', sizeof(block));
        for (int i = 0; i < 20; i++) {
            buf_append(&res->body, block, sizeof(block));
        }
    }
}

/* Lets nothing pass that begins with /closed. */
static bool admit(void *arg, const struct http_request *req, struct http_response *res)
{
    (void)arg;
    if (strncmp(req->path, "/closed", 7) != 0) {
        return true;
    }
    http_response_text(res, 401, "not you");
    return false;
}

struct fixture {
    struct http_server *server;
    int calls;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct rider_error err = {.text = ""};

    assert_non_null(f);
    const struct http_server_options options = {
        .listen = "127.0.0.1:0",
        .handler = echo,
        .admit = admit,
        .arg = &f->calls,
        .max_body = MAX_BODY,
        .max_response = 65536,
        .timeout_s = 30,
    };
    if (http_server_start(&options, &f->server, &err) != 0) {
        fail_msg("%s", err.text);
    }
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    http_server_stop(f->server);
    free(f);
    return 0;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = 20};

    assert_true(fd >= 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)),
                     0);
    return fd;
}

static void send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n <= 0) {
            return; /* refused early: the answer tells */
        }
        data += n;
        len -= (size_t)n;
    }
}

/* Everything until the server closes; the request asks for that, or is refused. */
static void receive_all(int fd, struct buf *out)
{
    char piece[4096];
    ssize_t n;

    while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) {
        buf_append(out, piece, (size_t)n);
    }
    assert_false(n < 0 && errno == EAGAIN); /* it never closed */
}

static void exchange_n(const struct fixture *f, const char *request, size_t len,
                       struct buf *out)
{
    int fd = connect_to(http_server_port(f->server));

    buf_reset(out);
    send_all(fd, request, len);
    receive_all(fd, out);
    (void)close(fd);
}

static void exchange(const struct fixture *f, const char *request, struct buf *out)
{
    exchange_n(f, request, strlen(request), out);
}

static void assert_status(const struct buf *answer, const char *status)
{
    if (strncmp(buf_text(answer), "HTTP/1.1 ", 9) != 0 ||
        strncmp(buf_text(answer) + 9, status, 3) != 0) {
        fail_msg("expected %s, got: %.200s", status, buf_text(answer));
    }
}

static void assert_has(const struct buf *answer, const char *text)
{
    if (strstr(buf_text(answer), text) == NULL) {
        fail_msg("\"%s\" is missing in: %.400s", text, buf_text(answer));
    }
}

static void a_request_reaches_the_handler(void **state)
{
    const struct fixture *f = *state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 20);
    char address[64];

    exchange(f,
             "GET /a%20b?q=1 HTTP/1.1\r\nHost: x\r\nX-Probe: hi\r\nConnection: "
             "close\r\n\r\n",
             &out);
    assert_status(&out, "200");
    assert_has(&out, "GET /a%20b body=0 probe=hi local=1\n");
    assert_has(&out, "X-Extra: yes\r\n");
    assert_has(&out, "Cache-Control: no-store\r\n");
    assert_has(&out, "X-Content-Type-Options: nosniff\r\n");
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u",
                   (unsigned int)http_server_port(f->server));
    assert_string_equal(http_server_address(f->server), address);
}

static void the_query_arrives_as_sent(void **state)
{
    const struct fixture *f = *state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 20);

    exchange(f,
             "GET /q?a=1%20x&b&c=%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             &out);
    assert_status(&out, "200");
    assert_has(&out, "a=1%20x\nb=\nc=%00\n");
    exchange(f, "GET /q?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q HTTP/1.1\r\nHost: x\r\n\r\n",
             &out);
    assert_status(&out, "400");
}

static void who_is_not_admitted_sends_no_body(void **state)
{
    const struct fixture *f = *state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 20);

    /* The body is announced and does not come: the answer does not wait for it. */
    exchange(f, "POST /closed HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{",
             &out);
    assert_status(&out, "401");
    assert_has(&out, "not you\n");
    assert_int_equal(f->calls, 0);
}

static void head_has_no_body(void **state)
{
    const struct fixture *f = *state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 20);

    exchange(f, "HEAD /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &out);
    assert_status(&out, "200");
    assert_has(&out, "Content-Length: ");
    assert_null(strstr(buf_text(&out), "HEAD /x"));
}

static void bodies_arrive_whole(void **state)
{
    const struct fixture *f = *state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 20);

    exchange(
        f,
        "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n"
        "\r\nhello",
        &out);
    assert_status(&out, "200");
    assert_has(&out, "body=5");
    assert_has(&out, "\nhello");
    exchange(f,
             "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
             "Connection: close\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
             &out);
    assert_status(&out, "200");
    assert_has(&out, "body=5");
    assert_has(&out, "\nhello");
}

/* The cap counts bytes of the body, announced or chunked. */
static void bodies_above_the_cap_are_refused(void **state)
{
    struct fixture *f = *state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 20);
    RIDER_CLEANUP(buf_done) struct buf in = buf_make(1 << 20);
    char filler[MAX_BODY + 1];

    memset(filler, 'x', sizeof(filler));
    buf_puts(&in, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
                  "Connection: close\r\n\r\n");
    buf_append(&in, filler, MAX_BODY);
    exchange_n(f, in.data, in.len, &out);
    assert_status(&out, "200");
    assert_has(&out, "body=1000");

    exchange(f, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", &out);
    assert_status(&out, "413");
    exchange(f,
             "POST / HTTP/1.1\r\nHost: x\r\n"
             "Content-Length: 99999999999999999999999\r\n\r\n",
             &out);
    assert_true(strncmp(buf_text(&out), "HTTP/1.1 413", 12) == 0 ||
                strncmp(buf_text(&out), "HTTP/1.1 400", 12) == 0);

    buf_reset(&in);
    buf_puts(&in, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3e9\r\n");
    buf_append(&in, filler, MAX_BODY + 1);
    buf_puts(&in, "\r\n0\r\n\r\n");
    exchange_n(f, in.data, in.len, &out);
    assert_status(&out, "413");
    assert_int_equal(f->calls, 1);
}

/* Endless chunks must not be read for ever: the connection is cut. */
static void an_endless_body_is_cut(void **state)
{
    struct fixture *f = *state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 20);
    RIDER_CLEANUP(buf_done) struct buf in = buf_make(1 << 20);
    char filler[1000];

    memset(filler, 'x', sizeof(filler));
    buf_puts(&in, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 200; i++) {
        buf_puts(&in, "3e8\r\n");
        buf_append(&in, filler, sizeof(filler));
        buf_puts(&in, "\r\n");
    }
    exchange_n(f, in.data, in.len, &out);
    assert_null(strstr(buf_text(&out), "200 OK"));
    assert_int_equal(f->calls, 0);
}

struct raw_case {
    const char *text;
    const char *status;
};

static void smuggling_and_odd_paths_are_refused(void **state)
{
    struct fixture *f = *state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 20);
    static const struct raw_case cases[] = {
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: "
         "chunked\r\n\r\n0\r\n\r\nGET /second HTTP/1.1\r\nHost: x\r\n\r\n",
         "400"},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"
         "hello",
         "400"},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nhello", "400"},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
        {"GET /healthz%00x HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET /a%2Fb HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET /../etc HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET http://x/livez HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        exchange(f, cases[i].text, &out);
        assert_status(&out, cases[i].status);
        assert_null(strstr(buf_text(&out), "HTTP/1.1 200"));
    }
    assert_int_equal(f->calls, 0);
}

static void large_headers_are_refused(void **state)
{
    const struct fixture *f = *state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 20);
    RIDER_CLEANUP(buf_done) struct buf in = buf_make(1 << 20);

    buf_puts(&in, "GET / HTTP/1.1\r\nHost: x\r\nX-Long: ");
    for (int i = 0; i < 40000; i++) {
        buf_putc(&in, 'x');
    }
    buf_puts(&in, "\r\n\r\n");
    exchange_n(f, in.data, in.len, &out);
    assert_null(strstr(buf_text(&out), "HTTP/1.1 200"));

    buf_reset(&in);
    buf_puts(&in, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 150; i++) {
        buf_puts(&in, "a: b\r\n");
    }
    buf_puts(&in, "\r\n");
    exchange_n(f, in.data, in.len, &out);
    assert_status(&out, "431");
}

static void an_answer_above_its_limit_is_an_error(void **state)
{
    const struct fixture *f = *state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 20);

    exchange(f, "GET /huge HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &out);
    assert_status(&out, "500");
}

static void connections_are_kept_alive(void **state)
{
    const struct fixture *f = *state;
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 20);

    exchange(f,
             "GET /one HTTP/1.1\r\nHost: x\r\n\r\n"
             "GET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
             &out);
    assert_has(&out, "GET /one ");
    assert_has(&out, "GET /two ");
}

static void errors_name_the_address(void **state)
{
    const struct fixture *f = *state;
    int calls = 0;
    struct http_server *second = NULL;
    struct rider_error err = {.text = ""};
    struct http_server_options options = {
        .listen = http_server_address(f->server),
        .handler = echo,
        .arg = &calls,
    };

    assert_int_equal(http_server_start(&options, &second, &err), RIDER_E_IO);
    assert_non_null(strstr(err.text, http_server_address(f->server)));
    options.listen = "nowhere";
    assert_int_equal(http_server_start(&options, &second, &err), RIDER_E_CONFIG);
    assert_null(second);
}

/* A handler that is inside when stop() is called still gets its answer out. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool entered, may_leave;
};

static void wait_at_gate(void *arg, const struct http_request *req,
                         struct http_response *res)
{
    struct gate *gate = arg;

    (void)req;
    (void)pthread_mutex_lock(&gate->lock);
    gate->entered = true;
    (void)pthread_cond_broadcast(&gate->changed);
    while (!gate->may_leave) {
        (void)pthread_cond_wait(&gate->changed, &gate->lock);
    }
    (void)pthread_mutex_unlock(&gate->lock);
    buf_puts(&res->body, "late but whole\n");
}

static void *stop_server(void *arg)
{
    http_server_stop(arg);
    return NULL;
}

static void a_stop_lets_answers_leave(void **state)
{
    (void)state;
    struct gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false,
                        false};
    RIDER_CLEANUP(buf_done) struct buf out = buf_make(1 << 20);
    struct http_server *server = NULL;
    struct rider_error err;
    pthread_t stopper;
    const struct http_server_options options = {
        .listen = "127.0.0.1:0", .handler = wait_at_gate, .arg = &gate, .threads = 1};
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    assert_int_equal(http_server_start(&options, &server, &err), 0);
    int fd = connect_to(http_server_port(server));
    send_all(fd, request, sizeof(request) - 1);
    (void)pthread_mutex_lock(&gate.lock);
    while (!gate.entered) {
        (void)pthread_cond_wait(&gate.changed, &gate.lock);
    }
    (void)pthread_mutex_unlock(&gate.lock);
    assert_int_equal(pthread_create(&stopper, NULL, stop_server, server), 0);
    (void)pthread_mutex_lock(&gate.lock);
    gate.may_leave = true;
    (void)pthread_cond_broadcast(&gate.changed);
    (void)pthread_mutex_unlock(&gate.lock);
    receive_all(fd, &out);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    assert_status(&out, "200");
    assert_has(&out, "late but whole\n");
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_reaches_the_handler, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_query_arrives_as_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_not_admitted_sends_no_body, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(head_has_no_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bodies_arrive_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bodies_above_the_cap_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_endless_body_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(smuggling_and_odd_paths_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(large_headers_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_above_its_limit_is_an_error, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(connections_are_kept_alive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_name_the_address, set_up, tear_down),
        cmocka_unit_test(a_stop_lets_answers_leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
