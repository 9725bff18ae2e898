/* SPDX-License-Identifier: Apache-2.0 */
/*
 * routes.c - the `routes` list: globs, and destination names to indexes.
 *
 * Not here: matching an event (core/dispatch).
 */
#include "config/nearest.h"
#include "config/settings_build.h"

#include <string.h>

/* Index of the destination called `name`, n_destinations when there is none. */
static size_t find_destination(const struct settings *s, const char *name)
{
    size_t i = 0;

    while (i < s->n_destinations && (s->destinations[i].name == NULL ||
                                     strcmp(s->destinations[i].name, name) != 0)) {
        i++;
    }
    return i;
}

static void report_unknown(const struct settings_build *b, const struct yaml_node *node)
{
    const struct settings *s = b->settings;
    struct nearest near = nearest_to(node->text);

    for (size_t i = 0; i < s->n_destinations; i++) {
        if (s->destinations[i].name != NULL) {
            nearest_offer(&near, s->destinations[i].name);
        }
    }
    if (near.best == NULL) {
        yaml_node_error(b->scope.problems, node, "there is no destination \"%.80s\"",
                        node->text);
    } else {
        yaml_node_error(b->scope.problems, node,
                        "there is no destination \"%.80s\"; did you mean \"%s\"?",
                        node->text, near.best);
    }
}

/* Adds the destination that `node` names; `seen` marks those of this route. */
static void add_target(struct settings_build *b, const struct yaml_node *node,
                       bool *seen, size_t *to, size_t *n_to)
{
    if (node->kind != YAML_TEXT || node->text[0] == '\0' || node->reported) {
        return; /* the table has said so */
    }
    size_t i = find_destination(b->settings, node->text);
    if (i == b->settings->n_destinations) {
        report_unknown(b, node);
    } else if (seen[i]) {
        yaml_node_error(b->scope.problems, node, "\"%.80s\" is named twice",
                        node->text);
    } else {
        seen[i] = true;
        to[(*n_to)++] = i;
    }
}

static void read_targets(struct settings_build *b, const struct yaml_node *map,
                         struct route_settings *route)
{
    const struct yaml_node *node = yaml_node_find(map, "to");
    size_t n = b->settings->n_destinations;
    bool *seen = arena_array(b->tree, n, sizeof(*seen));
    size_t *to = arena_array(b->scope.arena, n, sizeof(*to));

    if (node == NULL || seen == NULL || to == NULL) {
        return;
    }
    route->to = to;
    if (node->kind == YAML_TEXT) {
        add_target(b, node, seen, to, &route->n_to);
    }
    for (node = node->children; node != NULL; node = node->next) {
        add_target(b, node, seen, to, &route->n_to);
    }
}

static void read_route(struct settings_build *b, const struct yaml_node *map,
                       struct route_settings *route)
{
    struct route_keys keys = {0};

    option_table_apply(&section_route()->keys, map, &b->scope, &keys);
    if (map->kind != YAML_MAP) {
        return;
    }
    read_targets(b, map, route);
    const struct yaml_node *match = settings_section(b, map, section_match());
    if (match != NULL) {
        option_table_apply(&section_match()->keys, match, &b->scope, &keys);
    }
    route->types = keys.types;
    route->aggregate_types = keys.aggregate_types;
}

static bool is_routed(const struct settings *s, size_t destination)
{
    for (size_t r = 0; r < s->n_routes; r++) {
        for (size_t i = 0; i < s->routes[r].n_to; i++) {
            if (s->routes[r].to[i] == destination) {
                return true;
            }
        }
    }
    for (size_t i = 0; i < s->n_destinations; i++) {
        const char *name = s->destinations[i].dead_letter;
        if (name != NULL && s->destinations[destination].name != NULL &&
            strcmp(name, s->destinations[destination].name) == 0) {
            return true;
        }
    }
    return false;
}

/* A destination that no route names gets nothing, which is rarely meant. */
static void warn_unrouted(struct settings_build *b)
{
    const struct settings *s = b->settings;
    size_t n;
    const struct yaml_node *map = settings_list(b, section_destination(), &n);

    if (s->n_destinations == 0) {
        yaml_node_warning(b->scope.problems, b->root,
                          "there are no destinations, so nothing is delivered");
    }
    for (size_t i = 0; i < s->n_destinations && map != NULL; i++, map = map->next) {
        if (s->destinations[i].name != NULL && !is_routed(s, i)) {
            yaml_node_warning(
                b->scope.problems, map,
                "no route names destination \"%.80s\", so it gets nothing",
                s->destinations[i].name);
        }
    }
}

void routes_read(struct settings_build *b)
{
    size_t n;
    const struct yaml_node *map = settings_list(b, section_route(), &n);
    struct route_settings *list = arena_array(b->scope.arena, n, sizeof(*list));

    if (list == NULL) {
        return;
    }
    b->settings->routes = list;
    for (; map != NULL; map = map->next) {
        read_route(b, map, &list[b->settings->n_routes]);
        b->settings->n_routes++;
    }
    if (b->scope.problems->n_errors == 0) {
        warn_unrouted(b);
    }
}
