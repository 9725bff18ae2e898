/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.c - a PostgreSQL snapshot as text, shared by reference.
 */
#include "dispatch/snapshot.h"

#include <stdlib.h>
#include <string.h>

struct snapshot {
    unsigned int refs;
    char text[];
};

struct snapshot *snapshot_create(const char *text)
{
    size_t size = strlen(text) + 1;
    struct snapshot *s = malloc(sizeof(*s) + size);

    if (s != NULL) {
        s->refs = 1;
        memcpy(s->text, text, size);
    }
    return s;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    if (s != NULL) {
        s->refs++;
    }
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    if (s != NULL && --s->refs == 0) {
        free(s);
    }
}

const char *snapshot_text(const struct snapshot *s)
{
    return s == NULL ? NULL : s->text;
}
