/* Launches cl/modulate_cpu.cl, or cl/modulate.cl where work-items share a token. */
#include "ops/op.h"

/* Each work-group has several tokens. There are eight work-groups for each compute unit. */
static status modulate_plan_cpu(device *d, op_plan *p, int all, int tokens, int width,
                                float epsilon)
{
    enum { GROUPS = 8 };
    size_t units = d->info.compute_units ? d->info.compute_units : 1;
    int count = (int)ceil_div((size_t)all, GROUPS * units);
    launch_prepare(&p->launches[0], RANGE(ceil_div((size_t)all, (size_t)count)), RANGE(1),
                   ARG(epsilon), ARG(tokens), ARG(all), ARG(count));
    return program_get(d, &p->launches[0].k, "modulate_cpu.cl", "modulate_cpu",
                       "-DVEC=%d -DWIDTH=%d", d->vector_width, width);
}

status modulate_plan(device *d, op_plan *p, int batch, int tokens, int width, float epsilon,
                     unsigned use)
{
    char result[RESULT_OPTIONS];
    int all = batch * tokens, group = op_group(d, 64), alone = op_items(d);
    plan_begin(p, "modulate",
               (work){.bytes = (4.0 + op_bytes(d, use & WRITES_FACTORS)) * batch * tokens * width},
               "%dx%d", all, width);
    if (d->family == FAMILY_CPU) return modulate_plan_cpu(d, p, all, tokens, width, epsilon);
    /* The work-items of a token add their sums in local memory. If there is too little, one
     * work-item computes a whole token. */
    if ((uint64_t)group * sizeof(float) > d->info.local_bytes) group = 1;
    while (group == 1 && all % alone != 0) alone /= 2;
    launch_prepare(&p->launches[0], RANGE((size_t)all * (size_t)group),
                   RANGE((size_t)(group > 1 ? group : alone)), ARG(epsilon), ARG(tokens),
                   ARG(width));
    op_result_options(result, d, use);
    return program_get(d, &p->launches[0].k, "modulate.cl", "modulate", "-DWG=%d%s", group, result);
}

status op_modulate(device *d, const op_plan *p, buf out, buf x, const modulation *m, int shift_at,
                   int scale_at)
{
    return plan_launch(d, p, ARG(out), ARG(x), ARG(m->values), ARG(m->rows), ARG(m->stride),
                       ARG(m->first_row), ARG(m->rows_at), ARG(shift_at), ARG(scale_at));
}
