/* im2col for the 3x3 convolutions of stride 2; a GEMM computes the rest. One row and one column of
 * zeros follow the picture, as in the downsampler of Stable Diffusion's VAE. Bound by memory. */

/* out [pixels][C][3][3] = the patches of the output pixels from `first` on; x [height * width][C].
 * One work-item = one channel of one patch. */
kernel void downsample_patches(global float *out, global const float *x, int first, int channels,
                               int height, int width)
{
    int c = (int)get_global_id(0), p = (int)get_global_id(1);
    if (c >= channels) return;
    int row = (first + p) / (width / 2) * 2, column = (first + p) % (width / 2) * 2;
    global float *to = out + ((size_t)p * channels + c) * 9;
    for (int tap = 0; tap < 9; tap++) {
        int y = row + tap / 3, at = column + tap % 3;
        to[tap] = y < height && at < width ? x[((size_t)y * width + at) * channels + c] : 0.0f;
    }
}

/* Copies part [pixels][C] to out, from pixel `first` on. One work-item = one value. */
kernel void downsample_place(global float *out, global const float *part, int first, int channels)
{
    int c = (int)get_global_id(0), p = (int)get_global_id(1);
    if (c >= channels) return;
    out[((size_t)first + p) * channels + c] = part[(size_t)p * channels + c];
}
