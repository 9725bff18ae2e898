/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_problem.c - what a client of the API is told when it is refused.
 */
#include "admin/api_problem.h"

#include "base/json_writer.h"

static const char *title_of(unsigned int status)
{
    static const struct {
        unsigned int status;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {415, "Unsupported Media Type"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
    };

    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
        if (titles[i].status == status) {
            return titles[i].title;
        }
    }
    return "Error";
}

void api_problem(struct http_response *res, unsigned int status, const char *detail)
{
    struct json_writer w;

    buf_reset(&res->body);
    w = jw_begin(&res->body);
    res->status = status;
    res->content_type = "application/problem+json";
    jw_object(&w, NULL);
    jw_string(&w, "type", "about:blank");
    jw_string(&w, "title", title_of(status));
    jw_int(&w, "status", status);
    if (detail != NULL) {
        jw_string(&w, "detail", detail);
    }
    jw_object_end(&w);
    buf_putc(&res->body, '\n');
}
