/* Launches cl/fill.cl. */
#include <limits.h>

#include "base/fp16.h"
#include "ops/op.h"
#include "ops/ops.h"

status op_fill(device *d, buf b, size_t count, float value)
{
    kernel *k;
    size_t group = (size_t)op_items(d);
    record_work(d, "fill", (work){.bytes = 4.0 * (double)count}, "%zu", count);
    status st = program_get(d, &k, "fill.cl", "fill", " ");
    if (st != OK || count == 0) return st;
    if (count > INT_MAX - group) return fail(ERR_LIMIT, "fill: %zu elements are too many", count);
    return launch(d, k, RANGE(round_up(count, group)), RANGE(group), ARG(b),
                  ARG((int)float_bits(value)), ARG((int)count));
}
