/* Launches cl/blend.cl. */
#include "ops/op.h"

status blend_plan(device *d, op_plan *p, int n, int channels, int size)
{
    size_t group = (size_t)op_items(d);
    int area = size * size;
    plan_begin(p, "blend", (work){.bytes = 12.0 * n * channels * area}, "%dx%dx%dx%d", n, channels,
               size, size);
    launch_prepare(&p->launches[0],
                   RANGE(round_up((size_t)area, group), (size_t)channels, (size_t)n), RANGE(group),
                   ARG(channels), ARG(area));
    return program_get(d, &p->launches[0].k, "blend.cl", "blend", " ");
}

status op_blend(device *d, const op_plan *p, const blend_buffers *b, float signal, float spread)
{
    return plan_launch(d, p, ARG(b->latents), ARG(b->image), ARG(b->noise), ARG(b->mask),
                       ARG(signal), ARG(spread));
}
