/* Launches cl/patchify.cl. */
#include "ops/op.h"

/* Every latent is read and written once. bytes: of both. */
static void patchify_begin(op_plan *p, const char *name, patch_shape s, double bytes)
{
    plan_begin(p, name, (work){.bytes = bytes * s.batch * s.channels * s.size * s.size},
               "%dx%dx%dx%d / %d", s.batch, s.channels, s.size, s.size, s.patch);
}

status patchify_plan(device *d, op_plan *p, patch_shape s, unsigned use)
{
    char result[RESULT_OPTIONS];
    size_t group = (size_t)op_items(d), length = (size_t)(s.channels * s.patch * s.patch);
    size_t tokens = (size_t)(s.size / s.patch) * (size_t)(s.size / s.patch);
    patchify_begin(p, "patchify", s, 4.0 + op_bytes(d, use & WRITES_FACTORS));
    op_result_options(result, d, use);
    launch_prepare(&p->launches[0], RANGE(round_up(length, group), tokens, (size_t)s.batch),
                   RANGE(group), ARG(s.channels), ARG(s.size), ARG(s.patch));
    return program_get(d, &p->launches[0].k, "patchify.cl", "patchify", "%s", result);
}

status op_patchify(device *d, const op_plan *p, buf out, buf latents, int first, int pictures)
{
    return plan_launch(d, p, ARG(out), ARG(latents), ARG(first), ARG(pictures));
}

status unpatchify_plan(device *d, op_plan *p, patch_shape s, int skip)
{
    size_t group = (size_t)op_items(d), area = (size_t)s.size * (size_t)s.size;
    patchify_begin(p, "unpatchify", s, 8.0);
    launch_prepare(&p->launches[0],
                   RANGE(round_up(area, group), (size_t)s.channels, (size_t)s.batch), RANGE(group),
                   ARG(s.channels), ARG(s.size), ARG(s.patch), ARG(skip));
    return program_get(d, &p->launches[0].k, "patchify.cl", "unpatchify", " ");
}

status op_unpatchify(device *d, const op_plan *p, buf out, buf in)
{
    return plan_launch(d, p, ARG(out), ARG(in));
}

status to_pixels_plan(device *d, op_plan *p, int channels, int area, float factor, float offset)
{
    size_t group = (size_t)op_items(d);
    plan_begin(p, "to_pixels", (work){.bytes = 8.0 * channels * area}, "%dx%d", area, channels);
    launch_prepare(&p->launches[0], RANGE(round_up((size_t)area, group), (size_t)channels),
                   RANGE(group), ARG(channels), ARG(area), ARG(factor), ARG(offset));
    return program_get(d, &p->launches[0].k, "patchify.cl", "to_pixels", " ");
}

status op_to_pixels(device *d, const op_plan *p, buf out, buf latents, int picture)
{
    return plan_launch(d, p, ARG(out), ARG(latents), ARG(picture));
}
