/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_problem.c - what a client of the API is told when it is refused.
 *
 * One table from code to status and title; `type` is a URN made of the code, since
 * there is no address that a program should fetch.
 */
#include "api/api_problem.h"

#include "base/json_writer.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

/* The first of a status is the one for mistakes that have no finer name. */
static const struct kind {
    const char *code;
    unsigned int status;
    const char *title;
} kinds[] = {
    {"bad-request", 400, "Bad Request"},
    {"invalid-json", 400, "The body is not JSON"},
    {"invalid-utf8", 400, "The body is not UTF-8"},
    {"duplicate-key", 400, "An object has a key twice"},
    {"too-deep", 400, "The body is nested too deep"},
    {"too-many-values", 400, "The body holds too many values"},
    {"invalid-cursor", 400, "The cursor is not one of this list"},
    {"invalid-parameter", 400, "A parameter of the query is wrong"},
    {"unauthorized", 401, "Unauthorized"},
    {"forbidden", 403, "Forbidden"},
    {"not-found", 404, "Not Found"},
    {"method-not-allowed", 405, "Method Not Allowed"},
    {"conflict", 409, "Conflict"},
    {"uid-taken", 409, "Another subscription has this uid"},
    {"idempotency-in-progress", 409, "The first request with this key is not done"},
    {"subscription-disabled", 409, "The subscription is disabled"},
    {"not-verified", 409, "The endpoint has not agreed"},
    {"limit-reached", 409, "There are too many"},
    {"precondition-failed", 412, "The resource has changed"},
    {"too-large", 413, "The body is too large"},
    {"path-too-long", 414, "The path is too long"},
    {"unsupported-media-type", 415, "Unsupported Media Type"},
    {"foreign-host", 421, "The request is for another host"},
    {"invalid-request", 422, "The body says something that cannot be done"},
    {"unknown-member", 422, "The body has a member that is not known"},
    {"read-only-member", 422, "The body has a member that cannot be written"},
    {"missing-member", 422, "The body lacks a member"},
    {"invalid-value", 422, "A member has a value that is not possible"},
    {"invalid-url", 422, "The URL cannot be used"},
    {"address-blocked", 422, "The URL leads to an address that is not allowed"},
    {"tls-required", 422, "The URL must be https"},
    {"invalid-header", 422, "A header cannot be sent"},
    {"invalid-secret", 422, "The secret cannot be used"},
    {"invalid-filter", 422, "The filter cannot be used"},
    {"unknown-event-type", 422, "The event type is not in the catalogue"},
    {"unknown-destination", 422, "There is no such destination"},
    {"window-too-large", 422, "The time or position cannot be used"},
    {"idempotency-key-reused", 422, "The key was used for another request"},
    {"verification-failed", 422, "The endpoint did not agree"},
    {"precondition-required", 428, "The request must be conditional"},
    {"too-many-trials", 429, "Too many endpoints and names are being tried"},
    {"too-many-headers", 431, "The headers are too large"},
    {"internal", 500, "Internal Server Error"},
    {"unavailable", 503, "Service Unavailable"},
};

static const struct kind *find_kind(const char *code)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].code, code) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

unsigned int api_problem_status(const char *code)
{
    const struct kind *kind = find_kind(code);

    return kind == NULL ? 500 : kind->status;
}

const char *api_problem_code(unsigned int status)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].status == status) {
            return kinds[i].code;
        }
    }
    return "internal";
}

int api_problem_set(struct api_problem *problem, const char *code, const char *fmt, ...)
{
    va_list ap;

    problem->code = code;
    va_start(ap, fmt);
    (void)vsnprintf(problem->detail, sizeof(problem->detail), fmt, ap);
    va_end(ap);
    utf8_scrub(problem->detail);
    return RIDER_E_CONFIG;
}

void api_problem_fault(struct api_problem *problem, const char *pointer,
                       const char *code, const char *fmt, ...)
{
    va_list ap;

    if (problem->n_faults == API_MAX_FAULTS) {
        return;
    }
    struct api_fault *fault = &problem->faults[problem->n_faults++];
    fault->code = code;
    (void)snprintf(fault->pointer, sizeof(fault->pointer), "%s", pointer);
    va_start(ap, fmt);
    (void)vsnprintf(fault->detail, sizeof(fault->detail), fmt, ap);
    va_end(ap);
    utf8_scrub(fault->detail);
}

int api_problem_check(struct api_problem *problem)
{
    if (problem->n_faults == 0) {
        return 0;
    }
    const char *code = problem->faults[0].code;
    for (size_t i = 1; i < problem->n_faults; i++) {
        if (strcmp(problem->faults[i].code, code) != 0) {
            code = "invalid-request";
        }
    }
    if (find_kind(code) == NULL) {
        code = "invalid-request";
    }
    if (problem->n_faults == 1) {
        return api_problem_set(problem, code, "%s", problem->faults[0].detail);
    }
    return api_problem_set(problem, code, "%zu mistakes, see errors",
                           problem->n_faults);
}

static void write_faults(const struct api_problem *problem, struct json_writer *w)
{
    jw_array(w, "errors");
    for (size_t i = 0; i < problem->n_faults; i++) {
        const struct api_fault *fault = &problem->faults[i];

        jw_object(w, NULL);
        jw_string(w, "pointer", fault->pointer);
        jw_string(w, "code", fault->code);
        jw_string(w, "detail", fault->detail);
        jw_object_end(w);
    }
    jw_array_end(w);
}

void api_problem_write(const struct api_problem *problem, const char *request_id,
                       struct http_response *res)
{
    const struct kind *kind = find_kind(problem->code);
    const char *code = kind == NULL ? "internal" : kind->code;
    char type[80];

    buf_reset(&res->body);
    res->status = api_problem_status(code);
    res->content_type = "application/problem+json";
    (void)snprintf(type, sizeof(type), "urn:postrider:problem:%s", code);
    struct json_writer w = jw_begin(&res->body);
    jw_object(&w, NULL);
    jw_string(&w, "type", type);
    jw_string(&w, "title", kind == NULL ? "Internal Server Error" : kind->title);
    jw_int(&w, "status", res->status);
    jw_string(&w, "code", code);
    if (problem->detail[0] != '\0') {
        jw_string(&w, "detail", problem->detail);
    }
    if (problem->n_faults > 0) {
        write_faults(problem, &w);
    }
    jw_string(&w, "request_id", request_id);
    jw_object_end(&w);
    buf_putc(&res->body, '\n');
}
