/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drive_targets.c - reads the target.* keys and makes the targets.
 */
#include "contract/drive_targets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rider_bytes bytes_of(const char *text)
{
    return (struct rider_bytes){text, strlen(text)};
}

static bool set_number(struct drive_targets *targets, const char *key,
                       const char *value)
{
    unsigned long number = strtoul(value, NULL, 10);

    if (strcmp(key, "count") == 0) {
        targets->n = number;
    } else if (strcmp(key, "sick") == 0) {
        targets->sick = number;
    } else if (strcmp(key, "rate") == 0) {
        targets->rate = number;
    } else if (strcmp(key, "timeout_ms") == 0) {
        targets->like.timeout_ms = (uint32_t)number;
    } else if (strcmp(key, "keep_response") == 0) {
        targets->like.keep_response = (uint32_t)number;
    } else if (strcmp(key, "flags") == 0) {
        targets->like.flags = (uint32_t)number;
    } else if (strcmp(key, "one_id") == 0) {
        targets->one_id = number != 0;
    } else if (strcmp(key, "step") == 0) {
        targets->step = number != 0;
    } else if (strcmp(key, "no_events") == 0) {
        targets->no_events = number != 0;
    } else if (strcmp(key, "check") == 0) {
        targets->check = number != 0;
    } else if (strcmp(key, "explain") == 0) {
        targets->explain = number != 0;
    } else {
        return false;
    }
    return true;
}

static bool add_header(struct drive_targets *targets, const char *value)
{
    const char *colon = strchr(value, ':');

    if (colon == NULL || targets->like.n_headers == DRIVE_TARGETS_HEADERS) {
        return false;
    }
    targets->headers[targets->like.n_headers++] =
        (struct rider_header){{value, (size_t)(colon - value)}, bytes_of(colon + 1)};
    return true;
}

/** The member that a key with a text fills, or NULL. */
static struct rider_bytes *member_of(struct drive_targets *targets, const char *key)
{
    const struct {
        const char *key;
        struct rider_bytes *member;
    } members[] = {{"url", &targets->url},
                   {"sick_url", &targets->sick_url},
                   {"ca_ref", &targets->like.ca_ref},
                   {"cert_ref", &targets->like.cert_ref},
                   {"sick_ca_ref", &targets->sick_ca_ref},
                   {"sick_cert_ref", &targets->sick_cert_ref}};

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (strcmp(key, members[i].key) == 0) {
            return members[i].member;
        }
    }
    return NULL;
}

static bool set_text(struct drive_targets *targets, const char *key, const char *value)
{
    struct rider_bytes *member = member_of(targets, key);

    if (member != NULL) {
        *member = bytes_of(value);
        return true;
    }
    if (strcmp(key, "header") == 0) {
        return add_header(targets, value);
    }
    if (strcmp(key, "secret") == 0 && targets->like.n_secrets < DRIVE_TARGETS_SECRETS) {
        targets->secrets[targets->like.n_secrets++] = bytes_of(value);
        return true;
    }
    return false;
}

/** Copies `url` with the number in place of "{n}". */
static void number_url(const char *url, size_t n, char *ret, size_t size)
{
    char number[24];
    size_t used = 0;
    int digits = snprintf(number, sizeof(number), "%zu", n);

    while (*url != '\0' && used + sizeof(number) < size) {
        if (strncmp(url, "{n}", 3) == 0) {
            memcpy(ret + used, number, (size_t)digits);
            used += (size_t)digits;
            url += 3;
        } else {
            ret[used++] = *url++;
        }
    }
    ret[used] = '\0';
}

static int make(struct drive_targets *targets)
{
    targets->list = calloc(targets->n, sizeof(targets->list[0]));
    if (targets->list == NULL) {
        return -1;
    }
    targets->like.struct_size = sizeof(targets->like);
    targets->like.secrets = targets->secrets;
    targets->like.headers = targets->headers;
    for (size_t i = 0; i < targets->n; i++) {
        struct drive_target *one = &targets->list[i];
        bool sick = i < targets->sick && targets->sick_url.len > 0;

        number_url(sick ? targets->sick_url.data : targets->url.data, i, one->url,
                   sizeof(one->url));
        (void)snprintf(one->id, sizeof(one->id), "sub_%zu", targets->one_id ? 0 : i);
        one->target = targets->like;
        one->target.id = bytes_of(one->id);
        one->target.url = bytes_of(one->url);
        if (sick && targets->sick_ca_ref.len > 0) {
            one->target.ca_ref = targets->sick_ca_ref;
        }
        if (sick && targets->sick_cert_ref.len > 0) {
            one->target.cert_ref = targets->sick_cert_ref;
        }
    }
    return 0;
}

int drive_targets_init(struct drive_targets *ret, char **pairs, size_t *n_pairs)
{
    static const char prefix[] = "target.";
    size_t kept = 0;

    *ret = (struct drive_targets){.n = 1};
    for (size_t i = 0; i < *n_pairs; i++) {
        char key[32];
        char *equals = strchr(pairs[i], '=');

        if (strncmp(pairs[i], prefix, strlen(prefix)) != 0) {
            pairs[kept++] = pairs[i];
            continue;
        }
        if (equals == NULL || (size_t)(equals - pairs[i]) >= sizeof(key)) {
            return -1;
        }
        (void)snprintf(key, sizeof(key), "%.*s",
                       (int)(equals - pairs[i] - (ptrdiff_t)strlen(prefix)),
                       pairs[i] + strlen(prefix));
        if (!set_text(ret, key, equals + 1) && !set_number(ret, key, equals + 1)) {
            return -1;
        }
    }
    *n_pairs = kept;
    if (ret->url.len == 0) {
        ret->n = 0;
        return 0;
    }
    return make(ret);
}

void drive_targets_done(struct drive_targets *targets)
{
    free(targets->list);
}

size_t drive_targets_of(const struct drive_targets *targets, uint64_t event)
{
    return targets->n > 0 ? (size_t)(event % targets->n) : 0;
}

const struct rider_target *drive_targets_get(const struct drive_targets *targets,
                                             uint64_t event)
{
    if (targets->n == 0 || targets->no_events) {
        return NULL;
    }
    return &targets->list[drive_targets_of(targets, event)].target;
}

void drive_targets_check(const struct drive_targets *targets,
                         const struct publisher_vtable *vt, struct publisher *self)
{
    for (size_t i = 0; targets->check && i < targets->n; i++) {
        struct rider_target_fault fault = {.struct_size = sizeof(fault)};
        int refused = vt->check_target == NULL
                          ? -1
                          : vt->check_target(self, &targets->list[i].target, &fault);

        (void)printf("{\"check\":%zu,\"refused\":%d,\"cause\":%" PRIu32
                     ",\"member\":\"%s\",\"detail\":\"",
                     i, refused, fault.cause, fault.member != NULL ? fault.member : "");
        for (const char *c = fault.detail; *c != '\0'; c++) {
            (void)printf(*c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
        }
        (void)printf("\"}\n");
    }
}
