/* Group norm of pictures [N][H*W][C] (NHWC), SiLU, padding and nearest-neighbour upsampling: all
 * that happens to a picture between two convolutions. G: groups of channels. Bound by memory: the
 * statistics and the result read a picture once each. */

#ifdef STATISTICS
/* partial [N][chunks][G][2] = mean, and sum of squared deviations from the mean. A sum of squares
 * would lose digits if the mean is large. One work-item = one group of channels over one chunk of
 * pixels. Range: [G][chunks][N]. */
kernel void groupnorm_partial(global float *partial, global const float *x, int pixels,
                              int chunk_pixels, int channels, int groups)
{
    int group = (int)get_global_id(0), chunk = (int)get_global_id(1), n = (int)get_global_id(2);
    if (group >= groups) return;
    int chunks = (pixels + chunk_pixels - 1) / chunk_pixels, width = channels / groups;
    int begin = chunk * chunk_pixels, end = min(begin + chunk_pixels, pixels);
    global const float *in = x + (size_t)n * pixels * channels + group * width;
    float sum = 0.0f, squares = 0.0f;
    for (int pixel = begin; pixel < end; pixel++)
        for (int c = 0; c < width; c++) sum += in[(size_t)pixel * channels + c];
    float mean = sum / ((float)(end - begin) * width);
    for (int pixel = begin; pixel < end; pixel++)
        for (int c = 0; c < width; c++) {
            float deviation = in[(size_t)pixel * channels + c] - mean;
            squares = mad(deviation, deviation, squares);
        }
    global float *dst = partial + (((size_t)n * chunks + chunk) * groups + group) * 2;
    dst[0] = mean;
    dst[1] = squares;
}

/* Joins the chunks' statistics, in a fixed order (Chan et al. 1983). affine [N][C][2] = the factor
 * and the offset that normalise channel c. One work-item = one group of one picture. Range:
 * [G][N]. */
kernel void groupnorm_affine(global float *affine, global const float *partial,
                             global const float *weight, global const float *bias, int pixels,
                             int chunk_pixels, int chunks, int channels, int groups, float epsilon)
{
    int group = (int)get_global_id(0), n = (int)get_global_id(1), width = channels / groups;
    if (group >= groups) return;
    float mean = 0.0f, squares = 0.0f, count = 0.0f;
    for (int chunk = 0; chunk < chunks; chunk++) {
        global const float *src = partial + (((size_t)n * chunks + chunk) * groups + group) * 2;
        float chunk_count = (float)(min(chunk_pixels, pixels - chunk * chunk_pixels)) * width;
        float joint_count = count + chunk_count, difference = src[0] - mean;
        mean += difference * (chunk_count / joint_count);
        squares += src[1] + difference * difference * (count * (chunk_count / joint_count));
        count = joint_count;
    }
    float inverse = 1.0f / sqrt(squares / count + epsilon);
    for (int c = group * width; c < (group + 1) * width; c++) {
        float factor = inverse * weight[c];
        affine[((size_t)n * channels + c) * 2] = factor;
        affine[((size_t)n * channels + c) * 2 + 1] = bias[c] - mean * factor;
    }
}
#else

/* NORM: x * factor + offset. SILU: then SiLU. UP: 1, or 2 for nearest-neighbour upsampling. PAD: 1
 * adds a border of zeros around each picture, and zeros behind it that a convolution may read.
 * `pixels`, those of an output picture, counts both. out [N][pixels][C]; x [N][h*w][C]. One
 * work-item = one channel of one output pixel. Range: [C][pixels][N]. */
kernel void groupnorm_apply(global float *out, global const float *x, global const float *affine,
                            int channels, int height, int width, int pixels)
{
    int c = (int)get_global_id(0), pixel = (int)get_global_id(1), n = (int)get_global_id(2);
    if (c >= channels) return;
    int pitch = width * UP + 2 * PAD, row = pixel / pitch - PAD, column = pixel % pitch - PAD;
    float value = 0.0f;
    if (row >= 0 && row < height * UP && column >= 0 && column < width * UP) {
        size_t source_pixel = ((size_t)n * height + row / UP) * width + column / UP;
        value = x[source_pixel * channels + c];
#if NORM
        global const float *coefficients = affine + ((size_t)n * channels + c) * 2;
        value = mad(value, coefficients[0], coefficients[1]);
#endif
#if SILU
        value = silu(value);
#endif
    }
    out[((size_t)n * pixels + pixel) * channels + c] = value;
}
#endif
