/* A 3x3 convolution of stride 2 as a product: what is put around it. The picture ends in a row and
 * a column of zeros, as the downsampler of Stable Diffusion's VAE pads. Bound by memory. */

/* One item = one channel of one patch, of the result's pixels from `first` on.
 * out [pixels][C][3][3]; x [height * width][C]. */
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

/* One item = one value. out, from pixel `first` on, = part [pixels][C]. */
kernel void downsample_place(global float *out, global const float *part, int first, int channels)
{
    int c = (int)get_global_id(0), p = (int)get_global_id(1);
    if (c >= channels) return;
    out[((size_t)first + p) * channels + c] = part[(size_t)p * channels + c];
}
