/* Group norm of pictures [N][H*W][C] (NHWC), SiLU, padding and nearest-neighbour upsampling: all
 * that happens to a picture between two convolutions. Bound by memory. */

#ifdef STATISTICS
/* partial [N][chunks][G][2] = mean, and sum of squared differences to the mean. A single sum of
 * squares would lose digits if the mean is large. One work-item = one group of channels over one
 * chunk of pixels. */
kernel void groupnorm_partial(global float *partial, global const float *x, int pixels,
                              int chunk_pixels, int channels, int groups)
{
    int g = (int)get_global_id(0), chunk = (int)get_global_id(1), n = (int)get_global_id(2);
    if (g >= groups) return;
    int chunks = (pixels + chunk_pixels - 1) / chunk_pixels, width = channels / groups;
    int begin = chunk * chunk_pixels, end = min(begin + chunk_pixels, pixels);
    global const float *in = x + (size_t)n * pixels * channels + g * width;
    float sum = 0.0f, squares = 0.0f;
    for (int p = begin; p < end; p++)
        for (int c = 0; c < width; c++) sum += in[(size_t)p * channels + c];
    float mean = sum / ((float)(end - begin) * width);
    for (int p = begin; p < end; p++)
        for (int c = 0; c < width; c++) {
            float off = in[(size_t)p * channels + c] - mean;
            squares = mad(off, off, squares);
        }
    global float *to = partial + (((size_t)n * chunks + chunk) * groups + g) * 2;
    to[0] = mean;
    to[1] = squares;
}

/* Joins the chunks' statistics (Chan et al. 1983). affine [N][C][2] = the factor and the offset
 * that normalise channel c. One work-item = one group of one picture. */
kernel void groupnorm_affine(global float *affine, global const float *partial,
                             global const float *weight, global const float *bias, int pixels,
                             int chunk_pixels, int chunks, int channels, int groups, float epsilon)
{
    int g = (int)get_global_id(0), n = (int)get_global_id(1), width = channels / groups;
    if (g >= groups) return;
    float mean = 0.0f, squares = 0.0f, count = 0.0f;
    for (int chunk = 0; chunk < chunks; chunk++) {
        global const float *from = partial + (((size_t)n * chunks + chunk) * groups + g) * 2;
        float more = (float)(min(chunk_pixels, pixels - chunk * chunk_pixels)) * width;
        float all = count + more, off = from[0] - mean;
        mean += off * (more / all);
        squares += from[1] + off * off * (count * (more / all));
        count = all;
    }
    float inverse = 1.0f / sqrt(squares / count + epsilon);
    for (int c = g * width; c < (g + 1) * width; c++) {
        float factor = inverse * weight[c];
        affine[((size_t)n * channels + c) * 2] = factor;
        affine[((size_t)n * channels + c) * 2 + 1] = bias[c] - mean * factor;
    }
}
#else

/* NORM: x * factor + offset. SILU: then SiLU. UP: 1, or 2 for nearest-neighbour upsampling. PAD: 1
 * adds a border of zeros around each picture and `slack` zero pixels behind it, which a convolution
 * reads; `pixels` of an output picture counts them too. out [N][pixels][C]; x [N][h*w][C]. One
 * work-item = one channel of one output pixel. */
kernel void groupnorm_apply(global float *out, global const float *x, global const float *affine,
                            int channels, int height, int width, int pixels)
{
    int c = (int)get_global_id(0), p = (int)get_global_id(1), n = (int)get_global_id(2);
    if (c >= channels) return;
    int pitch = width * UP + 2 * PAD, row = p / pitch - PAD, column = p % pitch - PAD;
    float value = 0.0f;
    if (row >= 0 && row < height * UP && column >= 0 && column < width * UP) {
        size_t from = ((size_t)n * height + row / UP) * width + column / UP;
        value = x[from * channels + c];
#if NORM
        global const float *a = affine + ((size_t)n * channels + c) * 2;
        value = mad(value, a[0], a[1]);
#endif
#if SILU
        value = silu(value);
#endif
    }
    out[((size_t)n * pixels + p) * channels + c] = value;
}
#endif
