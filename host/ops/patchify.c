/* Launches cl/patchify.cl. */
#include "ops/op.h"
#include "ops/ops.h"

status op_patchify(device *d, buf out, buf latents, int first, int pictures, int batch,
                   int channels, int size, int patch)
{
    kernel *k;
    size_t group = (size_t)op_items(d), length = (size_t)(channels * patch * patch);
    size_t tokens = (size_t)(size / patch) * (size_t)(size / patch);
    record_work(d, "patchify", (work){.bytes = 8.0 * batch * channels * size * size},
                "%dx%dx%dx%d / %d", batch, channels, size, size, patch);
    status st = program_get(d, &k, "patchify.cl", "patchify", " ");
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up(length, group), tokens, (size_t)batch), RANGE(group),
                  ARG(out), ARG(latents), ARG(first), ARG(pictures), ARG(channels), ARG(size),
                  ARG(patch));
}

status op_unpatchify(device *d, buf out, buf in, int batch, int channels, int size, int patch,
                     int skip)
{
    kernel *k;
    size_t group = (size_t)op_items(d), area = (size_t)size * (size_t)size;
    record_work(d, "unpatchify", (work){.bytes = 8.0 * batch * channels * size * size},
                "%dx%dx%dx%d / %d", batch, channels, size, size, patch);
    status st = program_get(d, &k, "patchify.cl", "unpatchify", " ");
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up(area, group), (size_t)channels, (size_t)batch), RANGE(group),
                  ARG(out), ARG(in), ARG(channels), ARG(size), ARG(patch), ARG(skip));
}

status op_to_pixels(device *d, buf out, buf latents, int picture, int channels, int area,
                    float factor, float offset)
{
    kernel *k;
    size_t group = (size_t)op_items(d);
    record_work(d, "to_pixels", (work){.bytes = 8.0 * channels * area}, "%dx%d", area, channels);
    status st = program_get(d, &k, "patchify.cl", "to_pixels", " ");
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up((size_t)area, group), (size_t)channels), RANGE(group),
                  ARG(out), ARG(latents), ARG(picture), ARG(channels), ARG(area), ARG(factor),
                  ARG(offset));
}
