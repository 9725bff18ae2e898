/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_check.c - the rules across options.
 *
 * A destination either has one endpoint, described by url and secret, or it has
 * subscriptions, each of which brings its own; a mixture would leave open where an
 * event goes.
 *
 * Not here: URLs (webhook_url.c), addresses (webhook_target.c).
 */
#include "webhook/webhook_check.h"

#include "webhook/webhook_tls.h"
#include "webhook/webhook_url.h"

#include <errno.h>
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
