/* Launches cl/step.cl. */
#include <limits.h>

#include "ops/op.h"
#include "ops/ops.h"

status op_step_update(device *d, buf latents, buf model, buf noise, buf rows, buf flag,
                      const step_use *use)
{
    kernel *k;
    size_t group = (size_t)op_items(d);
    int area = use->size * use->size;
    status st = program_get(d, &k, "step.cl", "step_update", "-DGUIDED=%d -DLEARNED=%d -DNOISY=%d",
                            use->guided, use->learned, use->noisy);
    if (st != OK) return st;
    return launch(d, k, RANGE(round_up((size_t)area, group), (size_t)use->channels, (size_t)use->n),
                  RANGE(group), ARG(latents), ARG(model), ARG(noise), ARG(rows), ARG(flag),
                  ARG(use->step), ARG(use->first), ARG(use->n), ARG(use->channels),
                  ARG(use->channels_out), ARG(area), ARG(use->guidance),
                  ARG(use->guided_channels));
}

status op_step_check(device *d, buf x, size_t count, buf flag)
{
    kernel *k;
    size_t group = (size_t)op_items(d);
    status st = program_get(d, &k, "step.cl", "step_check", " ");
    if (st != OK) return st;
    if (count > INT_MAX - group) return fail(ERR_LIMIT, "check: %zu values are too many", count);
    return launch(d, k, RANGE(round_up(count, group)), RANGE(group), ARG(x), ARG(flag),
                  ARG((int)count));
}
