/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings.c - the configuration file as a whole.
 *
 * File to text to tree, ${...} put in, then each section by its table. Every
 * step goes on after a mistake; the result is handed out only when there was
 * none. The tree and its arena end with the call, the settings' arena lives
 * with the settings.
 *
 * Not here: keys and defaults (sections.c), destinations.c, routes.c.
 */
#include "config/settings.h"

#include "base/cleanup.h"
#include "base/parse.h"
#include "config/env_expand.h"
#include "config/file_text.h"
#include "config/settings_build.h"
#include "config/yaml_reader.h"
#include "postrider/signature.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* What settings_destroy() gets back from a struct settings pointer. */
struct settings_owner {
    struct settings settings; /* first member */
    struct arena arena;
};

struct yaml_node *settings_section(struct settings_build *b,
                                   const struct yaml_node *map,
                                   const struct section *section)
{
    struct yaml_node *node = yaml_node_find(map, section->name);

    if (node != NULL) {
        return node;
    }
    struct yaml_node *empty = arena_alloc(b->tree, sizeof(*empty));
    if (empty != NULL) {
        *empty = (struct yaml_node){.kind = YAML_MAP,
                                    .key = section->name,
                                    .at = map->at,
                                    .key_at = map->at,
                                    .parent = map};
    }
    return empty;
}

const struct yaml_node *settings_list(struct settings_build *b,
                                      const struct section *section, size_t *ret_n)
{
    const struct yaml_node *node = yaml_node_find(b->root, section->name);

    *ret_n = 0;
    if (node == NULL || node->reported) {
        return NULL;
    }
    if (node->kind != YAML_LIST) {
        yaml_node_error(b->scope.problems, node, "expected a list, got %s",
                        yaml_node_describe(node));
        return NULL;
    }
    *ret_n = node->n_children;
    return node->children;
}

/* Puts DATABASE_URL in the place of a dsn that is not set. */
static void dsn_from_environment(struct settings_build *b, struct yaml_node *source)
{
    const char *url = secure_getenv("DATABASE_URL");

    if (source->kind != YAML_MAP || url == NULL || url[0] == '\0' ||
        yaml_node_find(source, "dsn") != NULL ||
        yaml_node_find(source, "dsn_file") != NULL) {
        return;
    }
    struct yaml_node *dsn = arena_alloc(b->tree, sizeof(*dsn));
    const char *text = arena_text(b->tree, url, strlen(url));
    if (dsn != NULL && text != NULL) {
        dsn->at = dsn->key_at = source->at;
        dsn->key = "dsn";
        dsn->text = text;
        dsn->expanded = true;
        yaml_node_append(source, dsn);
    }
}

static void read_source(struct settings_build *b)
{
    struct source_settings *source = &b->settings->source;
    struct yaml_node *map = settings_section(b, b->root, section_source());

    if (map == NULL) {
        return;
    }
    dsn_from_environment(b, map);
    option_table_apply(&section_source()->keys, map, &b->scope, source);
    if (source->poll_max_ms != 0 && source->poll_min_ms > source->poll_max_ms) {
        const struct yaml_node *node = yaml_node_find(map, "poll_min");
        yaml_node_error(b->scope.problems, node == NULL ? map : node,
                        "\"poll_min\" is larger than \"poll_max\"");
    }
}

/* "127.0.0.1:9464" or "[::1]:9464": numeric, as what a process listens on must
 * not depend on a resolver. */
static bool is_listen_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    bool v6 = text[0] == '[';
    unsigned char address[sizeof(struct in6_addr)];
    char host[INET6_ADDRSTRLEN];
    struct rider_error err;
    int64_t port;

    if (colon == NULL || (v6 && (colon - text < 3 || colon[-1] != ']')) ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        parse_int(colon + 1, &port, &err) != 0 || port > 65535) {
        return false;
    }
    size_t len = (size_t)(colon - text) - (v6 ? 2 : 0);
    if (len >= sizeof(host)) {
        return false;
    }
    memcpy(host, text + v6, len);
    host[len] = '\0';
    return inet_pton(v6 ? AF_INET6 : AF_INET, host, address) == 1;
}

static void read_ops(struct settings_build *b)
{
    struct ops_settings *ops = &b->settings->ops;
    const struct yaml_node *map = settings_section(b, b->root, section_ops());

    if (map == NULL) {
        return;
    }
    option_table_apply(&section_ops()->keys, map, &b->scope, ops);
    if (ops->listen != NULL && !is_listen_address(ops->listen)) {
        yaml_node_error(b->scope.problems, yaml_node_find(map, "listen"),
                        "expected an address and port such as 127.0.0.1:9464 or "
                        "[::1]:9464, got \"%.60s\"",
                        ops->listen);
    }
}

static bool is_loopback(const char *listen)
{
    return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]", 5) == 0;
}

static void read_api(struct settings_build *b)
{
    struct api_settings *api = &b->settings->api;
    const struct yaml_node *map = settings_section(b, b->root, section_api());

    if (map == NULL) {
        return;
    }
    option_table_apply(&section_api()->keys, map, &b->scope, api);
    if (api->listen == NULL) {
        return;
    }
    const struct yaml_node *listen = yaml_node_find(map, "listen");
    if (!is_listen_address(api->listen)) {
        yaml_node_error(b->scope.problems, listen,
                        "expected an address and port such as 127.0.0.1:8080 or "
                        "[::1]:8080, got \"%.60s\"",
                        api->listen);
    } else if (!is_loopback(api->listen) && !api->plaintext) {
        yaml_node_error(b->scope.problems, listen,
                        "the API speaks no TLS: listen on 127.0.0.1 or [::1], or, "
                        "behind a proxy, set \"plaintext\"");
    }
    if (api->token_file == NULL && yaml_node_find(map, "token_file") == NULL) {
        yaml_node_error(b->scope.problems, listen,
                        "\"token_file\" is missing: who may use the API");
    }
}

/* The text is never shown. */
static void check_signing_key(struct settings_build *b, const struct yaml_node *map)
{
    struct rider_key key;
    const char *text = b->settings->webhooks.signing_key;
    const struct yaml_node *node = yaml_node_find(map, "signing_key");
    bool good = rider_key_parse(text, 0, &key) == RIDER_SIGNATURE_OK &&
                key.kind == RIDER_KEY_ED25519_SECRET;

    rider_key_clear(&key);
    if (!good) {
        node = node != NULL ? node : yaml_node_find(map, "signing_key_file");
        yaml_node_error(b->scope.problems, node,
                        "expected \"whsk_\" and 32 or 64 bytes in padded base64");
    }
}

static void read_webhooks(struct settings_build *b)
{
    struct webhooks_settings *webhooks = &b->settings->webhooks;
    const struct yaml_node *map = settings_section(b, b->root, section_webhooks());

    if (map == NULL) {
        return;
    }
    option_table_apply(&section_webhooks()->keys, map, &b->scope, webhooks);
    if (webhooks->key_ring != NULL && webhooks->key_ring[0] != '/') {
        yaml_node_error(b->scope.problems, yaml_node_find(map, "key_ring"),
                        "expected an absolute path, got \"%.80s\"", webhooks->key_ring);
    }
    if (webhooks->signing_key != NULL) {
        check_signing_key(b, map);
    }
}

static void read_log(struct settings_build *b)
{
    const struct yaml_node *map = settings_section(b, b->root, section_log());

    if (map != NULL) {
        option_table_apply(&section_log()->keys, map, &b->scope, &b->settings->log);
    }
}

static void read_adapter_dir(struct settings_build *b)
{
    struct settings *s = b->settings;
    const char *built_in = b->load->default_adapter_dir;

    if (s->adapter_dir == NULL && built_in != NULL) {
        s->adapter_dir = arena_text(b->scope.arena, built_in, strlen(built_in));
    }
}

static void build(struct settings_build *b)
{
    struct settings *s = b->settings;

    s->path = arena_text(b->scope.arena, b->load->path, strlen(b->load->path));
    option_table_apply(&section_root()->keys, b->root, &b->scope, s);
    if (b->root->kind != YAML_MAP) {
        return;
    }
    read_adapter_dir(b);
    read_source(b);
    read_ops(b);
    read_api(b);
    read_webhooks(b);
    read_log(b);
    destinations_read(b);
    routes_read(b);
}

/* Reads `text` into owner->settings; mistakes go to `problems`. */
static void read_text(const struct settings_load *load, const struct buf *text,
                      bool exposed, struct settings_owner *owner,
                      struct problems *problems)
{
    RIDER_CLEANUP(arena_done) struct arena tree = {0};
    struct settings_build b = {
        .load = load,
        .settings = &owner->settings,
        .scope = {.arena = &owner->arena, .problems = problems, .exposed = exposed},
        .tree = &tree,
    };

    b.root = yaml_read(buf_text(text), text->len, &tree, problems);
    if (b.root != NULL) {
        env_expand_tree(b.root, &tree, problems);
        build(&b);
    }
    owner->arena.failed = owner->arena.failed || tree.failed;
}

static int outcome(const struct settings_load *load, const struct settings_owner *owner,
                   const struct problems *problems, struct rider_error *err)
{
    if (owner->arena.failed) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    if (problems->n_errors > 0) {
        return rider_fail(err, RIDER_E_CONFIG, "%zu error%s in configuration \"%s\"",
                          problems->n_errors, problems->n_errors == 1 ? "" : "s",
                          load->path);
    }
    return 0;
}

int settings_read(const struct settings_load *load, struct settings **ret,
                  struct buf *problems, struct rider_error *err)
{
    RIDER_CLEANUP(problems_done) struct problems list = problems_make(load->path);
    RIDER_CLEANUP(file_text_wipe) struct buf text = buf_make(YAML_READER_MAX_BYTES);
    struct settings_owner *owner = calloc(1, sizeof(*owner));
    bool exposed = false;

    if (owner == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    int rc = file_text_read(load->path, &text, &exposed, err);
    if (rc != 0) {
        buf_printf(problems, "%s\n", err->text);
    } else {
        read_text(load, &text, exposed, owner, &list);
        problems_print(&list, problems);
        rc = outcome(load, owner, &list, err);
    }
    if (rc != 0) {
        settings_destroy(&owner->settings);
        return rc;
    }
    *ret = &owner->settings;
    return 0;
}

void settings_destroy(struct settings *s)
{
    if (s != NULL) {
        /* `settings` is the first member of its owner. */
        struct settings_owner *owner = (struct settings_owner *)(void *)s;
        arena_done(&owner->arena);
        free(owner);
    }
}
