/* Group norm of pictures [N][H*W][C] (NHWC), SiLU, padding and nearest-neighbour upsampling: all
 * that happens to a picture between two convolutions. G: groups of channels. Bound by memory: the
 * statistics and the result read a picture once each. */

#ifdef STATISTICS
/* VEC: channels of a vector, 4 or 1. A vector lies within one group. WG: work-items that join one
 * group. */
#define BLOCK 8 /* pixels whose loads are on their way at once */
#if VEC == 4
#define LANE_SUM(v) ((v).x + (v).y + (v).z + (v).w)
#else
#define LANE_SUM(v) (v)
#endif

/* partial [N][vectors][chunks][2] = mean, and sum of squared deviations from the mean, of one
 * vector of channels over one chunk of pixels. x [N][pixels][vectors]. Both come from deviations
 * from `shift`, the mean of the first BLOCK pixels, so a large mean costs no digits. One work-item
 * = one vector over one chunk; neighbours read neighbouring vectors. Range: [vectors * chunks][N].
 */
kernel void groupnorm_partial(global float *partial, global const V *x, int pixels,
                              int chunk_pixels, int chunks, int vectors)
{
    int item = (int)get_global_id(0), n = (int)get_global_id(1);
    int chunk = item / vectors, vector = item % vectors;
    if (chunk >= chunks) return;
    int begin = chunk * chunk_pixels, count = min(chunk_pixels, pixels - begin), pixel = 0;
    global const V *in = x + ((size_t)n * pixels + begin) * vectors + vector;
    V sum = 0.0f, squares = 0.0f, block[BLOCK];
#pragma unroll
    for (int j = 0; j < BLOCK; j++) sum += in[(size_t)min(j, count - 1) * vectors];
    float shift = LANE_SUM(sum) / (BLOCK * VEC);
    sum = 0.0f;
    for (; pixel + BLOCK <= count; pixel += BLOCK) {
#pragma unroll
        for (int j = 0; j < BLOCK; j++) block[j] = in[(size_t)(pixel + j) * vectors] - shift;
#pragma unroll
        for (int j = 0; j < BLOCK; j++) {
            sum += block[j];
            squares = mad(block[j], block[j], squares);
        }
    }
    for (; pixel < count; pixel++) { /* the last chunk may end within a block */
        V deviation = in[(size_t)pixel * vectors] - shift;
        sum += deviation;
        squares = mad(deviation, deviation, squares);
    }
    float total = LANE_SUM(sum), mean = total / (count * VEC);
    global float *dst = partial + (((size_t)n * vectors + vector) * chunks + chunk) * 2;
    dst[0] = shift + mean;
    dst[1] = max(LANE_SUM(squares) - total * mean, 0.0f);
}

/* Values of a group that entry i of its statistics stands for. */
INLINE float values_of(int i, int pixels, int chunk_pixels, int chunks)
{
    return (float)(min(chunk_pixels, pixels - i % chunks * chunk_pixels) * VEC);
}

/* Joins a group's statistics, those of its vectors and chunks, in a fixed order. affine [N][C][2] =
 * the factor and the offset that normalise channel c. A second pass sums the deviations around the
 * mean. One work-group = one group of one picture; with WG 1, one work-item. Range: [G] groups,
 * [N]. */
kernel void groupnorm_affine(global float *affine, global const float *partial,
                             global const float *weight, global const float *bias, int pixels,
                             int chunk_pixels, int chunks, int channels, int groups, float epsilon)
{
#if WG > 1
    local float scratch[WG];
#endif
    int local_id = WG > 1 ? (int)get_local_id(0) : 0, n = (int)get_global_id(1);
    int group = WG > 1 ? GROUP_ID(0, WG) : (int)get_global_id(0), width = channels / groups;
#if WG == 1 /* one compiler miscompiles a return before barriers */
    if (group >= groups) return;
#endif
    int entries = width / VEC * chunks;
    global const float *src = partial + ((size_t)n * groups + group) * entries * 2;
    float first = src[0], total = (float)pixels * width, sum = 0.0f, squares = 0.0f;
    for (int i = local_id; i < entries; i += WG)
        sum = mad(values_of(i, pixels, chunk_pixels, chunks), src[2 * i] - first, sum);
    float mean = first + group_sum(sum, scratch) / total;
    for (int i = local_id; i < entries; i += WG) {
        float difference = src[2 * i] - mean;
        squares += mad(values_of(i, pixels, chunk_pixels, chunks) * difference, difference,
                       src[2 * i + 1]);
    }
    float inverse = 1.0f / sqrt(group_sum(squares, scratch) / total + epsilon);
    for (int c = group * width + local_id; c < (group + 1) * width; c += WG) {
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
