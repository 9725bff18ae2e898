/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq_brokers.c - parses url and hosts, picks brokers, spaces attempts.
 *
 * The URL is split by the client library; what stands beside it in the options
 * replaces its parts. Texts of the URL never reach an error message, since it
 * holds the password.
 */
#include "rabbitmq/rabbitmq_brokers.h"

#include "rabbitmq/rabbitmq_amqp.h"
#include "rabbitmq/rabbitmq_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BACKOFF_INITIAL_MS 200
#define BACKOFF_MAX_MS     5000

static int refuse(char *err, size_t err_size, int code, const char *text)
{
    (void)snprintf(err, err_size, "%s", text);
    return code;
}

/** Copies `first` if given, else `second`; NULL stays NULL. */
static int copy_first(char **ret, const char *first, const char *second)
{
    const char *text = first ? first : second;
    *ret = text ? strdup(text) : NULL;
    return text && !*ret ? ENOMEM : 0;
}

static int add_broker(struct rabbitmq_brokers *b, const char *host, size_t len,
                      int port)
{
    if (b->n == RABBITMQ_BROKERS_MAX || len == 0) {
        return EINVAL;
    }
    char *copy = strndup(host, len);
    if (!copy) {
        return ENOMEM;
    }
    b->items[b->n++] = (struct rabbitmq_broker){.host = copy, .port = port};
    return 0;
}

/** Decimal port of len digits, or -1. */
static int parse_port(const char *text, size_t len)
{
    int port = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        port = port * 10 + (text[i] - '0');
        if (port > 65535) {
            return -1;
        }
    }
    return len > 0 && port > 0 ? port : -1;
}

/** "host", "host:port", "[v6]" or "[v6]:port". */
static int parse_host(struct rabbitmq_brokers *b, const char *text, size_t len)
{
    int port = b->tls ? 5671 : 5672;
    const char *end = text + len;
    const char *host = text;
    const char *host_end;
    if (len > 0 && *text == '[') {
        host = text + 1;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (!host_end) {
            return EINVAL;
        }
        text = host_end + 1;
    } else {
        host_end = memchr(host, ':', len);
        host_end = host_end ? host_end : end;
        text = host_end;
    }
    if (text != end) {
        port = *text == ':' ? parse_port(text + 1, (size_t)(end - text - 1)) : -1;
    }
    return port < 0 ? EINVAL : add_broker(b, host, (size_t)(host_end - host), port);
}

static int parse_hosts(struct rabbitmq_brokers *b, const char *hosts)
{
    for (const char *at = hosts;; at++) {
        at += strspn(at, " \t");
        size_t len = strcspn(at, ",");
        size_t used = len;
        while (used > 0 && (at[used - 1] == ' ' || at[used - 1] == '\t')) {
            used--;
        }
        int rc = parse_host(b, at, used);
        if (rc != 0) {
            return rc;
        }
        at += len;
        if (*at == '\0') {
            return 0;
        }
    }
}

/** Takes what the URL says and the options do not. `url` is overwritten. */
static int take_url(struct rabbitmq_brokers *b, const struct rabbitmq_config *config,
                    char *url)
{
    struct amqp_connection_info info;
    amqp_default_connection_info(&info);
    if (url && amqp_parse_url(url, &info) != AMQP_STATUS_OK) {
        return EINVAL;
    }
    b->tls = config->tls || info.ssl;
    /* "amqp://host/" means the default virtual host to everybody who writes it. */
    const char *vhost = info.vhost && *info.vhost ? info.vhost : "/";
    int rc = copy_first(&b->vhost, config->vhost, vhost);
    rc = rc ? rc : copy_first(&b->username, config->username, info.user);
    rc = rc ? rc : copy_first(&b->password, config->password, info.password);
    if (rc == 0 && url && !config->hosts) {
        int port = config->tls && !info.ssl && info.port == 5672 ? 5671 : info.port;
        rc = add_broker(b, info.host, strlen(info.host), port);
    }
    return rc;
}

static int copy_rest(struct rabbitmq_brokers *b, const struct rabbitmq_config *config,
                     const char *destination)
{
    int rc = copy_first(&b->ca_file, config->ca_file, NULL);
    rc = rc ? rc : copy_first(&b->cert_file, config->cert_file, NULL);
    rc = rc ? rc : copy_first(&b->key_file, config->key_file, NULL);
    rc = rc ? rc : copy_first(&b->connection_name, destination, "");
    b->verify = config->verify;
    b->external = config->auth == RABBITMQ_AUTH_EXTERNAL;
    b->heartbeat_s = (int)((config->heartbeat_ms + 999) / 1000);
    b->connect_timeout_ms = config->connect_timeout_ms;
    if (getrandom(&b->random, sizeof(b->random), GRND_NONBLOCK) < 0) {
        b->random = (uint64_t)(uintptr_t)b;
    }
    b->random |= 1;
    return rc;
}

static int fill(struct rabbitmq_brokers *b, const struct rabbitmq_config *config,
                const char *destination, char *err, size_t err_size)
{
    if (!config->url && !config->hosts) {
        return refuse(err, err_size, EINVAL, "one of url and hosts is needed");
    }
    if (!config->cert_file != !config->key_file) {
        return refuse(err, err_size, EINVAL, "cert_file and key_file need each other");
    }
    if (config->auth == RABBITMQ_AUTH_EXTERNAL && !config->cert_file) {
        return refuse(err, err_size, EINVAL,
                      "auth: external needs cert_file and key_file");
    }
    char *url = config->url ? strdup(config->url) : NULL;
    if (config->url && !url) {
        return refuse(err, err_size, ENOMEM, "out of memory");
    }
    int rc = take_url(b, config, url);
    if (url) {
        explicit_bzero(url, strlen(config->url));
        free(url);
    }
    if (rc != 0) {
        return refuse(
            err, err_size, rc,
            "url must be amqp[s]://user:password@host:port/vhost, with / and % "
            "in names percent-encoded");
    }
    rc = config->hosts ? parse_hosts(b, config->hosts) : 0;
    if (rc != 0) {
        return refuse(err, err_size, rc,
                      "hosts must be up to 16 of host:port, separated by commas");
    }
    rc = copy_rest(b, config, destination);
    return rc == 0 ? 0 : refuse(err, err_size, rc, "out of memory");
}

int rabbitmq_brokers_init(struct rabbitmq_brokers *b,
                          const struct rabbitmq_config *config, const char *destination,
                          char *err, size_t err_size)
{
    memset(b, 0, sizeof(*b));
    int rc = fill(b, config, destination, err, err_size);
    if (rc != 0) {
        rabbitmq_brokers_done(b);
        return rc;
    }
    b->next = (size_t)(b->random >> 32) % b->n;
    return 0;
}

void rabbitmq_brokers_done(struct rabbitmq_brokers *b)
{
    if (b->password) {
        explicit_bzero(b->password, strlen(b->password));
    }
    for (size_t i = 0; i < b->n; i++) {
        free(b->items[i].host);
    }
    free(b->vhost);
    free(b->username);
    free(b->password);
    free(b->ca_file);
    free(b->cert_file);
    free(b->key_file);
    free(b->connection_name);
    memset(b, 0, sizeof(*b));
}

const struct rabbitmq_broker *rabbitmq_brokers_next(struct rabbitmq_brokers *b)
{
    return &b->items[b->next];
}

/** xorshift64*: jitter needs no more. */
static uint64_t random_below(struct rabbitmq_brokers *b, uint64_t n)
{
    b->random ^= b->random >> 12;
    b->random ^= b->random << 25;
    b->random ^= b->random >> 27;
    return ((b->random * 2685821657736338717u) >> 11) % n;
}

uint64_t rabbitmq_brokers_failed(struct rabbitmq_brokers *b)
{
    b->next = (b->next + 1) % b->n;
    b->failures++;
    if (b->failures % b->n != 0) {
        return 0;
    }
    uint64_t round = b->failures / b->n;
    uint64_t cap = BACKOFF_MAX_MS;
    if (round < 6) {
        cap = (uint64_t)BACKOFF_INITIAL_MS << round;
    }
    cap = cap < BACKOFF_MAX_MS ? cap : BACKOFF_MAX_MS;
    return BACKOFF_INITIAL_MS / 4 + random_below(b, cap);
}

void rabbitmq_brokers_succeeded(struct rabbitmq_brokers *b)
{
    b->failures = 0;
}
