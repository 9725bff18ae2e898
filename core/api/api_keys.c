/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_keys.c - the public key of v1a signatures: for clients of the API, and at the
 * well-known place for every receiver.
 */
#include "api/api_keys.h"

#include "api/api_request.h"
#include "webhooks/jwks.h"

static int show_keys(struct api_call *call, struct buf *out, struct rider_error *err)
{
    int rc = api_request_parameters(call->req, NULL, 0, err);

    call->res->content_type = "application/jwk-set+json";
    return rc == 0 ? webhook_keys_write(call->backend->signing_key, out, err) : rc;
}

static const struct api_route routes[] = {
    {"GET", "/webhooks/keys", API_WEBHOOKS_READ, show_keys},
    {"GET", "/.well-known/webhooks-jwks.json", 0, show_keys},
};

const struct api_route_table api_key_routes = API_ROUTES(routes);
