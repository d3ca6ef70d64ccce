/* Guidance and one sampler update (paper 3.1; the formula is in host/sample/schedule.h). Bound by
 * memory: a few values per latent. */

INLINE bool not_finite(float x)
{
    return (as_uint(x) & 0x7f800000u) == 0x7f800000u;
}

/* latents, noise [pictures][C][area], from picture `first` on; latents are updated in place. model
 * [batch][channels_out][area]: the conditional half; with GUIDED then the unconditional half.
 * Guidance applies to channels below guided_channels; the other channels, and the variance, are the
 * conditional prediction. row: x0_x x0_o eps_x eps_o clip to_x0 to_eps to_x noise log_min log_max
 * to_kept keep_x0 keep_eps keep_x, at step * 15 floats in rows. kept, shaped as latents, is what
 * one step keeps for the next. flag[0] becomes 1 if a value is not finite. GUIDED, LEARNED
 * (variance channels follow the first C), KEPT: 0 or 1. One work-item = one latent value. */
kernel void step_update(global float *latents, global float *kept, global const float *model,
                        global const float *noise, global const float *rows, global int *flag,
                        int step, int first, int n, int channels, int channels_out, int area,
                        float guidance, int guided_channels)
{
    int i = (int)get_global_id(0), c = (int)get_global_id(1), b = (int)get_global_id(2);
    if (i >= area) return;
    global const float *row = rows + step * 15;
    size_t at = ((size_t)b * channels_out + c) * area + i;
    size_t to = ((size_t)(first + b) * channels + c) * area + i;
    float o = model[at];
#if GUIDED
    if (c < guided_channels) {
        float free_o = model[at + (size_t)n * channels_out * area];
        o = free_o + guidance * (o - free_o);
    }
#endif
    float x = latents[to];
    float x0 = row[0] * x + row[1] * o;
    float epsilon = row[2] * x + row[3] * o;
    if (row[4] > 0.0f) x0 = clamp(x0, -row[4], row[4]);
    float next = row[5] * x0 + row[6] * epsilon + row[7] * x;
#if KEPT
    if (row[11] != 0.0f) next += row[11] * kept[to]; /* unset before the first step that keeps */
    kept[to] = row[12] * x0 + row[13] * epsilon + row[14] * x;
#endif
    float s = row[8]; /* the same for all work-items; noise may be uninitialised if it is 0 */
    if (s != 0.0f) {
#if LEARNED
        float f = (model[at + (size_t)channels * area] + 1.0f) * 0.5f;
        s *= exp(0.5f * (f * row[10] + (1.0f - f) * row[9]));
#endif
        next += s * noise[to];
    }
    if (not_finite(next)) atomic_or(flag, 1);
    latents[to] = next;
}
