/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - a PostgreSQL snapshot as text, shared by reference.
 *
 * A lane holds the same snapshot in its cursor, its read position and several
 * batches; the text can be kilobytes long. The relay never looks inside.
 * Thread: the lane's; the count is not atomic.
 */
#ifndef DISPATCH_SNAPSHOT_H
#define DISPATCH_SNAPSHOT_H

struct snapshot;

/** A copy of `text` with one reference, or NULL when out of memory. */
struct snapshot *snapshot_create(const char *text);
/** NULL in, NULL out. */
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);
/** The text; NULL for a NULL snapshot. */
const char *snapshot_text(const struct snapshot *s);

#endif
