/* SPDX-License-Identifier: Apache-2.0 */
/*
 * configuration.c - one reading of the configuration file, shared by reference.
 */
#include "daemon/configuration.h"

#include <stdlib.h>

static int look_up(void *arg, const char *adapter_dir, const char *type,
                   struct adapter_options *ret, struct rider_error *err)
{
    struct configuration_source *source = arg;
    const struct publisher_vtable *vt = NULL;
    int rc = 0;

    if (source->registry == NULL) {
        rc = plugin_registry_create(source->adapter_dir != NULL ? source->adapter_dir
                                                                : adapter_dir,
                                    &source->registry, err);
    }
    if (rc == 0) {
        rc = plugin_registry_get(source->registry, type, &vt, err);
    }
    if (rc == 0) {
        *ret = (struct adapter_options){vt->options, vt->option_size, vt->config_size,
                                        vt->caps};
    }
    return rc;
}

/* Apart from the file itself, so that commands that need no secrets do without. */
static int read_key_ring(struct configuration *c, struct buf *problems,
                         struct rider_error *err)
{
    const char *path = c->settings->webhooks.key_ring;

    if (path == NULL) {
        return 0;
    }
    int rc = key_ring_read(path, &c->key_ring, err);
    if (rc != 0) {
        buf_printf(problems, "%s: webhooks.key_ring: %s\n", c->settings->path,
                   err->text);
        (void)rider_fail_in(err, "webhooks.key_ring");
    }
    return rc;
}

int configuration_read(struct configuration_source *source, struct configuration **ret,
                       struct buf *problems, struct rider_error *err)
{
    struct configuration *c = calloc(1, sizeof(*c));
    const struct settings_load load = {
        .path = source->path,
        .default_adapter_dir = source->adapter_dir != NULL
                                   ? source->adapter_dir
                                   : source->default_adapter_dir,
        .lookup = source->no_adapters ? NULL : look_up,
        .lookup_arg = source,
    };

    if (c == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    int rc = settings_read(&load, &c->settings, problems, err);
    if (rc != 0) {
        free(c);
        return rc;
    }
    atomic_init(&c->refs, 1);
    rc = source->no_adapters ? 0 : read_key_ring(c, problems, err);
    if (rc != 0) {
        configuration_unref(c);
        return rc;
    }
    *ret = c;
    return 0;
}

struct configuration *configuration_ref(struct configuration *c)
{
    (void)atomic_fetch_add(&c->refs, 1);
    return c;
}

void configuration_unref(struct configuration *c)
{
    if (c != NULL && atomic_fetch_sub(&c->refs, 1) == 1) {
        settings_destroy(c->settings);
        key_ring_destroy(c->key_ring);
        free(c);
    }
}

void configuration_source_done(struct configuration_source *source)
{
    plugin_registry_destroy(source->registry);
    source->registry = NULL;
}
