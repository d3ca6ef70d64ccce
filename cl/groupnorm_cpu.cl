/* groupnorm.cl for CPUs, if the number of channels is a multiple of VEC. One work-item per
 * work-group runs along pixels with vectors of channels. Bound by memory. */

#ifdef STATISTICS
#define BLOCK 4  /* vectors of channels in registers */
#define FIRSTS 8 /* pixels of the first estimate of the mean, since one pixel may be an outlier */

/* partial [N][chunks][2][C] = each channel's mean, and sum of squared deviations from the mean.
 * Both are sums of deviations from `shift`, the mean of the chunk's first pixels, so that a large
 * mean costs no digits. One work-item = one chunk of pixels, all channels. Range: [chunks][N]. */
kernel void groupnorm_partial_rows(global float *partial, global const float *x, int pixels,
                                   int chunk_pixels, int channels)
{
    int chunk = (int)get_global_id(0), n = (int)get_global_id(1);
    int chunks = (pixels + chunk_pixels - 1) / chunk_pixels;
    int begin = chunk * chunk_pixels, count = min(chunk_pixels, pixels - begin);
    global const float *in = x + ((size_t)n * pixels + begin) * channels;
    global float *dst = partial + ((size_t)n * chunks + chunk) * 2 * channels;
    int n_first = min(count, FIRSTS);
    float inverse_count = 1.0f / count, inverse_first = 1.0f / n_first;
    for (int c = 0; c < channels; c += BLOCK * VEC) {
        int vectors = min(BLOCK, (channels - c) / VEC);
        V shift[BLOCK], sum[BLOCK], squares[BLOCK];
        for (int j = 0; j < BLOCK; j++) {
            shift[j] = sum[j] = squares[j] = 0.0f;
            for (int pixel = 0; pixel < n_first && j < vectors; pixel++)
                shift[j] += VLOAD(in + (size_t)pixel * channels + c + j * VEC) * inverse_first;
        }
        global const float *src = in + c;
        if (vectors == BLOCK)
            for (int pixel = 0; pixel < count; pixel++, src += channels) {
#pragma unroll
                for (int j = 0; j < BLOCK; j++) {
                    V deviation = VLOAD(src + j * VEC) - shift[j];
                    sum[j] += deviation;
                    squares[j] = mad(deviation, deviation, squares[j]);
                }
            }
        else
            for (int j = 0; j < vectors; j++)
                for (int pixel = 0; pixel < count; pixel++) {
                    V deviation = VLOAD(src + (size_t)pixel * channels + j * VEC) - shift[j];
                    sum[j] += deviation;
                    squares[j] = mad(deviation, deviation, squares[j]);
                }
        for (int j = 0; j < vectors; j++) {
            V mean = sum[j] * inverse_count;
            VSTORE(shift[j] + mean, dst + c + j * VEC);
            VSTORE(squares[j] - sum[j] * mean, dst + channels + c + j * VEC);
        }
    }
}

/* Joins the statistics of a group's channels over all chunks. affine as in groupnorm_affine. One
 * work-item = one group of one picture. Range: [G][N]. */
kernel void groupnorm_affine_rows(global float *affine, global const float *partial,
                                  global const float *weight, global const float *bias, int pixels,
                                  int chunk_pixels, int chunks, int channels, int groups,
                                  float epsilon)
{
    int group = (int)get_global_id(0), n = (int)get_global_id(1), width = channels / groups;
    global const float *src = partial + (size_t)n * chunks * 2 * channels + group * width;
    float total = (float)pixels * width, first = src[0], sum = 0.0f, squares = 0.0f;
    for (int k = 0; k < chunks; k++) {
        float count = (float)min(chunk_pixels, pixels - k * chunk_pixels);
        for (int c = 0; c < width; c++)
            sum = mad(count, src[(size_t)k * 2 * channels + c] - first, sum);
    }
    float mean = first + sum / total;
    for (int k = 0; k < chunks; k++) {
        float count = (float)min(chunk_pixels, pixels - k * chunk_pixels);
        for (int c = 0; c < width; c++) {
            float difference = src[(size_t)k * 2 * channels + c] - mean;
            squares += src[((size_t)k * 2 + 1) * channels + c] + count * difference * difference;
        }
    }
    float inverse = 1.0f / sqrt(max(squares, 0.0f) / total + epsilon);
    for (int c = group * width; c < (group + 1) * width; c++) {
        float factor = inverse * weight[c];
        affine[((size_t)n * channels + c) * 2] = factor;
        affine[((size_t)n * channels + c) * 2 + 1] = bias[c] - mean * factor;
    }
}

#else

/* As groupnorm_apply. One work-item = one row of the result, border included. The work-item of the
 * last row also writes the zeros behind the picture. Range: [rows][N]. */
kernel void groupnorm_apply_rows(global float *out, global const float *x,
                                 global const float *affine, int channels, int height, int width,
                                 int pixels)
{
    int y = (int)get_global_id(0), n = (int)get_global_id(1), rows = height * UP + 2 * PAD;
    int pitch = width * UP + 2 * PAD, row = y - PAD;
    int inside = row >= 0 && row < height * UP;
    global float *row_out = out + ((size_t)n * pixels + (size_t)y * pitch) * channels;
    size_t row_end = (size_t)(y == rows - 1 ? pixels - y * pitch : pitch) * channels;
    size_t left_border = (size_t)(inside ? PAD : pitch) * channels;
    size_t right_border = (size_t)(pitch - PAD) * channels;
    for (size_t i = 0; i < left_border; i += VEC) VSTORE((V)(0.0f), row_out + i);
    for (size_t i = inside ? right_border : left_border; i < row_end; i += VEC)
        VSTORE((V)(0.0f), row_out + i);
    if (!inside) return;
    for (int c = 0; c < channels; c += VEC) {
#if NORM
        float factors[VEC], offsets[VEC];
        for (int i = 0; i < VEC; i++) {
            factors[i] = affine[((size_t)n * channels + c + i) * 2];
            offsets[i] = affine[((size_t)n * channels + c + i) * 2 + 1];
        }
        V factor = VLOAD(factors), offset = VLOAD(offsets);
#endif
        global const float *src = x + ((size_t)n * height + row / UP) * width * channels + c;
        global float *dst = row_out + PAD * channels + c;
        for (int column = 0; column < width; column++, src += channels) {
            V value = VLOAD(src);
#if NORM
            value = mad(value, factor, offset);
#endif
#if SILU
            value = siluv(value);
#endif
            for (int i = 0; i < UP; i++, dst += channels) VSTORE(value, dst);
        }
    }
}
#endif
