/* Latents to tokens and back (paper 3.2, "Patchify", "Transformer decoder"). Bound by memory: each
 * element is read and written once. */

/* out [N*T][C*p*p]: each patch in the order (C, ph, pw) of the convolution's weights. latents
 * [pictures][C][size][size]. Sample b of the batch is picture first + b % pictures, so that both
 * halves of a guided batch have the same latents. One work-item = one value of one patch vector. */
kernel void patchify(global float *out, global const float *latents, int first, int pictures,
                     int channels, int size, int patch)
{
    int k = (int)get_global_id(0), token = (int)get_global_id(1), b = (int)get_global_id(2);
    int length = channels * patch * patch, columns = size / patch, tokens = columns * columns;
    if (k >= length) return;
    int c = k / (patch * patch), ph = k / patch % patch, pw = k % patch;
    int y = token / columns * patch + ph, x = token % columns * patch + pw;
    size_t from = ((size_t)(first + b % pictures) * channels + c) * size * size;
    out[((size_t)b * tokens + token) * length + k] = latents[from + (size_t)y * size + x];
}

/* out [area][C] = latents [C][area] of one picture, times factor, plus offset: the decoder's scale
 * and layout (NHWC). One work-item = one value of the result. */
kernel void to_pixels(global float *out, global const float *latents, int picture, int channels,
                      int area, float factor, float offset)
{
    int i = (int)get_global_id(0), c = (int)get_global_id(1);
    if (i >= area) return;
    size_t from = ((size_t)picture * channels + c) * area;
    out[(size_t)i * channels + c] = latents[from + i] * factor + offset;
}

/* out [N][C][size][size]; in [N][skip+T][p*p*C], C fastest. The first `skip` tokens are not patches
 * of the picture. One work-item = one value of the result. */
kernel void unpatchify(global float *out, global const float *in, int channels, int size, int patch,
                       int skip)
{
    int i = (int)get_global_id(0), c = (int)get_global_id(1), n = (int)get_global_id(2);
    if (i >= size * size) return;
    int y = i / size, x = i % size, columns = size / patch;
    size_t token = (size_t)n * (skip + columns * columns) + skip + y / patch * columns + x / patch;
    int k = ((y % patch) * patch + x % patch) * channels + c;
    out[((size_t)n * channels + c) * size * size + i] = in[token * patch * patch * channels + k];
}
