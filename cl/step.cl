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
 * conditional prediction. rows: one row of coefficients for each step. kept, shaped as latents, is
 * what one step keeps for the next. flag[0] becomes 1 if a value is not finite. GUIDED, LEARNED
 * (variance channels follow the first C), KEPT: 0 or 1. One work-item = one latent value. */
kernel void step_update(global float *latents, global float *kept, global const float *model,
                        global const float *noise, global const step_coefficients *rows,
                        global int *flag, int step, int first, int n, int channels,
                        int channels_out, int area, float guidance, int guided_channels)
{
    int i = (int)get_global_id(0), c = (int)get_global_id(1), b = (int)get_global_id(2);
    if (i >= area) return;
    global const step_coefficients *row = rows + step;
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
    float x0 = row->x0_x * x + row->x0_o * o;
    float eps = row->eps_x * x + row->eps_o * o;
    if (row->clip > 0.0f) x0 = clamp(x0, -row->clip, row->clip);
    float next = row->to_x0 * x0 + row->to_eps * eps + row->to_x * x;
#if KEPT
    /* kept is unset before the first step that keeps */
    if (row->to_kept != 0.0f) next += row->to_kept * kept[to];
    kept[to] = row->keep_x0 * x0 + row->keep_eps * eps + row->keep_x * x;
#endif
    float s = row->noise; /* the same for all work-items; noise may be uninitialised if it is 0 */
    if (s != 0.0f) {
#if LEARNED
        float f = (model[from + (size_t)channels * area] + 1.0f) * 0.5f;
        s *= exp(0.5f * (f * row->log_max + (1.0f - f) * row->log_min));
#endif
        next += s * noise[to];
    }
    if (not_finite(next)) atomic_or(flag, 1);
    latents[to] = next;
}
