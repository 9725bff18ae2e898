/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_verdict.c - tables from HTTP status and curl code to an outcome.
 *
 * A complete header block decides, whatever happens to the body afterwards: the
 * receiver has spoken. Without one, the curl code tells what broke, and
 * MAYBE_DELIVERED is set as soon as the request may have reached the receiver.
 *
 * Not here: delays and breakers, which the host keeps.
 */
#include "webhook/webhook_verdict.h"

#include <string.h>
#include <time.h>

struct verdict_row {
    long from, to; /* both inclusive */
    enum rider_outcome outcome;
    enum rider_cause cause;
    bool honours_retry_after;
    const char *reason;
};

/* The first row that matches decides. */
static const struct verdict_row status_rows[] = {
    {200, 299, RIDER_DELIVERED, RIDER_CAUSE_NONE, false, NULL},
    {300, 399, RIDER_RETRY, RIDER_CAUSE_REDIRECT, false,
     "the endpoint answered with a redirect, which is never followed"},
    {408, 408, RIDER_RETRY, RIDER_CAUSE_TIMEOUT, false, "the endpoint answered 408"},
    {410, 410, RIDER_UNROUTABLE, RIDER_CAUSE_GONE_410, false,
     "the endpoint answered 410: it wants no more events"},
    {413, 413, RIDER_REJECTED, RIDER_CAUSE_TOO_LARGE, false,
     "the endpoint answered 413: the body is too large for it"},
    {415, 415, RIDER_REJECTED, RIDER_CAUSE_REJECTED_4XX, false,
     "the endpoint answered 415: it does not take this content type"},
    {425, 425, RIDER_RETRY, RIDER_CAUSE_TIMEOUT, false, "the endpoint answered 425"},
    {429, 429, RIDER_UNAVAILABLE, RIDER_CAUSE_RATE_LIMITED, true,
     "the endpoint asks for a lower rate"},
    {400, 499, RIDER_RETRY, RIDER_CAUSE_REJECTED_4XX, false,
     "the endpoint refused the request"},
    {502, 504, RIDER_UNAVAILABLE, RIDER_CAUSE_FAILED_5XX, true,
     "the endpoint, or a gateway before it, is not available"},
    {500, 599, RIDER_RETRY, RIDER_CAUSE_FAILED_5XX, false,
     "the endpoint failed on the request"},
};

static const struct {
    CURLcode code;
    enum rider_cause cause;
    const char *category, *reason;
} transport_rows[] = {
    {CURLE_COULDNT_RESOLVE_HOST, RIDER_CAUSE_UNREACHABLE, "dns",
     "could not resolve the endpoint's name"},
    {CURLE_COULDNT_CONNECT, RIDER_CAUSE_UNREACHABLE, "connect_refused",
     "could not connect"},
    {CURLE_OPERATION_TIMEDOUT, RIDER_CAUSE_TIMEOUT, "timeout",
     "no complete answer in time"},
    {CURLE_SEND_ERROR, RIDER_CAUSE_UNREACHABLE, "reset",
     "the connection broke while sending"},
    {CURLE_RECV_ERROR, RIDER_CAUSE_UNREACHABLE, "reset",
     "the connection broke before an answer"},
    {CURLE_GOT_NOTHING, RIDER_CAUSE_UNREACHABLE, "reset",
     "the endpoint closed the connection without an answer"},
    {CURLE_ABORTED_BY_CALLBACK, RIDER_CAUSE_UNREACHABLE, "reset",
     "the connection broke before an answer, and again when the request was repeated"},
    {CURLE_WRITE_ERROR, RIDER_CAUSE_UNREACHABLE, "response_too_large",
     "the answer's headers are too large"},
    {CURLE_SSL_CONNECT_ERROR, RIDER_CAUSE_TLS, "tls", "the TLS handshake failed"},
    {CURLE_PEER_FAILED_VERIFICATION, RIDER_CAUSE_TLS, "tls",
     "the endpoint's certificate is not valid for it"},
    {CURLE_SSL_ISSUER_ERROR, RIDER_CAUSE_TLS, "tls",
     "the certificate's issuer is not trusted"},
    {CURLE_SSL_INVALIDCERTSTATUS, RIDER_CAUSE_TLS, "tls",
     "the certificate status is invalid"},
    {CURLE_SSL_CERTPROBLEM, RIDER_CAUSE_TLS, "tls",
     "the client certificate cannot be used"},
    {CURLE_SSL_CLIENTCERT, RIDER_CAUSE_TLS, "tls",
     "the endpoint asks for a client certificate"},
    {CURLE_SSL_CACERT_BADFILE, RIDER_CAUSE_TLS, "tls", "the CA file cannot be used"},
    {CURLE_SSL_CIPHER, RIDER_CAUSE_TLS, "tls", "no TLS cipher in common"},
    {CURLE_OUT_OF_MEMORY, RIDER_CAUSE_ADAPTER_FAULT, "protocol", "memory is short"},
};

/* The first row that matches decides; proxy_status 0 fits any. */
static const struct {
    CURLcode code;
    long status_from, status_to;
    enum rider_cause cause;
    const char *reason;
} proxy_rows[] = {
    {CURLE_OPERATION_TIMEDOUT, 0, 0, RIDER_CAUSE_TIMEOUT,
     "the proxy did not open a way to the endpoint in time"},
    {CURLE_COULDNT_RESOLVE_PROXY, 0, 0, RIDER_CAUSE_UNREACHABLE,
     "could not resolve the proxy's name"},
    {CURLE_COULDNT_CONNECT, 0, 0, RIDER_CAUSE_UNREACHABLE,
     "could not connect to the proxy"},
    {CURLE_RECV_ERROR, 407, 407, RIDER_CAUSE_AUTH,
     "the proxy asks for credentials (407)"},
    {CURLE_RECV_ERROR, 500, 599, RIDER_CAUSE_UNREACHABLE,
     "the proxy could not reach the endpoint (5xx)"},
    {CURLE_RECV_ERROR, 300, 499, RIDER_CAUSE_UNREACHABLE,
     "the proxy refused to connect to the endpoint"},
};

static struct rider_result result_of(enum rider_outcome outcome, enum rider_cause cause,
                                     const char *reason)
{
    struct rider_result result = {.struct_size = sizeof(result),
                                  .outcome = (uint32_t)outcome,
                                  .cause = (uint32_t)cause,
                                  .reason = reason};

    return result;
}

static struct rider_result status_verdict(const struct webhook_exchange *exchange)
{
    struct rider_result result =
        result_of(RIDER_RETRY, RIDER_CAUSE_UNREACHABLE, "the answer is not HTTP");

    for (size_t i = 0; i < sizeof(status_rows) / sizeof(status_rows[0]); i++) {
        const struct verdict_row *row = &status_rows[i];

        if (exchange->status >= row->from && exchange->status <= row->to) {
            result = result_of(row->outcome, row->cause, row->reason);
            if (row->honours_retry_after) {
                result.retry_after_ms = exchange->retry_after_ms;
            }
            break;
        }
    }
    result.remote_code = (int32_t)exchange->status;
    return result;
}

/** Of nobody but this host and its proxy: the endpoint has seen nothing. */
static struct rider_result proxy_verdict(const struct webhook_exchange *exchange)
{
    struct rider_result result =
        result_of(RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE, "the proxy failed");

    for (size_t i = 0; i < sizeof(proxy_rows) / sizeof(proxy_rows[0]); i++) {
        if (proxy_rows[i].code == exchange->code &&
            (proxy_rows[i].status_from == 0 ||
             (exchange->proxy_status >= proxy_rows[i].status_from &&
              exchange->proxy_status <= proxy_rows[i].status_to))) {
            result.cause = (uint32_t)proxy_rows[i].cause;
            result.reason = proxy_rows[i].reason;
            break;
        }
    }
    return result;
}

static struct rider_result transport_verdict(const struct webhook_exchange *exchange)
{
    struct rider_result result = result_of(RIDER_UNAVAILABLE, RIDER_CAUSE_UNREACHABLE,
                                           "the endpoint does not speak HTTP");

    for (size_t i = 0; i < sizeof(transport_rows) / sizeof(transport_rows[0]); i++) {
        if (transport_rows[i].code == exchange->code) {
            result.cause = (uint32_t)transport_rows[i].cause;
            result.reason = transport_rows[i].reason;
            break;
        }
    }
    if (exchange->code == CURLE_OPERATION_TIMEDOUT && !exchange->sent) {
        result.reason = exchange->resolved ? "no connection in time"
                                           : "no address of the endpoint in time";
    }
    if (exchange->sent) {
        result.flags |= RIDER_RESULT_MAYBE_DELIVERED;
    }
    /* The endpoint answers others, so this event is what it stumbles over. */
    if (exchange->sent && exchange->peer_alive) {
        result.outcome = RIDER_RETRY;
    }
    return result;
}

static bool has_status(const struct webhook_exchange *exchange)
{
    return exchange->answered && exchange->status >= 200;
}

struct rider_result webhook_verdict(const struct webhook_exchange *exchange)
{
    if (exchange->blocked) {
        struct rider_result result =
            result_of(RIDER_UNROUTABLE, RIDER_CAUSE_BLOCKED_ADDRESS,
                      "the endpoint's address is not allowed");

        /* The first request went out, the guard stopped its repetition. */
        result.flags = exchange->sent ? RIDER_RESULT_MAYBE_DELIVERED : 0;
        return result;
    }
    if (has_status(exchange)) {
        return status_verdict(exchange);
    }
    if (exchange->starved && !exchange->sent) {
        return result_of(RIDER_UNAVAILABLE, RIDER_CAUSE_ADAPTER_FAULT,
                         "this host has no descriptor left for a connection");
    }
    return exchange->at_proxy ? proxy_verdict(exchange) : transport_verdict(exchange);
}

static const char *status_category(long status)
{
    static const char *const words[] = {NULL, "http_3xx", "http_4xx", "http_5xx"};

    return status < 600 ? words[status / 100 - 2] : "protocol";
}

const char *webhook_category(const struct webhook_exchange *exchange)
{
    if (exchange->blocked) {
        return "blocked_address";
    }
    if (has_status(exchange)) {
        return status_category(exchange->status);
    }
    if (exchange->at_proxy) {
        return "proxy";
    }
    if (exchange->code == CURLE_OPERATION_TIMEDOUT && !exchange->sent) {
        return exchange->resolved ? "connect_timeout" : "dns";
    }
    for (size_t i = 0; i < sizeof(transport_rows) / sizeof(transport_rows[0]); i++) {
        if (transport_rows[i].code == exchange->code) {
            return transport_rows[i].category;
        }
    }
    return "protocol";
}

/** Digits only, and nothing after them. */
static bool parse_delay(const char *value, int64_t *ret)
{
    size_t digits = strspn(value, "0123456789");
    int64_t seconds = 0;

    if (digits == 0 || value[digits + strspn(value + digits, " \t")] != '\0') {
        return false;
    }
    for (size_t i = 0; i < digits && seconds < INT32_MAX; i++) {
        seconds = seconds * 10 + (value[i] - '0');
    }
    *ret = seconds;
    return true;
}

uint32_t webhook_retry_after(const char *value, int64_t now)
{
    /* RFC 9110 section 5.6.7: one form to write, two more to accept. */
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT",
                                        "%A, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %d %H:%M:%S %Y"};
    int64_t seconds = 0;

    value += strspn(value, " \t");
    if (!parse_delay(value, &seconds)) {
        for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
            struct tm tm = {0};
            const char *end = strptime(value, forms[i], &tm);

            if (end != NULL && end[strspn(end, " \t")] == '\0') {
                seconds = (int64_t)timegm(&tm) - now;
                break;
            }
        }
    }
    if (seconds <= 0) {
        return 0;
    }
    return seconds >= WEBHOOK_RETRY_AFTER_CAP_MS / 1000 ? WEBHOOK_RETRY_AFTER_CAP_MS
                                                        : (uint32_t)seconds * 1000u;
}
