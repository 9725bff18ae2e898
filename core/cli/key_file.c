/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_file.c - keys of webhook signatures from files.
 */
#include "cli/key_file.h"

#include "cli/cli_input.h"

#include <string.h>

#define MAX_FILE ((size_t)64 * 1024)

static int add_key(struct key_file *keys, const char *path, unsigned int line,
                   const char *text, struct rider_error *err)
{
    enum rider_signature_status status;

    if (keys->n == KEY_FILE_MAX_KEYS) {
        return rider_fail(err, RIDER_E_CONFIG, "more than %d keys", KEY_FILE_MAX_KEYS);
    }
    status = rider_key_parse(text, 1, &keys->keys[keys->n]);
    if (status != RIDER_SIGNATURE_OK) {
        return rider_fail(err, RIDER_E_CONFIG, "%s:%u: %s", path, line,
                          rider_signature_text(status));
    }
    if (keys->keys[keys->n].kind == RIDER_KEY_ED25519_SECRET) {
        rider_key_clear(&keys->keys[keys->n]);
        return rider_fail(err, RIDER_E_CONFIG,
                          "%s:%u: a whsk_ key signs; verifying takes its whpk_ key",
                          path, line);
    }
    keys->n++;
    return 0;
}

/* Cuts `text` into lines in place. */
static int add_lines(struct key_file *keys, const char *path, char *text,
                     struct rider_error *err)
{
    char *rest = text;
    char *line;
    size_t before = keys->n;

    for (unsigned int number = 1; (line = strsep(&rest, "\n")) != NULL; number++) {
        line += strspn(line, " \t");
        line[strcspn(line, " \t\r")] = '\0';
        if (line[0] == '\0' || line[0] == '#') {
            continue;
        }
        int rc = add_key(keys, path, number, line, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (keys->n == before) {
        return rider_fail(err, RIDER_E_CONFIG, "\"%s\" holds no key", path);
    }
    return 0;
}

int key_file_read_all(const struct cli_args *args, struct key_file *ret,
                      struct rider_error *err)
{
    const char *path;
    size_t at = 0;
    int rc = 0;

    memset(ret, 0, sizeof(*ret));
    while (rc == 0 && (path = cli_arg_next(args, "secret-file", &at)) != NULL) {
        struct buf text = buf_make(MAX_FILE);

        rc = cli_input_read(path, &text, err);
        if (rc == 0 && text.len == 0) {
            rc = rider_fail(err, RIDER_E_CONFIG, "\"%s\" holds no key", path);
        }
        if (rc == 0) {
            rc = add_lines(ret, path, text.data, err);
        }
        if (text.data != NULL) {
            explicit_bzero(text.data, text.len);
        }
        buf_done(&text);
    }
    if (rc != 0) {
        key_file_clear(ret);
    }
    return rc;
}

void key_file_clear(struct key_file *keys)
{
    for (size_t i = 0; i < keys->n; i++) {
        rider_key_clear(&keys->keys[i]);
    }
    keys->n = 0;
}
