/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_auth.c - who may use the HTTP API.
 *
 * The file is parsed into a list, and the list is exchanged as a whole. A token has
 * 256 random bits, so one round of SHA-256 is enough; comparing digests tells
 * nothing about a token, and still takes the same time for every request.
 *
 * Invariant: no file is read under the lock.
 * Not here: which route wants which scope (api_routes.c).
 */
#include "api/api_auth.h"

#include "base/log.h"
#include "webhooks/crypto.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#define DIGEST_SIZE    32
#define MAX_PRINCIPALS 256
#define MAX_LINE       256

struct entry {
    struct api_principal principal;
    unsigned char digest[DIGEST_SIZE];
};

struct token_list {
    struct timespec changed;
    off_t size;
    size_t n;
    struct entry entries[MAX_PRINCIPALS];
};

struct api_auth {
    char *path;
    pthread_mutex_t lock; /* guards list */
    struct token_list *list;
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_digest(const char *text, unsigned char out[DIGEST_SIZE])
{
    if (strlen(text) != (size_t)2 * DIGEST_SIZE) {
        return false;
    }
    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        int high = hex_value(text[2 * i]);
        int low = hex_value(text[2 * i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (unsigned char)(high * 16 + low);
    }
    return true;
}

static unsigned int scopes_of(const char *word)
{
    static const struct {
        const char *word;
        unsigned int scopes;
    } known[] = {
        {"read", API_READ | API_WEBHOOKS_READ},
        {"write", API_READ | API_WRITE | API_WEBHOOKS_READ | API_WEBHOOKS_WRITE},
        {"webhooks.read", API_WEBHOOKS_READ},
        {"webhooks.write", API_WEBHOOKS_READ | API_WEBHOOKS_WRITE},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(word, known[i].word) == 0) {
            return known[i].scopes;
        }
    }
    return 0;
}

/* Words between commas; cuts `text` up. */
static bool parse_scopes(char *text, unsigned int *ret)
{
    *ret = 0;
    for (char *word = text; word != NULL;) {
        char *next = strchr(word, ',');
        if (next != NULL) {
            *next++ = '\0';
        }
        unsigned int scopes = scopes_of(word);
        if (scopes == 0) {
            return false;
        }
        *ret |= scopes;
        word = next;
    }
    return true;
}

static bool parse_name(const char *text, char out[API_NAME_SIZE])
{
    size_t len = strlen(text);

    if (len >= API_NAME_SIZE) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)text[i]) && strchr("._-@", text[i]) == NULL) {
            return false;
        }
    }
    memcpy(out, text, len + 1);
    return true;
}

/* What is wrong with the line, or NULL. The line's text is never shown: it may be a
 * token that was put there by mistake. */
static const char *parse_line(char *line, struct token_list *list)
{
    char *rest = NULL;
    const char *name = strtok_r(line, " \t\r\n", &rest);
    char *scopes = strtok_r(NULL, " \t\r\n", &rest);
    const char *digest = strtok_r(NULL, " \t\r\n", &rest);

    if (name == NULL || name[0] == '#') {
        return NULL;
    }
    if (list->n == MAX_PRINCIPALS) {
        return "there are more than 256 principals";
    }
    struct entry *e = &list->entries[list->n];
    if (!parse_name(name, e->principal.name)) {
        return "the name takes up to 63 letters, digits and . _ - @";
    }
    if (scopes == NULL || !parse_scopes(scopes, &e->principal.scopes)) {
        return "the second word is the scopes: read, write, webhooks.read and "
               "webhooks.write, with commas between them";
    }
    if (digest == NULL || !parse_digest(digest, e->digest)) {
        return "the third word is the SHA-256 of the token, 64 hex digits";
    }
    if (strtok_r(NULL, " \t\r\n", &rest) != NULL) {
        return "there is a fourth word";
    }
    list->n++;
    return NULL;
}

static int parse_file(FILE *file, const char *path, struct token_list *list,
                      struct rider_error *err)
{
    char line[MAX_LINE];

    for (unsigned int number = 1; fgets(line, sizeof(line), file) != NULL; number++) {
        const char *problem = strlen(line) == sizeof(line) - 1 ? "the line is too long"
                                                               : parse_line(line, list);
        if (problem != NULL) {
            return rider_fail(err, RIDER_E_CONFIG, "\"%s\" line %u: %s", path, number,
                              problem);
        }
    }
    if (ferror(file) != 0) {
        return rider_fail_errno(err, RIDER_E_IO, errno, "could not read \"%s\"", path);
    }
    if (list->n == 0) {
        return rider_fail(err, RIDER_E_CONFIG, "\"%s\" names no principal", path);
    }
    return 0;
}

static int read_list(const char *path, struct token_list **ret, struct rider_error *err)
{
    struct stat st;
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        return rider_fail_errno(err, RIDER_E_IO, errno, "could not open \"%s\"", path);
    }
    struct token_list *list = calloc(1, sizeof(*list));
    int rc = 0;
    if (list == NULL) {
        rc = rider_fail(err, RIDER_E_NOMEM, "out of memory");
    } else if (fstat(fileno(file), &st) != 0 || (st.st_mode & S_IWOTH) != 0) {
        rc = rider_fail(err, RIDER_E_CONFIG,
                        "\"%s\" can be written by everybody: chmod o-w", path);
    } else {
        list->changed = st.st_mtim;
        list->size = st.st_size;
        rc = parse_file(file, path, list, err);
    }
    (void)fclose(file);
    if (rc != 0) {
        free(list);
        return rc;
    }
    *ret = list;
    return 0;
}

int api_auth_create(const char *path, struct api_auth **ret, struct rider_error *err)
{
    struct token_list *list = NULL;
    int rc = read_list(path, &list, err);

    if (rc != 0) {
        return rc;
    }
    struct api_auth *auth = calloc(1, sizeof(*auth));
    char *copy = strdup(path);
    if (auth == NULL || copy == NULL) {
        free(auth);
        free(copy);
        free(list);
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    auth->path = copy;
    auth->list = list;
    (void)pthread_mutex_init(&auth->lock, NULL);
    *ret = auth;
    return 0;
}

void api_auth_destroy(struct api_auth *auth)
{
    if (auth == NULL) {
        return;
    }
    (void)pthread_mutex_destroy(&auth->lock);
    free(auth->list);
    free(auth->path);
    free(auth);
}

static bool is_current(struct api_auth *auth, const struct stat *st)
{
    (void)pthread_mutex_lock(&auth->lock);
    bool same = auth->list->changed.tv_sec == st->st_mtim.tv_sec &&
                auth->list->changed.tv_nsec == st->st_mtim.tv_nsec &&
                auth->list->size == st->st_size;
    (void)pthread_mutex_unlock(&auth->lock);
    return same;
}

/* The times of a bad file are remembered, so that it is complained about once. */
static void keep_old(struct api_auth *auth, const struct stat *st,
                     const struct rider_error *err)
{
    (void)pthread_mutex_lock(&auth->lock);
    auth->list->changed = st->st_mtim;
    auth->list->size = st->st_size;
    (void)pthread_mutex_unlock(&auth->lock);
    log_error("api", "api.tokens_refused", "%s, keeping the old tokens", err->text);
}

static void reload_if_changed(struct api_auth *auth)
{
    struct rider_error err = {.code = RIDER_OK, .text = ""};
    struct token_list *list = NULL;
    struct stat st;

    if (stat(auth->path, &st) != 0 || is_current(auth, &st)) {
        return; /* being replaced: the next request looks again */
    }
    if (read_list(auth->path, &list, &err) != 0) {
        keep_old(auth, &st, &err);
        return;
    }
    (void)pthread_mutex_lock(&auth->lock);
    struct token_list *old = auth->list;
    auth->list = list;
    (void)pthread_mutex_unlock(&auth->lock);
    free(old);
    log_info("api", "api.tokens_read", "token file read again");
}

bool api_auth_check(struct api_auth *auth, const char *header,
                    struct api_principal *ret)
{
    unsigned char digest[CRYPTO_SHA256_LEN];
    bool found = false;

    if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0 || header[7] == '\0') {
        return false;
    }
    const struct crypto_part token = {header + 7, strlen(header + 7)};
    if (!crypto_sha256(&token, 1, digest)) {
        return false;
    }
    reload_if_changed(auth);
    (void)pthread_mutex_lock(&auth->lock);
    for (size_t i = 0; i < auth->list->n; i++) {
        const struct entry *e = &auth->list->entries[i];

        if (crypto_equal(e->digest, digest, sizeof(digest))) {
            *ret = e->principal;
            found = true;
        }
    }
    (void)pthread_mutex_unlock(&auth->lock);
    return found;
}
