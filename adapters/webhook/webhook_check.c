/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_check.c - the rules across options, and all rules for a target.
 *
 * A destination either has one endpoint, described by url and secret, or it has
 * subscriptions, each of which brings its own; a mixture would leave open where an
 * event goes. Targets are judged by the functions that judge a delivery; the answer is
 * a courtesy, the guard of each connection decides anew.
 *
 * Not here: URLs (webhook_url.c), addresses (webhook_target.c).
 */
#include "webhook/webhook_check.h"

#include "webhook/webhook_endpoint.h"
#include "webhook/webhook_guard.h"
#include "webhook/webhook_request.h"
#include "webhook/webhook_tls.h"
#include "webhook/webhook_url.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define END_OF(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))

bool webhook_has_subscriptions(const struct rider_host *host)
{
    return host->struct_size >= END_OF(struct rider_host, flags) &&
           (host->flags & RIDER_HOST_SUBSCRIPTIONS) != 0;
}

static int check_own(const struct webhook_config *config,
                     const struct webhook_policy *policy, char *err, size_t err_size)
{
    char why[300];

    if (config->url == NULL || config->secret == NULL) {
        (void)snprintf(err, err_size,
                       "%s is missing: a destination without subscriptions needs one",
                       config->url == NULL ? "url" : "secret");
        return EINVAL;
    }
    int rc =
        webhook_url_check(policy, config->allow_http, config->url, why, sizeof(why));

    if (rc != 0) {
        (void)snprintf(err, err_size, "url: %s", why);
    }
    return rc;
}

static int check_none(const struct webhook_config *config, char *err, size_t err_size)
{
    const struct {
        const char *name, *value;
    } options[] = {{"url", config->url},
                   {"secret", config->secret},
                   {"previous_secret", config->previous_secret}};

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (options[i].value != NULL) {
            (void)snprintf(err, err_size,
                           "%s is not allowed with subscriptions: each of them has its "
                           "own",
                           options[i].name);
            return EINVAL;
        }
    }
    return 0;
}

int webhook_check_options(const struct webhook_config *config, bool subscriptions,
                          struct webhook_policy *policy, char *err, size_t err_size)
{
    int rc =
        webhook_policy_init(policy, config->allow_cidrs, config->ports, err, err_size);

    if (rc == 0) {
        rc = subscriptions ? check_none(config, err, err_size)
                           : check_own(config, policy, err, err_size);
    }
    if (rc == 0 && (config->cert_file == NULL) != (config->key_file == NULL)) {
        (void)snprintf(err, err_size, "cert_file and key_file go together");
        rc = EINVAL;
    }
    if (rc == 0 && config->tls_folder != NULL &&
        strlen(config->tls_folder) > WEBHOOK_TLS_FOLDER_MAX) {
        (void)snprintf(err, err_size, "tls_folder is longer than %d bytes",
                       WEBHOOK_TLS_FOLDER_MAX);
        rc = EINVAL;
    }
    return rc;
}

/** A file, or a folder. */
static int check_file(const char *option, const char *path, char *err, size_t err_size)
{
    FILE *file = path != NULL ? fopen(path, "re") : NULL;

    if (path != NULL && file == NULL) {
        int rc = errno;
        char reason[128];

        (void)snprintf(err, err_size, "%s: could not open \"%s\": %s", option, path,
                       strerror_r(rc, reason, sizeof(reason)));
        return rc;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return 0;
}

int webhook_check_files(const struct webhook_config *config, char *err, size_t err_size)
{
    int rc = check_file("ca_file", config->ca_file, err, err_size);

    rc = rc != 0 ? rc : check_file("cert_file", config->cert_file, err, err_size);
    rc = rc != 0 ? rc : check_file("key_file", config->key_file, err, err_size);
    return rc != 0 ? rc : check_file("tls_folder", config->tls_folder, err, err_size);
}

static int fault(struct rider_target_fault *ret, enum rider_cause cause,
                 const char *member, const char *detail)
{
    ret->cause = (uint32_t)cause;
    ret->member = member;
    (void)snprintf(ret->detail, sizeof(ret->detail), "%.150s", detail);
    return -1;
}

/** Judges what the name resolves to now: OK if one address may be dialled, or if
 *  there is none. */
static enum webhook_judgement judge_name(const struct webhook_policy *policy,
                                         const char *url)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char host[WEBHOOK_HOST_MAX], port[WEBHOOK_PORT_MAX];
    enum webhook_judgement judgement = WEBHOOK_ADDRESS_OK;
    struct webhook_guard guard = {.policy = policy};
    struct addrinfo *list = NULL;

    if (!webhook_url_host(url, host, port) ||
        getaddrinfo(host, port, &hints, &list) != 0) {
        return WEBHOOK_ADDRESS_OK;
    }
    for (const struct addrinfo *one = list; one != NULL; one = one->ai_next) {
        judgement = webhook_guard_judge(&guard, one->ai_addr);
        if (judgement == WEBHOOK_ADDRESS_OK) {
            break;
        }
    }
    freeaddrinfo(list);
    return judgement;
}

static int check_url(const struct webhook_config *config,
                     const struct webhook_policy *policy, struct rider_bytes text,
                     struct rider_target_fault *ret)
{
    char url[WEBHOOK_URL_MAX + 1], why[300];

    if (!webhook_url_copy(text.data, text.len, url)) {
        return fault(ret, RIDER_CAUSE_INVALID_PAYLOAD, "url",
                     "the URL is longer than 2048 bytes or contains NUL");
    }
    int rc = webhook_url_check(policy, config->allow_http, url, why, sizeof(why));

    if (rc != 0) {
        return fault(ret,
                     rc == EACCES            ? RIDER_CAUSE_BLOCKED_ADDRESS
                     : rc == EPROTONOSUPPORT ? RIDER_CAUSE_TLS
                                             : RIDER_CAUSE_INVALID_PAYLOAD,
                     "url", why);
    }
    if (config->proxy != NULL && config->proxy[0] != '\0') {
        return 0; /* the proxy resolves, and has to judge */
    }
    enum webhook_judgement judgement = judge_name(policy, url);

    if (judgement != WEBHOOK_ADDRESS_OK) {
        (void)snprintf(why, sizeof(why), "the host has no other address than %s",
                       webhook_judgement_text(judgement));
        return fault(ret, RIDER_CAUSE_BLOCKED_ADDRESS, "url", why);
    }
    return 0;
}

static int check_secrets(const struct rider_target *target,
                         struct rider_target_fault *ret)
{
    struct rider_key keys[WEBHOOK_MAX_SECRETS] = {0};
    size_t n = 0;

    if (target->n_secrets == 0) {
        return 0;
    }
    enum rider_signature_status status =
        webhook_endpoint_keys(target->secrets, target->n_secrets, keys, &n);

    explicit_bzero(keys, sizeof(keys));
    return status == RIDER_SIGNATURE_OK
               ? 0
               : fault(ret, RIDER_CAUSE_SECRET_UNDECRYPTABLE, "secrets",
                       rider_signature_text(status));
}

int webhook_check_target(const struct webhook_config *config,
                         const struct webhook_policy *policy,
                         const struct rider_target *target,
                         struct rider_target_fault *ret)
{
    const struct rider_target known = webhook_request_target(target);
    struct webhook_tls tls;
    const char *member = NULL;
    const char *why = webhook_request_check_headers(known.headers, known.n_headers);

    if (why != NULL) {
        return fault(ret, RIDER_CAUSE_INVALID_PAYLOAD, "headers", why);
    }
    if (check_secrets(&known, ret) != 0) {
        return -1;
    }
    why = webhook_tls_find(config->tls_folder, &known, &tls, &member);
    if (why != NULL) {
        return fault(ret, RIDER_CAUSE_TLS, member, why);
    }
    return check_url(config, policy, known.url, ret);
}
