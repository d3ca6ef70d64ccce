/* Launches cl/blend.cl. */
#include "ops/op.h"
#include "ops/ops.h"

status op_blend(device *d, buf latents, buf image, buf noise, buf mask, const blend_use *use)
{
    kernel *k;
    size_t group = (size_t)op_items(d);
    int area = use->size * use->size;
    record_work(d, "blend", (work){.bytes = 12.0 * use->n * use->channels * area}, "%dx%dx%dx%d",
                use->n, use->channels, use->size, use->size);
    status st = program_get(d, &k, "blend.cl", "blend", " ");
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up((size_t)area, group), (size_t)use->channels, (size_t)use->n),
                  RANGE(group), ARG(latents), ARG(image), ARG(noise), ARG(mask), ARG(use->channels),
                  ARG(area), ARG(use->signal), ARG(use->spread));
}
