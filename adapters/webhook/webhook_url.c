/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_url.c - the rules for URLs.
 *
 * Characters are refused before any parser sees them, because parsers disagree
 * about white space and backslashes. The parts come from libcurl's own parser,
 * which also turns 0x7f.1 or 2130706433 into dotted form.
 *
 * Not here: the decision about addresses (webhook_target.c).
 */
#include "webhook/webhook_url.h"
#include "webhook/webhook_target.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** The parts of a URL, owned; NULL when absent. */
struct url_parts {
    CURLU *handle;
    char *scheme, *host, *port;
};

static void parts_done(struct url_parts *parts)
{
    curl_free(parts->scheme);
    curl_free(parts->host);
    curl_free(parts->port);
    curl_url_cleanup(parts->handle);
}

static bool parts_init(struct url_parts *parts, const char *url)
{
    memset(parts, 0, sizeof(*parts));
    parts->handle = curl_url();
    return parts->handle != NULL &&
           curl_url_set(parts->handle, CURLUPART_URL, url, CURLU_DISALLOW_USER) ==
               CURLUE_OK &&
           curl_url_get(parts->handle, CURLUPART_SCHEME, &parts->scheme, 0) ==
               CURLUE_OK &&
           curl_url_get(parts->handle, CURLUPART_HOST, &parts->host, 0) == CURLUE_OK &&
           curl_url_get(parts->handle, CURLUPART_PORT, &parts->port,
                        CURLU_DEFAULT_PORT) == CURLUE_OK;
}

/** A reason to refuse the raw text, or NULL. */
static const char *bad_characters(const char *url)
{
    size_t len = strlen(url);

    if (len > WEBHOOK_URL_MAX) {
        return "the URL is longer than 2048 bytes";
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)url[i];

        if (c <= ' ' || c == '\\' || c == 0x7f) {
            return "the URL contains a space, a backslash or a control character";
        }
        if (c > 0x7f) {
            return "the URL contains non-ASCII characters (write the host in punycode)";
        }
        if (c == '#') {
            return "the URL has a fragment";
        }
    }
    /* libcurl's parser also takes one slash or three. */
    const char *authority = strstr(url, "://");

    if (authority == NULL || strcspn(url, "/") != (size_t)(authority + 1 - url) ||
        authority[3] == '/' || authority[3] == '\0') {
        return "the URL must look like https://host/path";
    }
    /* It is decoded after numbers have been recognized: %35 would be a name here and
     * 0.0.0.5 to a resolver. */
    return memchr(authority, '%', strcspn(authority + 3, "/?") + 3) != NULL
               ? "the URL has percent-encoding in its host"
               : NULL;
}

static const char *bad_parts(const struct url_parts *parts)
{
    char *zone = NULL;

    if (strcmp(parts->scheme, "https") != 0 && strcmp(parts->scheme, "http") != 0) {
        return "the URL must start with https://";
    }
    if (parts->host[0] == '\0' || strchr(parts->host, '%') != NULL) {
        return "the URL has no usable host";
    }
    if (curl_url_get(parts->handle, CURLUPART_ZONEID, &zone, 0) == CURLUE_OK) {
        curl_free(zone);
        return "the URL has an IPv6 zone";
    }
    return strcmp(parts->port, "0") == 0 ? "the URL has port 0" : NULL;
}

/** The socket address of a literal host; false for a name. */
static bool literal_address(const struct url_parts *parts, struct sockaddr_storage *ret)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    char host[INET6_ADDRSTRLEN + 2];
    size_t len = strlen(parts->host);
    uint16_t port = htons((uint16_t)strtoul(parts->port, NULL, 10));

    if (len >= sizeof(host)) {
        return false;
    }
    memcpy(host, parts->host, len + 1);
    in.sin_port = port;
    in6.sin6_port = port;
    if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
        memcpy(ret, &in, sizeof(in));
        return true;
    }
    if (host[0] != '[' || len < 4) {
        return false;
    }
    host[len - 1] = '\0';
    if (inet_pton(AF_INET6, host + 1, &in6.sin6_addr) != 1) {
        return false;
    }
    memcpy(ret, &in6, sizeof(in6));
    return true;
}

/** What the policy says before any name is resolved. */
static enum webhook_judgement judge(const struct webhook_policy *policy,
                                    const struct url_parts *parts)
{
    struct sockaddr_storage address;

    if (literal_address(parts, &address)) {
        return webhook_policy_judge(policy, (const struct sockaddr *)&address, NULL);
    }
    /* Without exceptions the port is judged alike whatever the address is. */
    unsigned long port = strtoul(parts->port, NULL, 10);

    return policy->n_allowed > 0 || webhook_policy_has_port(policy, (uint16_t)port)
               ? WEBHOOK_ADDRESS_OK
               : WEBHOOK_ADDRESS_PORT;
}

int webhook_url_check(const struct webhook_policy *policy, bool allow_http,
                      const char *url, char *err, size_t err_size)
{
    struct url_parts parts = {0};
    enum webhook_judgement judgement = WEBHOOK_ADDRESS_OK;
    const char *why = bad_characters(url);
    int rc = EINVAL;

    if (why == NULL && !parts_init(&parts, url)) {
        why = "the URL cannot be parsed, or carries a user name";
    }
    if (why == NULL) {
        why = bad_parts(&parts);
    }
    if (why == NULL && !allow_http && strcmp(parts.scheme, "http") == 0) {
        why = "http:// needs allow_http: true";
        rc = EPROTONOSUPPORT;
    }
    if (why == NULL && policy != NULL) {
        judgement = judge(policy, &parts);
    }
    if (why != NULL) {
        (void)snprintf(err, err_size, "%s", why);
    } else if (judgement != WEBHOOK_ADDRESS_OK) {
        (void)snprintf(err, err_size, "%s port %s is %s", parts.host, parts.port,
                       webhook_judgement_text(judgement));
        rc = EACCES;
    } else {
        rc = 0;
    }
    parts_done(&parts);
    return rc;
}

bool webhook_url_copy(const char *data, size_t len, char ret[WEBHOOK_URL_MAX + 1])
{
    if (len > WEBHOOK_URL_MAX || (len > 0 && memchr(data, '\0', len) != NULL)) {
        return false;
    }
    if (len > 0) {
        memcpy(ret, data, len);
    }
    ret[len] = '\0';
    return true;
}

bool webhook_url_host(const char *url, char ret_host[WEBHOOK_HOST_MAX],
                      char ret_port[WEBHOOK_PORT_MAX])
{
    struct url_parts parts;
    bool fits = parts_init(&parts, url) && strlen(parts.host) < WEBHOOK_HOST_MAX &&
                strlen(parts.port) < WEBHOOK_PORT_MAX;

    if (fits) {
        size_t len = strlen(parts.host), skip = parts.host[0] == '[' ? 1 : 0;

        memcpy(ret_host, parts.host + skip, len - 2 * skip);
        ret_host[len - 2 * skip] = '\0';
        (void)snprintf(ret_port, WEBHOOK_PORT_MAX, "%s", parts.port);
    }
    parts_done(&parts);
    return fits;
}

void webhook_url_origin(const char *url, char ret[WEBHOOK_ORIGIN_MAX])
{
    struct url_parts parts;

    if (parts_init(&parts, url)) {
        (void)snprintf(ret, WEBHOOK_ORIGIN_MAX, "%s://%s:%s", parts.scheme, parts.host,
                       parts.port);
    } else {
        (void)snprintf(ret, WEBHOOK_ORIGIN_MAX, "invalid URL");
    }
    parts_done(&parts);
}
