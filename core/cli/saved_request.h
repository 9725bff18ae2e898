/* SPDX-License-Identifier: Apache-2.0 */
/*
 * saved_request.h - a webhook request as text: headers, an empty line, the body.
 * A request line at the top is allowed, so that captured requests work as they
 * are. Pure functions, any thread.
 */
#ifndef CLI_SAVED_REQUEST_H
#define CLI_SAVED_REQUEST_H

#include "base/buf.h"
#include "base/error.h"
#include "postrider/signature.h"

/** Takes the three webhook headers and the body out of `text`, which it cuts up;
 *  *ret points into it. Lines end with CRLF or LF. RIDER_E_CONFIG when there is
 *  no empty line, a header line has no colon or a NUL, or one of the three is there
 *  twice. */
int saved_request_parse(struct buf *text, struct rider_signed_message *ret,
                        struct rider_error *err) RIDER_MUST_CHECK;

#endif
