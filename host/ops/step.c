/* Launches cl/step.cl. */
#include "ops/op.h"

status step_plan(device *d, op_plan *p, const step_use *use)
{
    size_t group = (size_t)op_items(d);
    int area = use->size * use->size;
    double read = (use->guided ? 2.0 : 1.0) * use->channels_out + use->channels;
    if (use->kept) read += 2.0 * use->channels;
    plan_begin(p, "update", (work){.bytes = 4.0 * use->n * area * (read + 2.0 * use->channels)},
               "%dx%dx%dx%d", use->n, use->channels, use->size, use->size);
    launch_prepare(&p->launches[0],
                   RANGE(round_up((size_t)area, group), (size_t)use->channels, (size_t)use->n),
                   RANGE(group), ARG(use->n), ARG(use->channels), ARG(use->channels_out), ARG(area),
                   ARG(use->guidance), ARG(use->guided_channels));
    return program_get(d, &p->launches[0].k, "step.cl", "step_update",
                       "-DGUIDED=%d -DLEARNED=%d -DKEPT=%d", use->guided, use->learned, use->kept);
}

status op_step_update(device *d, const op_plan *p, const step_buffers *b, int row, int first)
{
    return plan_launch(d, p, ARG(b->latents), ARG(b->kept), ARG(b->model), ARG(b->noise),
                       ARG(b->rows), ARG(b->flag), ARG(row), ARG(first));
}
