/* Guidance and one sampler update (paper 3.1; step.clh has the formula). Bound by memory: a few
 * values per latent. */
#include "step.clh"

INLINE bool not_finite(float x)
{
    return (as_uint(x) & 0x7f800000u) == 0x7f800000u;
}

/* latents, noise [pictures][C][area], from picture `first` on; latents are updated in place. model
 * [batch][channels_out][area]: the conditional half; with GUIDED then the unconditional half.
 * Guidance applies to channels below guided_channels; the other channels, and the variance, are the
 * conditional prediction. rows: the schedule's; row: the number of the one in use. kept, shaped as
 * latents, is what a row keeps for the next. flag[0] becomes 1 if a value is not finite. GUIDED,
 * LEARNED (variance channels follow the first C), KEPT: 0 or 1. One work-item = one latent value.
 * Range: [area][C][n]. */
kernel void step_update(global float *latents, global float *kept, global const float *model,
                        global const float *noise, global const step_coefficients *rows,
                        global int *flag, int row, int first, int n, int channels, int channels_out,
                        int area, float guidance, int guided_channels)
{
    int i = (int)get_global_id(0), c = (int)get_global_id(1), b = (int)get_global_id(2);
    if (i >= area) return;
    global const step_coefficients *step = rows + row;
    size_t from = ((size_t)b * channels_out + c) * area + i;
    size_t to = ((size_t)(first + b) * channels + c) * area + i;
    float o = model[from];
#if GUIDED
    if (c < guided_channels) {
        float unconditional = model[from + (size_t)n * channels_out * area];
        o = unconditional + guidance * (o - unconditional);
    }
#endif
    float x = latents[to];
    float x0 = step->x0_x * x + step->x0_o * o;
    float eps = step->eps_x * x + step->eps_o * o;
    if (step->clip > 0.0f) x0 = clamp(x0, -step->clip, step->clip);
    float next = step->to_x0 * x0 + step->to_eps * eps + step->to_x * x;
#if KEPT
    /* kept is unset before the first step that keeps */
    if (step->to_kept != 0.0f) next += step->to_kept * kept[to];
    kept[to] = step->keep_x0 * x0 + step->keep_eps * eps + step->keep_x * x;
#endif
    float s = step->noise; /* the same for all work-items; noise may be uninitialised if it is 0 */
    if (s != 0.0f) {
#if LEARNED
        float f = (model[from + (size_t)channels * area] + 1.0f) * 0.5f;
        s *= exp(0.5f * (f * step->log_max + (1.0f - f) * step->log_min));
#endif
        next += s * noise[to];
    }
    if (not_finite(next)) atomic_or(flag, 1);
    latents[to] = next;
}
