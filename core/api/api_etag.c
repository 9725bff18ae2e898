/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_etag.c - versions of resources as entity tags.
 */
#include "api/api_etag.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TAG_SIZE 32

static void format(int64_t version, char out[TAG_SIZE])
{
    (void)snprintf(out, TAG_SIZE, "\"v%" PRId64 "\"", version);
}

void api_etag_set(struct api_call *call, int64_t version)
{
    char tag[TAG_SIZE];

    format(version, tag);
    http_response_header(call->res, "ETag", tag);
}

static const char *skip_blanks(const char *text)
{
    return text + strspn(text, " \t");
}

bool api_etag_is_any(const char *list)
{
    const char *text = skip_blanks(list);

    return *text == '*' && *skip_blanks(text + 1) == '\0';
}

bool api_etag_names(const char *list, int64_t version, bool strong)
{
    char tag[TAG_SIZE];
    bool found = false;

    if (api_etag_is_any(list)) {
        return true;
    }
    format(version, tag);
    for (const char *text = list;;) {
        text += strspn(text, " \t,");
        if (*text == '\0') {
            return found;
        }
        bool weak = strncmp(text, "W/", 2) == 0;
        text += weak ? 2 : 0;
        size_t len = *text == '"' ? strcspn(text + 1, "\"") + 2 : 0;
        if (len == 0 || text[len - 1] != '"' || strchr(" \t,", text[len]) == NULL) {
            return false; /* no list of tags */
        }
        found = found || (!(weak && strong) && len == strlen(tag) &&
                          strncmp(text, tag, len) == 0);
        text += len;
    }
}
