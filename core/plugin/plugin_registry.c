/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_registry.c - loads adapters and keeps their tables.
 *
 * A file is opened and checked first, then loaded as /proc/self/fd/N, so what
 * was checked is what is loaded. The loader knows a library by that name from
 * then on: the descriptor of a loaded file therefore stays open as long as the
 * process lives, or its number could be given to another adapter and the loader
 * would answer with this one.
 *
 * Invariant: a type has one entry, loaded or refused, for the registry's life.
 * Not here: rules for files (plugin_file) and tables (plugin_abi).
 */
#include "plugin/plugin_registry.h"

#include "plugin/plugin_abi.h"
#include "plugin/plugin_file.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef const struct publisher_vtable *entry_fn(void);

struct plugin_entry {
    struct plugin_entry *next;
    char type[PLUGIN_TYPE_MAX + 1];
    int code; /* 0, or why `vtable` is not to be used */
    struct publisher_vtable vtable;
    struct rider_error refused;
};

struct plugin_registry {
    char *dir;
    struct plugin_entry *entries;
};

int plugin_registry_create(const char *dir, struct plugin_registry **ret,
                           struct rider_error *err)
{
    RIDER_CLEANUP_PTR(plugin_registry_destroy)
    struct plugin_registry *reg = calloc(1, sizeof(*reg));

    if (reg == NULL || (reg->dir = strdup(dir)) == NULL) {
        return rider_fail(err, RIDER_E_NOMEM, "out of memory");
    }
    *ret = RIDER_STEAL(reg);
    return 0;
}

void plugin_registry_destroy(struct plugin_registry *reg)
{
    if (reg == NULL) {
        return;
    }
    for (struct plugin_entry *e = reg->entries; e != NULL;) {
        struct plugin_entry *next = e->next;

        free(e);
        e = next;
    }
    free(reg->dir);
    free(reg);
}

const char *plugin_registry_dir(const struct plugin_registry *reg)
{
    return reg->dir;
}

/* The loader's last message without the name it knows the file by. */
static const char *loader_reason(const char *loaded_as)
{
    /* glibc keeps the message per thread. */
    const char *text = dlerror(); // NOLINT(concurrency-mt-unsafe)
    size_t len = strlen(loaded_as);

    if (text == NULL) {
        return "no reason given";
    }
    return strncmp(text, loaded_as, len) == 0 && strncmp(text + len, ": ", 2) == 0
               ? text + len + 2
               : text;
}

/* Loads `fd`. If it succeeds, nobody closes `fd`: see the top of this file. */
static int load(int fd, entry_fn **ret, struct rider_error *err)
{
    char name[32];

    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (handle == NULL) {
        return rider_fail(err, RIDER_E_IO, "could not load it: %s",
                          loader_reason(name));
    }
    void *symbol = dlsym(handle, "rider_publisher_entry");
    *ret = NULL;
    memcpy(ret, &symbol, sizeof(symbol)); /* POSIX allows it, ISO C has no cast */
    return 0;
}

static int load_entry(const struct plugin_registry *reg, struct plugin_entry *entry,
                      struct rider_error *err)
{
    entry_fn *entry_point = NULL;
    int fd = plugin_file_open(reg->dir, entry->type, err);

    if (fd < 0) {
        return fd;
    }
    int r = load(fd, &entry_point, err);
    if (r < 0) {
        (void)close(fd);
        return rider_fail_in(err, "adapter \"%s/postrider-%s.so\"", reg->dir,
                             entry->type);
    }
    if (entry_point == NULL) {
        entry->code = rider_fail(&entry->refused, RIDER_E_PROTOCOL,
                                 "it has no function rider_publisher_entry()");
    } else {
        entry->code = plugin_abi_check(entry_point(), entry->type, &entry->vtable,
                                       &entry->refused);
    }
    if (entry->code < 0) {
        (void)rider_fail_in(&entry->refused,
                            "adapter \"%s/postrider-%s.so\" is refused", reg->dir,
                            entry->type);
    }
    return 0;
}

static struct plugin_entry *find(const struct plugin_registry *reg, const char *type)
{
    struct plugin_entry *e = reg->entries;

    while (e != NULL && strcmp(e->type, type) != 0) {
        e = e->next;
    }
    return e;
}

/* The entry of `type`, or NULL and `err`. */
static struct plugin_entry *find_or_load(struct plugin_registry *reg, const char *type,
                                         struct rider_error *err)
{
    struct plugin_entry *entry = find(reg, type);

    if (entry != NULL || plugin_file_check_type(type, err) < 0) {
        return entry;
    }
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL) {
        (void)rider_fail(err, RIDER_E_NOMEM, "out of memory");
        return NULL;
    }
    (void)snprintf(entry->type, sizeof(entry->type), "%s", type);
    if (load_entry(reg, entry, err) < 0) {
        free(entry);
        return NULL;
    }
    entry->next = reg->entries;
    reg->entries = entry;
    return entry;
}

int plugin_registry_get(struct plugin_registry *reg, const char *type,
                        const struct publisher_vtable **ret, struct rider_error *err)
{
    struct plugin_entry *entry = find_or_load(reg, type, err);

    if (entry == NULL) {
        return (int)err->code;
    }
    if (entry->code < 0) {
        *err = entry->refused;
        return entry->code;
    }
    *ret = &entry->vtable;
    return 0;
}

static int is_adapter_name(const struct dirent *file)
{
    char type[PLUGIN_TYPE_MAX + 1];

    return plugin_file_type_of(file->d_name, type, NULL) != RIDER_E_NOT_FOUND;
}

int plugin_registry_list(struct plugin_registry *reg, plugin_list_fn *emit, void *arg,
                         struct rider_error *err)
{
    struct dirent **files = NULL;
    int n = scandir(reg->dir, &files, is_adapter_name, alphasort);

    if (n < 0) {
        return rider_fail_errno(err, RIDER_E_IO, errno,
                                "could not read adapter directory \"%s\"", reg->dir);
    }
    for (int i = 0; i < n; i++) {
        const struct publisher_vtable *vt = NULL;
        char type[PLUGIN_TYPE_MAX + 1] = "";
        struct rider_error why = {0};
        int r = plugin_file_type_of(files[i]->d_name, type, &why);

        if (r == 0) {
            r = plugin_registry_get(reg, type, &vt, &why);
        }
        emit(arg, files[i]->d_name, r == 0 ? vt : NULL, r == 0 ? NULL : why.text);
        free(files[i]);
    }
    free(files);
    return 0;
}
