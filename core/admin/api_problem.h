/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_problem.h - what a client of the API is told when it is refused.
 */
#ifndef ADMIN_API_PROBLEM_H
#define ADMIN_API_PROBLEM_H

#include "admin/http_message.h"

/** Answers with a problem document (RFC 9457): type about:blank, title, status,
 *  detail. `detail` may be NULL. */
void api_problem(struct http_response *res, unsigned int status, const char *detail);

#endif
