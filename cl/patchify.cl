/* Latents to tokens and back (paper 3.2, "Patchify", "Transformer decoder"). Bound by memory: each
 * element is read and written once. */

#include "result.clh"

/* out [N*T][C*p*p], see result.clh: each patch in the order (C, ph, pw) of the convolution's
 * weights. latents [pictures][C][size][size]. Sample n of the batch is picture first + n %
 * pictures, so that both halves of a guided batch have the same latents. One work-item = one value
 * of one patch. Range: [C*p*p][T][N]. */
kernel void patchify(global RESULT *out, global const float *latents, int first, int pictures,
                     int channels, int size, int patch)
{
    int element = (int)get_global_id(0), token = (int)get_global_id(1), n = (int)get_global_id(2);
    int patch_size = channels * patch * patch, columns = size / patch, tokens = columns * columns;
    if (element >= patch_size) return;
    int c = element / (patch * patch), ph = element / patch % patch, pw = element % patch;
    int y = token / columns * patch + ph, x = token % columns * patch + pw;
    size_t picture_begin = ((size_t)(first + n % pictures) * channels + c) * size * size;
    write_result1(out + ((size_t)n * tokens + token) * RESULT_PARTS * patch_size, patch_size,
                  element, latents[picture_begin + (size_t)y * size + x]);
}

/* out [area][C] = factor * latents [C][area] + offset, for one picture: the decoder's scale and
 * layout (NHWC). One work-item = one value of the result. Range: [area][C]. */
kernel void to_pixels(global float *out, global const float *latents, int picture, int channels,
                      int area, float factor, float offset)
{
    int i = (int)get_global_id(0), c = (int)get_global_id(1);
    if (i >= area) return;
    size_t picture_begin = ((size_t)picture * channels + c) * area;
    out[(size_t)i * channels + c] = latents[picture_begin + i] * factor + offset;
}

/* out [N][C][size][size]; in [N][skip+T][p*p*C], C fastest. The first `skip` tokens are no patches.
 * One work-item = one value of the result. Range: [size * size][C][N]. */
kernel void unpatchify(global float *out, global const float *in, int channels, int size, int patch,
                       int skip)
{
    int pixel = (int)get_global_id(0), c = (int)get_global_id(1), n = (int)get_global_id(2);
    if (pixel >= size * size) return;
    int y = pixel / size, x = pixel % size, columns = size / patch;
    size_t token = (size_t)n * (skip + columns * columns) + skip + y / patch * columns + x / patch;
    int element = ((y % patch) * patch + x % patch) * channels + c;
    out[((size_t)n * channels + c) * size * size + pixel] =
        in[token * patch * patch * channels + element];
}
