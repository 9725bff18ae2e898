/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_problem.h - what a client of the API is told when it is refused.
 *
 * A problem has a code out of a closed list, which fixes its status and title, and a
 * list of faults that each point into the request's body. Pure; thread: one at a time.
 */
#ifndef API_API_PROBLEM_H
#define API_API_PROBLEM_H

#include "base/error.h"
#include "http/http_message.h"

#include <stdbool.h>

#define API_MAX_FAULTS 32

/** One mistake of a body. */
struct api_fault {
    char pointer[160]; /* RFC 6901 */
    const char *code;  /* static */
    char detail[200];
};

struct api_problem {
    const char *code; /* static; NULL: no problem so far */
    char detail[300];
    struct api_fault faults[API_MAX_FAULTS];
    size_t n_faults;
};

/** Sets the problem. `code` is static and one of the list in api_problem.c. Returns
 *  RIDER_E_CONFIG. */
int api_problem_set(struct api_problem *problem, const char *code, const char *fmt, ...)
    RIDER_PRINTF_LIKE(3, 4);

/** Adds a fault; what is more than API_MAX_FAULTS is left out. `code` is static. */
void api_problem_fault(struct api_problem *problem, const char *pointer,
                       const char *code, const char *fmt, ...) RIDER_PRINTF_LIKE(4, 5);

/** RIDER_E_CONFIG when there are faults, else 0. The problem's code is the one that
 *  all of them share, if it is one of the list, and "invalid-request" otherwise. */
int api_problem_check(struct api_problem *problem) RIDER_MUST_CHECK;

/** The status that goes with `code`, 500 for one that is not in the list. */
unsigned int api_problem_status(const char *code);

/** The code for a status that has no finer one. */
const char *api_problem_code(unsigned int status);

/** Answers with a problem document (RFC 9457): type, title, status, code, detail,
 *  errors, request_id. Headers that are there stay. */
void api_problem_write(const struct api_problem *problem, const char *request_id,
                       struct http_response *res);

#endif
