/* SPDX-License-Identifier: Apache-2.0 */
/*
 * destinations.c - the `destinations` list: each entry's own keys, its retry
 * section, and its options against the table of its adapter.
 *
 * The fingerprint covers every typed value, defaults included, so that only a
 * change of meaning changes it, not a reordered file or a moved comment.
 */
#include "config/settings_build.h"
#include "postrider/publisher.h"

#include <string.h>

#define NAME_MAX_BYTES 63

static bool is_name(const char *text)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz";
    static const char others[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";

    return text[0] != '\0' && strchr(first, text[0]) != NULL &&
           strspn(text, others) == strlen(text) && strlen(text) <= NAME_MAX_BYTES;
}

/* `d` is the entry being read; the ones before it are complete. */
static void check_name(struct settings_build *b, const struct yaml_node *map,
                       const struct destination_settings *d)
{
    const struct yaml_node *node = yaml_node_find(map, "name");
    const struct destination_settings *other = b->settings->destinations;

    if (d->name == NULL) {
        return;
    }
    if (!is_name(d->name)) {
        yaml_node_error(b->scope.problems, node,
                        "expected a lower-case letter and up to 62 letters, digits, "
                        "\"_\" or \"-\", got \"%.80s\"",
                        d->name);
    }
    for (; other != d; other++) {
        if (other->name != NULL && strcmp(other->name, d->name) == 0) {
            yaml_node_error(b->scope.problems, node,
                            "destination \"%.80s\" is already defined on line %u",
                            d->name, other->line);
            return;
        }
    }
}

static void read_retry(struct settings_build *b, const struct yaml_node *map,
                       struct destination_settings *d)
{
    const struct yaml_node *node = settings_section(b, map, section_retry());

    if (node == NULL) {
        return;
    }
    option_table_apply(&section_retry()->keys, node, &b->scope, &d->retry);
    if (d->retry.max_ms != 0 && d->retry.initial_ms > d->retry.max_ms) {
        const struct yaml_node *initial = yaml_node_find(node, "initial");
        yaml_node_error(b->scope.problems, initial == NULL ? node : initial,
                        "\"initial\" is larger than \"max\"");
    }
}

/* Asks the caller for the adapter's table; false when there is none to use. */
static bool find_adapter(struct settings_build *b, const struct yaml_node *map,
                         const struct destination_settings *d,
                         struct adapter_options *ret)
{
    const struct yaml_node *node = yaml_node_find(map, "adapter");
    struct rider_error err;

    if (d->adapter == NULL || b->load->lookup == NULL) {
        return false;
    }
    if (!is_name(d->adapter)) {
        yaml_node_error(b->scope.problems, node,
                        "expected the name of an adapter such as kafka, got \"%.80s\"",
                        d->adapter);
        return false;
    }
    if (b->load->lookup(b->load->lookup_arg, b->settings->adapter_dir, d->adapter, ret,
                        &err) != 0) {
        yaml_node_error(b->scope.problems, node, "%s", err.text);
        return false;
    }
    return true;
}

static void read_options(struct settings_build *b, const struct yaml_node *map,
                         const struct adapter_options *adapter,
                         struct destination_settings *d)
{
    const struct yaml_node *node = settings_section(b, map, section_options());
    const struct option_table table = {.rows = adapter->table,
                                       .row_size = adapter->option_size,
                                       .config_size = adapter->config_size};

    d->options = arena_alloc(b->scope.arena, adapter->config_size);
    if (node == NULL || d->options == NULL) {
        return;
    }
    size_t errors = b->scope.problems->n_errors;
    option_table_apply(&table, node, &b->scope, d->options);
    if (b->scope.problems->n_errors == errors) {
        d->fingerprint = option_table_hash(&table, d->options, d->fingerprint);
    }
}

/* Rules of a destination with subscriptions: one lane expands the log for all of them,
 * and what is a matter of each subscription is not one of the destination. */
static void check_subscriptions(struct settings_build *b, const struct yaml_node *map,
                                const struct destination_settings *d,
                                const struct adapter_options *adapter)
{
    const struct yaml_node *node = yaml_node_find(map, "subscriptions");
    const struct yaml_node *ordering = yaml_node_find(map, "ordering");

    if (adapter != NULL && (adapter->caps & RIDER_CAP_SUBSCRIPTIONS) == 0) {
        yaml_node_error(b->scope.problems, node, "adapter \"%s\" has no subscriptions",
                        d->adapter);
    }
    if (b->settings->webhooks.key_ring == NULL) {
        yaml_node_error(b->scope.problems, node,
                        "\"webhooks.key_ring\" is missing: the keys that encrypt the "
                        "secrets of subscriptions");
    }
    if (d->partitions > 1) {
        yaml_node_error(b->scope.problems, yaml_node_find(map, "partitions"),
                        "a destination with subscriptions is not split");
    }
    if (ordering != NULL) {
        yaml_node_error(b->scope.problems, ordering,
                        "each subscription has an ordering of its own");
    }
    if (d->dead_letter != NULL) {
        yaml_node_error(b->scope.problems, yaml_node_find(map, "dead_letter"),
                        "a destination with subscriptions has no dead_letter: its dead "
                        "deliveries wait for their subscriptions");
    }
}

static void read_destination(struct settings_build *b, const struct yaml_node *map,
                             struct destination_settings *d)
{
    struct adapter_options adapter = {0};

    d->line = map->at.line;
    option_table_apply(&section_destination()->keys, map, &b->scope, d);
    if (map->kind != YAML_MAP) {
        return;
    }
    check_name(b, map, d);
    read_retry(b, map, d);
    d->fingerprint =
        option_table_hash(&section_destination()->keys, d, OPTION_TABLE_HASH_START);
    d->fingerprint =
        option_table_hash(&section_retry()->keys, &d->retry, d->fingerprint);
    if (d->subscriptions) {
        d->fingerprint = option_table_hash(&section_webhooks()->keys,
                                           &b->settings->webhooks, d->fingerprint);
    }
    bool found = find_adapter(b, map, d, &adapter);
    if (found) {
        read_options(b, map, &adapter, d);
    }
    if (d->subscriptions) {
        check_subscriptions(b, map, d, found ? &adapter : NULL);
    }
}

static const struct destination_settings *find_named(const struct settings *s,
                                                     const char *name)
{
    for (size_t i = 0; i < s->n_destinations; i++) {
        if (s->destinations[i].name != NULL &&
            strcmp(s->destinations[i].name, name) == 0) {
            return &s->destinations[i];
        }
    }
    return NULL;
}

/* Dead letters of dead letters would go round in a circle. */
static void check_dead_letters(struct settings_build *b)
{
    size_t n;
    const struct yaml_node *map = settings_list(b, section_destination(), &n);

    for (size_t i = 0; i < b->settings->n_destinations; i++, map = map->next) {
        const char *name = b->settings->destinations[i].dead_letter;
        if (name == NULL) {
            continue;
        }
        const struct yaml_node *at = yaml_node_find(map, "dead_letter");
        const struct destination_settings *to = find_named(b->settings, name);
        if (to == NULL) {
            yaml_node_error(b->scope.problems, at, "there is no destination \"%.80s\"",
                            name);
        } else if (to->dead_letter != NULL) {
            yaml_node_error(b->scope.problems, at,
                            "destination \"%.80s\" has a dead_letter of its own", name);
        } else if (to->subscriptions) {
            yaml_node_error(b->scope.problems, at,
                            "destination \"%.80s\" has subscriptions: dead letters go "
                            "to one receiver",
                            name);
        } else if (to->partitions > 1) {
            yaml_node_error(
                b->scope.problems, at,
                "destination \"%.80s\" is split: dead letters need a whole one", name);
        }
    }
}

void destinations_read(struct settings_build *b)
{
    size_t n;
    const struct yaml_node *map = settings_list(b, section_destination(), &n);
    struct destination_settings *list = arena_array(b->scope.arena, n, sizeof(*list));

    if (list == NULL) {
        return;
    }
    b->settings->destinations = list;
    for (; map != NULL; map = map->next) {
        read_destination(b, map, &list[b->settings->n_destinations]);
        b->settings->n_destinations++;
    }
    if (b->settings->n_destinations > 0) {
        check_dead_letters(b);
    }
}
