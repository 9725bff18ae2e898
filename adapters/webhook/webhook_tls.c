/* SPDX-License-Identifier: Apache-2.0 */
/*
 * webhook_tls.c - from a name to the files of that name.
 *
 * Names are letters, digits, "_" and "-": nothing in them can leave the folder.
 *
 * Not here: what is in the files; libcurl reads them when it connects.
 */
#include "webhook/webhook_tls.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_name(struct rider_bytes name)
{
    const unsigned char *s = name.data;

    for (size_t i = 0; i < name.len; i++) {
        bool alnum = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
                     (s[i] >= '0' && s[i] <= '9');

        if (!alnum && s[i] != '_' && s[i] != '-') {
            return false;
        }
    }
    return name.len > 0 && name.len <= WEBHOOK_TLS_NAME_MAX;
}

/** Whether the file of a checked name can be read; its path is in `ret`. */
static bool find(const char *folder, struct rider_bytes name, const char *suffix,
                 char ret[WEBHOOK_TLS_PATH_MAX])
{
    char text[WEBHOOK_TLS_NAME_MAX + 1];

    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    int len = snprintf(ret, WEBHOOK_TLS_PATH_MAX, "%s/%s%s", folder, text, suffix);

    if (len < 0 || (size_t)len >= WEBHOOK_TLS_PATH_MAX) {
        return false;
    }
    return access(ret, R_OK) == 0;
}

const char *webhook_tls_find(const char *folder, const struct rider_target *target,
                             struct webhook_tls *ret, const char **ret_member)
{
    bool wants_ca = target->ca_ref.len > 0, wants_cert = target->cert_ref.len > 0;

    ret->ca[0] = ret->cert[0] = ret->key[0] = '\0';
    *ret_member = wants_ca ? "ca_ref" : "cert_ref";
    if (!wants_ca && !wants_cert) {
        return NULL;
    }
    if (folder == NULL) {
        return "tls_folder is not set, so a subscription cannot name files";
    }
    if (wants_ca && !is_name(target->ca_ref)) {
        return "ca_ref is not 1 to 64 letters, digits, \"_\" or \"-\"";
    }
    if (wants_ca && !find(folder, target->ca_ref, ".ca.pem", ret->ca)) {
        return "tls_folder has no readable file NAME.ca.pem of that ca_ref";
    }
    *ret_member = "cert_ref";
    if (wants_cert && !is_name(target->cert_ref)) {
        return "cert_ref is not 1 to 64 letters, digits, \"_\" or \"-\"";
    }
    if (wants_cert && !(find(folder, target->cert_ref, ".cert.pem", ret->cert) &&
                        find(folder, target->cert_ref, ".key.pem", ret->key))) {
        return "tls_folder has no readable files NAME.cert.pem and NAME.key.pem of "
               "that "
               "cert_ref";
    }
    return NULL;
}
