/* Launches cl/step.cl. */
#include "ops/op.h"
#include "ops/ops.h"

status op_step_update(device *d, buf latents, buf kept, buf model, buf noise, buf rows, buf flag,
                      const step_use *use)
{
    kernel *k;
    size_t group = (size_t)op_items(d);
    int area = use->size * use->size;
    double read = (use->guided ? 2.0 : 1.0) * use->channels_out + use->channels;
    if (use->kept) read += 2.0 * use->channels;
    record_work(d, "update", (work){.bytes = 4.0 * use->n * area * (read + 2.0 * use->channels)},
                "%dx%dx%dx%d", use->n, use->channels, use->size, use->size);
    status st = program_get(d, &k, "step.cl", "step_update", "-DGUIDED=%d -DLEARNED=%d -DKEPT=%d",
                            use->guided, use->learned, use->kept);
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up((size_t)area, group), (size_t)use->channels, (size_t)use->n),
                  RANGE(group), ARG(latents), ARG(kept), ARG(model), ARG(noise), ARG(rows),
                  ARG(flag), ARG(use->row), ARG(use->first), ARG(use->n), ARG(use->channels),
                  ARG(use->channels_out), ARG(area), ARG(use->guidance), ARG(use->guided_channels));
}
