/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_transfer.c - curl options and callbacks of one exchange.
 *
 * Handles are kept and used again, with only URL, headers and body changed. The
 * socket callback and the pre-request callback put the guard in front of each
 * connection and of each request; the latter also counts the requests really sent,
 * because libcurl repeats a POST by itself when a reused connection dies before the
 * first byte of an answer.
 *
 * Invariant: Host and SNI are those of the URL, the address is the one judged.
 * Not here: the outcome (webhook_verdict.c), headers (webhook_request.c).
 */
#include "webhook/webhook_transfer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define BODY_MAX     16384u
#define HEADERS_MAX  32768u
#define REQUESTS_MAX 2u  /* the first and one repetition */
#define CA_CACHE_S   60L /* a file of the destination that changes is read within that */

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct webhook_transfer *transfer = arg;

    webhook_attempt_body(&transfer->attempt, data, size * n);
    transfer->body_bytes += size * n;
    if (transfer->body_bytes > BODY_MAX) {
        transfer->cut = true;
        return 0; /* ends the transfer; the status has been seen */
    }
    return size * n;
}

/** Of several the longest, and of those that say nothing none: each is a floor. */
static void keep_retry_after(struct webhook_transfer *transfer, const char *line,
                             size_t len)
{
    static const char name[] = "retry-after:";
    size_t name_len = sizeof(name) - 1;
    char value[64];

    if (len < name_len || strncasecmp(line, name, name_len) != 0) {
        return;
    }
    len -= name_len;
    while (len > 0 &&
           (line[name_len + len - 1] == '\n' || line[name_len + len - 1] == '\r')) {
        len--;
    }
    if (len < sizeof(value)) {
        memcpy(value, line + name_len, len);
        value[len] = '\0';
        uint32_t ms = webhook_retry_after(value, (int64_t)time(NULL));

        transfer->retry_after_ms =
            ms > transfer->retry_after_ms ? ms : transfer->retry_after_ms;
    }
}

/** Gets one line at a time, of interim (1xx) answers too. */
static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct webhook_transfer *transfer = arg;
    size_t len = size * n;
    long status = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    transfer->header_bytes += len;
    if (transfer->header_bytes > HEADERS_MAX) {
        transfer->cut = true;
        transfer->answered = transfer->answered || status >= 200;
        return 0;
    }
    if (status < 200) {
        return len;
    }
    if (len <= 2 && (line[0] == '\r' || line[0] == '\n')) {
        transfer->answered = true;
    } else if (!transfer->answered) { /* what follows the body is no header */
        keep_retry_after(transfer, line, len);
    }
    return len;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose,
                             struct curl_sockaddr *address)
{
    struct webhook_transfer *transfer = arg;
    enum webhook_judgement judgement = WEBHOOK_ADDRESS_OK;
    curl_socket_t fd = webhook_guard_open(transfer->guard, address, &judgement);

    (void)purpose;
    /* An address that was dialled tells more than a later one that was refused. */
    if (judgement == WEBHOOK_ADDRESS_OK || transfer->opened == 0) {
        webhook_attempt_dial(&transfer->attempt, &address->addr);
    }
    if (judgement != WEBHOOK_ADDRESS_OK) {
        transfer->refused++;
        transfer->judgement = judgement;
    } else if (fd == CURL_SOCKET_BAD) {
        transfer->starved = true;
    } else {
        transfer->sockets[transfer->opened % WEBHOOK_TRANSFER_SOCKETS] = fd;
        transfer->opened++;
    }
    return fd;
}

/** Whether the connection may be used: new ones always, kept ones if nothing waits. */
static bool is_clean(const struct webhook_transfer *transfer,
                     const struct webhook_ends *ends)
{
    size_t n = transfer->opened < WEBHOOK_TRANSFER_SOCKETS ? transfer->opened
                                                           : WEBHOOK_TRANSFER_SOCKETS;

    if (n == 0) {
        return webhook_kept_is_clean(transfer->kept, ends);
    }
    webhook_kept_add(transfer->kept, transfer->sockets, n, ends);
    return true;
}

static int before_request(void *arg, char *peer_ip, char *local_ip, int peer_port,
                          int local_port)
{
    const struct webhook_ends ends = {peer_ip, peer_port, local_port};
    struct webhook_transfer *transfer = arg;
    enum webhook_judgement judgement =
        webhook_guard_recheck(transfer->guard, peer_ip, peer_port);

    (void)local_ip;
    webhook_attempt_dial_text(&transfer->attempt, peer_ip, peer_port);
    if (judgement != WEBHOOK_ADDRESS_OK) {
        transfer->refused++;
        transfer->judgement = judgement;
        transfer->stopped = true;
        return CURL_PREREQFUNC_ABORT;
    }
    if (transfer->requests == REQUESTS_MAX) {
        return CURL_PREREQFUNC_ABORT;
    }
    if (!is_clean(transfer, &ends)) {
        transfer->unclean = true;
        return CURL_PREREQFUNC_ABORT;
    }
    transfer->requests++;
    transfer->header_bytes = 0;
    transfer->body_bytes = 0;
    webhook_attempt_restart(&transfer->attempt);
    return CURL_PREREQFUNC_OK;
}

static CURLcode set_limits(CURL *easy, const struct webhook_config *config)
{
    const struct {
        CURLoption option;
        long value;
    } longs[] = {
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_POST, 1},
        {CURLOPT_FOLLOWLOCATION, 0},
        {CURLOPT_NETRC, CURL_NETRC_IGNORED},
        {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
        {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_TIMEOUT_MS, (long)config->timeout_ms},
        {CURLOPT_CONNECTTIMEOUT_MS, (long)config->connect_timeout_ms},
        {CURLOPT_MAXLIFETIME_CONN, 300},
        /* Each connection proves itself: a resumed session is not verified again. */
        {CURLOPT_SSL_SESSIONID_CACHE, 0},
        {CURLOPT_TCP_NODELAY, 1},
        {CURLOPT_HTTPPROXYTUNNEL, 1},
        {CURLOPT_SUPPRESS_CONNECT_HEADERS, 1},
        /* A resolver that hangs must not hang the loop of all transfers. */
        {CURLOPT_QUICK_EXIT, 1},
    };
    CURLcode rc = CURLE_OK;

    for (size_t i = 0; i < sizeof(longs) / sizeof(longs[0]) && rc == CURLE_OK; i++) {
        rc = curl_easy_setopt(easy, longs[i].option, longs[i].value);
    }
    return rc;
}

static CURLcode set_texts(CURL *easy, const struct webhook_config *config)
{
    const struct {
        CURLoption option;
        const char *value;
    } texts[] = {
        {CURLOPT_PROTOCOLS_STR, config->allow_http ? "http,https" : "https"},
        /* "" keeps the proxies of the environment out. */
        {CURLOPT_PROXY, config->proxy != NULL ? config->proxy : ""},
        /* Nor does the environment lead past the proxy: the guard relies on it. */
        {CURLOPT_NOPROXY, ""},
        /* Without one OpenSSL asks the terminal, and every transfer would wait. */
        {CURLOPT_KEYPASSWD, ""},
        {CURLOPT_USERAGENT, config->user_agent},
    };
    CURLcode rc = CURLE_OK;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && rc == CURLE_OK; i++) {
        if (texts[i].value != NULL) {
            rc = curl_easy_setopt(easy, texts[i].option, texts[i].value);
        }
    }
    return rc;
}

/** Files of the subscription where it names some, else those of the destination,
 *  else libcurl's. libcurl shares no connection between handles that differ here. It
 *  keeps one set of authorities: that of the destination, since the system's takes
 *  40 ms to read. One of a subscription is read each time and leaves it in place. */
static CURLcode set_tls(struct webhook_transfer *transfer,
                        const struct webhook_tls *tls)
{
    const struct webhook_config *config = transfer->config;
    bool own_ca = tls->ca[0] != '\0';
    const char *ca = own_ca ? tls->ca : config->ca_file;
    bool own_cert = tls->cert[0] != '\0';
    CURL *easy = transfer->easy;

    transfer->own_tls = own_cert || own_ca;
    CURLcode rc =
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca != NULL ? ca : transfer->default_ca);

    /* A CA of one's own replaces the system's folder, too. */
    rc = rc != CURLE_OK
             ? rc
             : curl_easy_setopt(easy, CURLOPT_CAPATH,
                                ca != NULL ? NULL : transfer->default_ca_path);
    rc = rc != CURLE_OK ? rc
                        : curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT,
                                           own_ca ? 0L : CA_CACHE_S);
    rc = rc != CURLE_OK ? rc
                        : curl_easy_setopt(easy, CURLOPT_SSLCERT,
                                           own_cert ? tls->cert : config->cert_file);
    return rc != CURLE_OK ? rc
                          : curl_easy_setopt(easy, CURLOPT_SSLKEY,
                                             own_cert ? tls->key : config->key_file);
}

static CURLcode set_callbacks(CURL *easy, struct webhook_transfer *transfer)
{
    CURLcode rc = curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);

    rc = rc != CURLE_OK ? rc : curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    rc =
        rc != CURLE_OK ? rc : curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    rc = rc != CURLE_OK ? rc : curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    rc = rc != CURLE_OK ? rc
                        : curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    rc = rc != CURLE_OK ? rc : curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
    rc = rc != CURLE_OK
             ? rc
             : curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    rc = rc != CURLE_OK ? rc : curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    return rc != CURLE_OK ? rc : curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
}

static bool set_up(struct webhook_transfer *transfer)
{
    static const struct webhook_tls none = {.ca = ""};

    return set_limits(transfer->easy, transfer->config) == CURLE_OK &&
           set_texts(transfer->easy, transfer->config) == CURLE_OK &&
           set_tls(transfer, &none) == CURLE_OK &&
           set_callbacks(transfer->easy, transfer) == CURLE_OK;
}

/** Where libcurl looks for authorities; static text in libcurl. */
static void read_defaults(struct webhook_transfer *transfer)
{
    char *text = NULL;

    if (curl_easy_getinfo(transfer->easy, CURLINFO_CAINFO, &text) == CURLE_OK) {
        transfer->default_ca = text;
    }
    /* The folder has what the file has, and libcurl keeps no set that has a folder. */
    bool has_file =
        transfer->default_ca != NULL && access(transfer->default_ca, R_OK) == 0;

    if (!has_file &&
        curl_easy_getinfo(transfer->easy, CURLINFO_CAPATH, &text) == CURLE_OK) {
        transfer->default_ca_path = text;
    }
}

struct webhook_transfer *webhook_transfer_create(const struct webhook_config *config,
                                                 struct webhook_guard *guard,
                                                 struct webhook_kept *kept)
{
    struct webhook_transfer *transfer = calloc(1, sizeof(*transfer));

    if (transfer == NULL) {
        return NULL;
    }
    transfer->config = config;
    transfer->guard = guard;
    transfer->kept = kept;
    transfer->easy = curl_easy_init();
    if (transfer->easy != NULL) {
        read_defaults(transfer);
    }
    if (transfer->easy == NULL || !set_up(transfer)) {
        webhook_transfer_destroy(transfer);
        return NULL;
    }
    return transfer;
}

void webhook_transfer_destroy(struct webhook_transfer *transfer)
{
    if (transfer == NULL) {
        return;
    }
    webhook_attempt_done(&transfer->attempt);
    curl_slist_free_all(transfer->headers);
    curl_easy_cleanup(transfer->easy);
    free(transfer);
}

static bool set_deadline(struct webhook_transfer *transfer, uint64_t whole_ms)
{
    uint64_t connect_ms = transfer->config->connect_timeout_ms;

    connect_ms = connect_ms < whole_ms ? connect_ms : whole_ms;
    return curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, (long)whole_ms) ==
               CURLE_OK &&
           curl_easy_setopt(transfer->easy, CURLOPT_CONNECTTIMEOUT_MS,
                            (long)connect_ms) == CURLE_OK;
}

/** The limits that a subscription may have of its own. */
static bool set_wishes(struct webhook_transfer *transfer,
                       const struct rider_target *target, const struct webhook_tls *tls)
{
    bool wants_tls = tls->ca[0] != '\0' || tls->cert[0] != '\0';

    if ((wants_tls || transfer->own_tls) && set_tls(transfer, tls) != CURLE_OK) {
        return false;
    }
    transfer->limit_ms =
        target->timeout_ms != 0 ? target->timeout_ms : transfer->config->timeout_ms;
    return set_deadline(transfer, transfer->limit_ms) &&
           curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 0L) == CURLE_OK;
}

static void forget_last(struct webhook_transfer *transfer)
{
    transfer->header_bytes = 0;
    transfer->body_bytes = 0;
    transfer->requests = 0;
    transfer->refused = 0;
    transfer->opened = 0;
    transfer->judgement = WEBHOOK_ADDRESS_OK;
    transfer->answered = false;
    transfer->cut = false;
    transfer->starved = false;
    transfer->stopped = false;
    transfer->unclean = false;
    transfer->retry_after_ms = 0;
}

bool webhook_transfer_begin(struct webhook_transfer *transfer,
                            struct webhook_endpoint *endpoint,
                            struct webhook_delivery *delivery, const char *url,
                            struct curl_slist *headers, const struct webhook_tls *tls)
{
    const struct rider_target target = webhook_request_target(delivery->event->target);
    struct rider_bytes body = delivery->event->body;
    CURL *easy = transfer->easy;

    forget_last(transfer);
    webhook_attempt_begin(&transfer->attempt, target.keep_response < BODY_MAX
                                                  ? target.keep_response
                                                  : BODY_MAX);
    transfer->endpoint = endpoint;
    transfer->delivery = delivery;
    transfer->headers = headers;
    return set_wishes(transfer, &target, tls) &&
           curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data) == CURLE_OK;
}

bool webhook_transfer_again(struct webhook_transfer *transfer)
{
    uint64_t spent_ms = webhook_attempt_spent_us(&transfer->attempt) / 1000u;

    transfer->unclean = false;
    return set_deadline(transfer, spent_ms < transfer->limit_ms
                                      ? transfer->limit_ms - spent_ms
                                      : 1u) &&
           curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK;
}

/** Whether the exchange never got past the proxy. An HTTP proxy says so when it has
 *  connected; behind a SOCKS proxy, trouble with TLS is the endpoint's. */
static bool ended_at_proxy(const struct webhook_transfer *transfer, CURLcode code,
                           long proxy_status)
{
    bool tls = code == CURLE_SSL_CONNECT_ERROR ||
               code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM;
    bool socks = transfer->config->proxy != NULL &&
                 strncasecmp(transfer->config->proxy, "socks", strlen("socks")) == 0;

    if (!transfer->guard->proxied || transfer->requests > 0) {
        return false;
    }
    return socks ? !tls : proxy_status < 200 || proxy_status > 299;
}

struct webhook_exchange webhook_transfer_result(const struct webhook_transfer *transfer,
                                                CURLcode code)
{
    uint64_t started_ms = transfer->attempt.started_mono_us / 1000u;
    struct webhook_exchange exchange = {
        .code = code,
        .answered = transfer->answered,
        .cut = transfer->cut,
        .sent = transfer->requests > 0,
        .blocked =
            transfer->stopped || (transfer->refused > 0 && transfer->opened == 0),
        .peer_alive = transfer->endpoint->answered_ms > started_ms,
        .resolved = transfer->refused + transfer->opened > 0,
        .starved = transfer->starved,
        .retry_after_ms = transfer->retry_after_ms,
    };

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE,
                            &exchange.proxy_status);
    exchange.at_proxy = ended_at_proxy(transfer, code, exchange.proxy_status);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &exchange.status);
    /* libcurl has no memory for a header line of more than 100 KB. */
    if (code == CURLE_OUT_OF_MEMORY && exchange.sent && exchange.status >= 200) {
        exchange.answered = true;
        exchange.cut = true;
    }
    exchange.status = exchange.answered ? exchange.status : 0;
    return exchange;
}

bool webhook_transfer_tell(const struct webhook_transfer *transfer,
                           const struct webhook_exchange *exchange,
                           struct rider_attempt *ret)
{
    if (transfer->starved && transfer->requests == 0 && transfer->opened == 0) {
        return false;
    }
    webhook_attempt_tell(&transfer->attempt, transfer->easy,
                         transfer->requests > 0 && transfer->opened == 0, ret);
    ret->requests = transfer->requests;
    ret->category = webhook_category(exchange);
    if (exchange->code == CURLE_GOT_NOTHING) {
        ret->first_byte_us = 0; /* libcurl takes the end for a byte */
    }
    return true;
}

bool webhook_transfer_end(struct webhook_transfer *transfer)
{
    bool usable = true;

    if (transfer->requests > 1) {
        /* libcurl counts its repetitions over the life of a handle and gives up at
         * the sixth; only a reset sets that count back. */
        curl_easy_reset(transfer->easy);
        usable = set_up(transfer);
    }
    (void)curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, NULL);
    (void)curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, NULL);
    webhook_attempt_done(&transfer->attempt);
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
    transfer->endpoint = NULL;
    transfer->delivery = NULL;
    return usable;
}
