/* Launches cl/modulate.cl. */
#include "ops/op.h"
#include "ops/ops.h"

status op_modulate(device *d, buf out, buf x, const modulation *m, int batch, int tokens, int width,
                   int shift_at, int scale_at, float epsilon)
{
    kernel *k;
    size_t group = (size_t)op_group(d, 64);
    record_work(d, "modulate", (work){.bytes = 8.0 * batch * tokens * width}, "%dx%d",
                batch * tokens, width);
    status st = program_get(d, &k, "modulate.cl", "modulate", "-DWG=%zu", group);
    if (st != OK) return st;
    return launch(d, k, RANGE((size_t)batch * (size_t)tokens * group), RANGE(group), ARG(out),
                  ARG(x), ARG(m->values), ARG(m->rows), ARG(width), ARG(tokens), ARG(m->stride),
                  ARG(m->first_row), ARG(m->rows_at), ARG(shift_at), ARG(scale_at), ARG(epsilon));
}
