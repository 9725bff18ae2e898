/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_body.h - the body of a request: one JSON object, read strictly, and its members.
 *
 * A reader asks for each member that it knows; what is wrong with one becomes a fault
 * of the call's problem, with a pointer, and reading goes on, so that all mistakes are
 * told at once. api_fields_finish() then names the members that nobody asked for.
 * A member that is null counts as one that is not there.
 * Thread: one at a time. Nothing blocks.
 */
#ifndef API_API_BODY_H
#define API_API_BODY_H

#include "api/api_call.h"
#include "base/json_tree.h"

#include <stdint.h>

#define API_JSON        "application/json"
#define API_MERGE_PATCH "application/merge-patch+json"

/** Parses the body of a request that has no query. Its Content-Type must be
 *  `media_type`, a charset only utf-8; a body that `may_be_empty` and is reads as {}.
 *  RIDER_E_CONFIG with call->problem set. The tree must not outlive the request. */
int api_body_read(struct api_call *call, const char *media_type, bool may_be_empty,
                  struct json_tree **ret, struct rider_error *err) RIDER_MUST_CHECK;

/** For a request that has nothing to say: no body, or {}. Otherwise as above. */
int api_body_read_none(struct api_call *call, struct rider_error *err) RIDER_MUST_CHECK;

/** An object that is being read. `object` may be NULL: then nothing is there. */
struct api_fields {
    struct json_node *object;
    struct api_problem *problem;
};

struct api_fields api_fields_of(struct json_node *object, struct api_problem *problem);

/* Each returns whether there is a good value; else *ret stays as it is. */
/** `min` and `max` count bytes. */
bool api_fields_text(const struct api_fields *f, const char *name, size_t min,
                     size_t max, const char **ret);
bool api_fields_int(const struct api_fields *f, const char *name, int64_t min,
                    int64_t max, int64_t *ret);
/** From `min` to `max`; *ret is the number as it was written. */
bool api_fields_positive(const struct api_fields *f, const char *name, double min,
                         double max, const char **ret);
bool api_fields_bool(const struct api_fields *f, const char *name, bool *ret);
/** One of `words`, which ends with NULL. */
bool api_fields_word(const struct api_fields *f, const char *name,
                     const char *const *words, const char **ret);

/** The member with its type left open, or NULL; everything in it counts as known. */
struct json_node *api_fields_any(const struct api_fields *f, const char *name);
/** A list with `min` to `max` items, whose kind is the caller's to check; or NULL. */
struct json_node *api_fields_list(const struct api_fields *f, const char *name,
                                  size_t min, size_t max);
/** An object to be read with functions of this file; its `object` is NULL when it is
 *  not there. Finish it, too. */
struct api_fields api_fields_object(const struct api_fields *f, const char *name);

/** A fault when the member is null: for what keeps a change small or from being made, and
 *  so must not be lost on the way. */
void api_fields_not_null(const struct api_fields *f, const char *name);

/** A fault unless the member is there. */
void api_fields_require(const struct api_fields *f, const char *name);

/** A fault about `node`. */
void api_fields_fault(const struct api_fields *f, const struct json_node *node,
                      const char *code, const char *fmt, ...) RIDER_PRINTF_LIKE(4, 5);

/** A fault for each member that was not asked for. */
void api_fields_finish(const struct api_fields *f);

/** Whole number in the text of a JSON number, within the range. */
bool api_number_int(const struct json_node *node, int64_t min, int64_t max,
                    int64_t *ret);

#endif
