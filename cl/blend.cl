/* Keeps a part of a picture while the rest is drawn. Bound by memory. */

/* latents [n][C][area] stay where mask [area] is 1. Where the mask is 0, they become the noised
 * image: signal * image [C][area] + spread * noise [n][C][area]. One work-item = one latent
 * value. */
kernel void blend(global float *latents, global const float *image, global const float *noise,
                  global const float *mask, float signal, float spread, int channels, int area)
{
    int i = (int)get_global_id(0), c = (int)get_global_id(1), n = (int)get_global_id(2);
    if (i >= area) return;
    size_t at = ((size_t)n * channels + c) * area + i;
    float known = signal * image[(size_t)c * area + i] + spread * noise[at];
    latents[at] = mask[i] * latents[at] + (1.0f - mask[i]) * known;
}
