/* groupnorm.cl for CPUs, if the number of channels is a multiple of VEC. One work-item per
 * work-group runs along pixels with vectors of channels. Bound by memory. */

#ifdef STATISTICS
#define BLOCK 4  /* vectors of channels in registers */
#define FIRSTS 8 /* pixels of the first estimate of the mean; a single pixel may be an outlier */

/* partial [N][chunks][2][C] = each channel's mean, and sum of squared differences to the mean. They
 * are computed from differences to the mean of the chunk's first pixels, so that a large mean costs
 * no digits. One work-item = one chunk of pixels, all channels. */
kernel void groupnorm_partial_rows(global float *partial, global const float *x, int pixels,
                                   int chunk_pixels, int channels)
{
    int chunk = (int)get_global_id(0), n = (int)get_global_id(1);
    int chunks = (pixels + chunk_pixels - 1) / chunk_pixels;
    int begin = chunk * chunk_pixels, count = min(chunk_pixels, pixels - begin);
    global const float *in = x + ((size_t)n * pixels + begin) * channels;
    global float *to = partial + ((size_t)n * chunks + chunk) * 2 * channels;
    int firsts = min(count, FIRSTS);
    float each = 1.0f / count, part = 1.0f / firsts;
    for (int c = 0; c < channels; c += BLOCK * VEC) {
        int some = min(BLOCK, (channels - c) / VEC);
        V first[BLOCK], sum[BLOCK], squares[BLOCK];
        for (int j = 0; j < BLOCK; j++) {
            first[j] = sum[j] = squares[j] = 0.0f;
            for (int p = 0; p < firsts && j < some; p++)
                first[j] += VLOAD(in + (size_t)p * channels + c + j * VEC) * part;
        }
        global const float *from = in + c;
        if (some == BLOCK)
            for (int p = 0; p < count; p++, from += channels) {
#pragma unroll
                for (int j = 0; j < BLOCK; j++) {
                    V off = VLOAD(from + j * VEC) - first[j];
                    sum[j] += off;
                    squares[j] = mad(off, off, squares[j]);
                }
            }
        else
            for (int j = 0; j < some; j++)
                for (int p = 0; p < count; p++) {
                    V off = VLOAD(from + (size_t)p * channels + j * VEC) - first[j];
                    sum[j] += off;
                    squares[j] = mad(off, off, squares[j]);
                }
        for (int j = 0; j < some; j++) {
            V mean = sum[j] * each;
            VSTORE(first[j] + mean, to + c + j * VEC);
            VSTORE(squares[j] - sum[j] * mean, to + channels + c + j * VEC);
        }
    }
}

/* Joins the statistics of a group's channels over all chunks. affine as in groupnorm_affine. One
 * work-item = one group of one picture. */
kernel void groupnorm_affine_rows(global float *affine, global const float *partial,
                                  global const float *weight, global const float *bias, int pixels,
                                  int chunk_pixels, int chunks, int channels, int groups,
                                  float epsilon)
{
    int g = (int)get_global_id(0), n = (int)get_global_id(1), width = channels / groups;
    global const float *from = partial + (size_t)n * chunks * 2 * channels + g * width;
    float total = (float)pixels * width, first = from[0], sum = 0.0f, squares = 0.0f;
    for (int k = 0; k < chunks; k++) {
        float count = (float)min(chunk_pixels, pixels - k * chunk_pixels);
        for (int c = 0; c < width; c++)
            sum = mad(count, from[(size_t)k * 2 * channels + c] - first, sum);
    }
    float mean = first + sum / total;
    for (int k = 0; k < chunks; k++) {
        float count = (float)min(chunk_pixels, pixels - k * chunk_pixels);
        for (int c = 0; c < width; c++) {
            float off = from[(size_t)k * 2 * channels + c] - mean;
            squares += from[((size_t)k * 2 + 1) * channels + c] + count * off * off;
        }
    }
    float inverse = 1.0f / sqrt(max(squares, 0.0f) / total + epsilon);
    for (int c = g * width; c < (g + 1) * width; c++) {
        float factor = inverse * weight[c];
        affine[((size_t)n * channels + c) * 2] = factor;
        affine[((size_t)n * channels + c) * 2 + 1] = bias[c] - mean * factor;
    }
}

#else

/* As groupnorm_apply. One work-item = one row of the result, border included. The work-item of the
 * last row also writes the slack. */
kernel void groupnorm_apply_rows(global float *out, global const float *x,
                                 global const float *affine, int channels, int height, int width,
                                 int pixels)
{
    int y = (int)get_global_id(0), n = (int)get_global_id(1), rows = height * UP + 2 * PAD;
    int pitch = width * UP + 2 * PAD, row = y - PAD;
    int inside = row >= 0 && row < height * UP;
    global float *to = out + ((size_t)n * pixels + (size_t)y * pitch) * channels;
    size_t after = (size_t)(y == rows - 1 ? pixels - y * pitch : pitch) * channels;
    size_t border = (size_t)(inside ? PAD : pitch) * channels;
    size_t end = (size_t)(pitch - PAD) * channels;
    for (size_t i = 0; i < border; i += VEC) VSTORE((V)(0.0f), to + i);
    for (size_t i = inside ? end : border; i < after; i += VEC) VSTORE((V)(0.0f), to + i);
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
        global const float *from = x + ((size_t)n * height + row / UP) * width * channels + c;
        global float *at = to + PAD * channels + c;
        for (int p = 0; p < width; p++, from += channels) {
            V value = VLOAD(from);
#if NORM
            value = mad(value, factor, offset);
#endif
#if SILU
            value = siluv(value);
#endif
            for (int i = 0; i < UP; i++, at += channels) VSTORE(value, at);
        }
    }
}
#endif
