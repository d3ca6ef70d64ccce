/* im2col for 3x3 convolutions of stride 2; a GEMM multiplies the windows by the weights. The
 * picture is padded with zeros by one row below and one column to the right, as in the downsampler
 * of Stable Diffusion's VAE. Bound by memory. */

/* out [windows][C][3][3] = the 3x3 windows of the output pixels from `first` on; x [H * W][C]. One
 * work-item = one channel of one window. Range: [C][windows]. */
kernel void downsample_patches(global float *out, global const float *x, int first, int channels,
                               int height, int width)
{
    int channel = (int)get_global_id(0), window = (int)get_global_id(1);
    if (channel >= channels) return;
    int pixel = first + window;
    int first_row = pixel / (width / 2) * 2, first_column = pixel % (width / 2) * 2;
    global float *dst = out + ((size_t)window * channels + channel) * 9;
    for (int tap = 0; tap < 9; tap++) {
        int in_row = first_row + tap / 3, in_column = first_column + tap % 3;
        dst[tap] = in_row < height && in_column < width
                       ? x[((size_t)in_row * width + in_column) * channels + channel]
                       : 0.0f;
    }
}

/* Copies part [pixels][C] to out, from pixel `first` on. One work-item = one value. Range:
 * [C][pixels]. */
kernel void downsample_place(global float *out, global const float *part, int first, int channels)
{
    int channel = (int)get_global_id(0), pixel = (int)get_global_id(1);
    if (channel >= channels) return;
    out[((size_t)first + pixel) * channels + channel] = part[(size_t)pixel * channels + channel];
}
