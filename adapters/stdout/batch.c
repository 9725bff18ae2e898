/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.c - writes events as lines and tells which of them left whole.
 *
 * The place of each line's end in the stream of bytes is noted while the lines
 * go into the buffer; comparing it with what the kernel took tells the rest.
 *
 * Not here: completing events (stdout.c), waiting and buffering (output.c).
 */
#include "stdout/batch.h"

size_t batch_write(struct batch *batch, struct output *out, bool one_line, bool sync,
                   int *ret_failed)
{
    size_t whole = 0;

    (void)output_recover(out);
    if (out->mid_line) {
        output_put(out, "\n", 1, false); /* ends the line that was cut */
    }
    batch->start = out->put;
    for (size_t i = 0; i < batch->n; i++) {
        output_begin_line(out, batch->events[i]->body.len + 1);
        output_put(out, batch->events[i]->body.data, batch->events[i]->body.len,
                   one_line);
        output_put(out, "\n", 1, false);
        batch->ends[i] = out->put;
    }
    *ret_failed = output_push(out);
    while (whole < batch->n && batch->ends[whole] <= out->sent) {
        whole++;
    }
    if (*ret_failed == 0 && sync) {
        *ret_failed = output_sync(out);
        whole = *ret_failed == 0 ? whole : 0;
    }
    return whole;
}

size_t batch_begun(const struct batch *batch, uint64_t sent)
{
    size_t begun = 0;

    while (begun < batch->n &&
           (begun == 0 ? batch->start : batch->ends[begun - 1]) < sent) {
        begun++;
    }
    return begun;
}
