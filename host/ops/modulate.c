/* Launches cl/modulate_cpu.cl, or cl/modulate.cl where items share a token. */
#include "ops/op.h"
#include "ops/ops.h"

/* Work-groups of several tokens, eight for each unit. */
static status modulate_cpu(device *d, buf out, buf x, const modulation *m, int batch, int tokens,
                           int width, int shift_at, int scale_at, float epsilon)
{
    enum { GROUPS = 8 };
    kernel *k;
    int all = batch * tokens;
    size_t units = d->info.compute_units ? d->info.compute_units : 1;
    int count = (int)ceil_div((size_t)all, GROUPS * units);
    status st = program_get(d, &k, "modulate_cpu.cl", "modulate_cpu", "-DVEC=%d -DWIDTH=%d",
                            d->vector_width, width);
    if (st != OK) return st;
    return launch(d, k, RANGE(ceil_div((size_t)all, (size_t)count)), RANGE(1), ARG(out), ARG(x),
                  ARG(m->values), ARG(m->rows), ARG(all), ARG(count), ARG(tokens), ARG(m->stride),
                  ARG(m->first_row), ARG(m->rows_at), ARG(shift_at), ARG(scale_at), ARG(epsilon));
}

status op_modulate(device *d, buf out, buf x, const modulation *m, int batch, int tokens, int width,
                   int shift_at, int scale_at, float epsilon)
{
    kernel *k;
    int all = batch * tokens, group = op_group(d, 64), alone = op_items(d);
    record_work(d, "modulate", (work){.bytes = 8.0 * batch * tokens * width}, "%dx%d", all, width);
    if (d->family == FAMILY_CPU)
        return modulate_cpu(d, out, x, m, batch, tokens, width, shift_at, scale_at, epsilon);
    /* items add up in local memory: without, each has a token by itself */
    if ((uint64_t)group * sizeof(float) > d->info.local_bytes) group = 1;
    while (group == 1 && all % alone != 0) alone /= 2;
    status st = program_get(d, &k, "modulate.cl", "modulate", "-DWG=%d", group);
    if (st != OK) return st;
    return launch(d, k, RANGE((size_t)all * (size_t)group),
                  RANGE((size_t)(group > 1 ? group : alone)), ARG(out), ARG(x), ARG(m->values),
                  ARG(m->rows), ARG(width), ARG(tokens), ARG(m->stride), ARG(m->first_row),
                  ARG(m->rows_at), ARG(shift_at), ARG(scale_at), ARG(epsilon));
}
