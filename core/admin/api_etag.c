/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_etag.c - versions of resources as entity tags.
 */
#include "admin/api_etag.h"

#include "base/parse.h"

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

bool api_etag_names(const char *list, int64_t version, bool strong)
{
    char tag[TAG_SIZE];

    if (strong && strstr(list, "W/") != NULL) {
        return false;
    }
    format(version, tag);
    return strcmp(list, "*") == 0 || strstr(list, tag) != NULL;
}

int64_t api_etag_version(const char *tag)
{
    char text[24];
    int64_t version = -1;
    size_t len = strlen(tag);

    if (strcmp(tag, "*") == 0) {
        return 0;
    }
    if (len < 4 || len > sizeof(text) || strncmp(tag, "\"v", 2) != 0 ||
        tag[len - 1] != '"') {
        return -1;
    }
    memcpy(text, tag + 2, len - 3);
    text[len - 3] = '\0';
    return parse_int(text, &version, NULL) == 0 && version > 0 ? version : -1;
}
