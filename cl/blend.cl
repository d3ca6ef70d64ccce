/* Keeps a part of an initial image while the rest is sampled. Bound by memory. */

/* latents [n][C][area] stay where mask [area] is 1. Where the mask is 0, they become the noised
 * image: signal * image [C][area] + spread * noise [n][C][area]. One work-item = one latent value.
 * Range: [area][C][n]. */
kernel void blend(global float *latents, global const float *image, global const float *noise,
                  global const float *mask, float signal, float spread, int channels, int area)
{
    int i = (int)get_global_id(0), c = (int)get_global_id(1), n = (int)get_global_id(2);
    if (i >= area) return;
    size_t index = ((size_t)n * channels + c) * area + i;
    float known = signal * image[(size_t)c * area + i] + spread * noise[index];
    latents[index] = mask[i] * latents[index] + (1.0f - mask[i]) * known;
}
