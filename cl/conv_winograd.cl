/* 3x3 convolution for CPUs by Winograd F(2x2, 3x3) (Winograd 1980; Lavin and Gray 2016). A tile is
 * 2x2 results. It needs ELEMENTS = 16 products per pair of channels instead of 36. Floor: 2
 * ELEMENTS Cin Cout FLOP per tile.
 *
 *     4x4 pixels d -> B^T d B: 16 elements          for each element a GEMM over the channels:
 *     3x3 weights g -> G g G^T: 16 elements           [tiles][Cout] = [tiles][Cin] x [Cin][Cout]
 *     16 products m -> A^T m A: 2x2 results
 *
 * With UP 2 (nearest-neighbour upsampling) input pixels repeat in pairs. Then 7 of the 16 elements
 * are 0, and a tile belongs to one pixel of the input before upsampling. */

#if UP == 2
#define EDGE 3
#define STEP 1
#else
#define EDGE 4
#define STEP 2
#endif
#define ELEMENTS (EDGE * EDGE)

#ifdef PACK
/* Element i of G times three taps, `stride` apart. Upsampling doubles the middle element of the
 * transformed input; this function applies the factor 2 instead. */
INLINE float transform_filter(const float *tap, int stride, int i)
{
    float first = tap[0], middle = tap[stride], last = tap[2 * stride];
    if (i == 0) return first;
    if (i == EDGE - 1) return last;
#if UP == 2
    return first + middle + last;
#else
    return 0.5f * (first + (i == 1 ? middle : -middle) + last);
#endif
}

/* packed [ceil(Cout / wide)][ELEMENTS][Cin][wide] from stored [Cout][Cin][3][3]; 0 beyond Cout. One
 * work-item = `deep` input channels of a panel of `wide` output channels. Range: [Cin / deep]
 * [ceil(Cout / wide)]. */
kernel void conv_winograd_pack(global float *packed, global const float *stored, int in_channels,
                               int out_channels, int wide, int deep)
{
    int first = (int)get_global_id(0) * deep, panel = (int)get_global_id(1);
    for (int c = first; c < first + deep; c++)
        for (int j = 0; j < wide; j++) {
            int out_channel = panel * wide + j;
            float tap[9], column[EDGE * 3];
            for (int i = 0; i < 9; i++)
                tap[i] = out_channel < out_channels
                             ? stored[((size_t)out_channel * in_channels + c) * 9 + i]
                             : 0.0f;
            for (int e = 0; e < EDGE * 3; e++) column[e] = transform_filter(tap + e % 3, 3, e / 3);
            for (int e = 0; e < ELEMENTS; e++)
                packed[(((size_t)panel * ELEMENTS + e) * in_channels + c) * wide + j] =
                    transform_filter(column + e / EDGE * 3, 1, e % EDGE);
        }
}
#else

#define NR (NV * VEC)
#define TILES (BH * BW)
#define ROW_BLOCKS ((TILES + MR - 1) / MR)
#define ROWS (ROW_BLOCKS * MR)
#define BLOCK_H (BH * STEP + 2)
#define BLOCK_W (BW * STEP + 2)
/* This type loads and stores an unaligned vector in one access. A compiler may split vload16. */
typedef V unaligned_v __attribute__((aligned(4)));
#define LOAD(p) (*(global const unaligned_v *)(p))
#define STORE(p, v) (*(global unaligned_v *)(p) = (v))

/* Loads VEC channels of a block's pixels and their neighbours; 0 outside the picture. x and affine
 * begin at those channels; (y0, x0) is the first pixel that is loaded. */
INLINE void load_block(V *dst, global const float *x, global const float *affine, int y0, int x0,
                       int height, int width, int channels)
{
#if NORM
    float factors[VEC], offsets[VEC];
    for (int i = 0; i < VEC; i++) {
        factors[i] = affine[2 * i];
        offsets[i] = affine[2 * i + 1];
    }
    V factor = VLOAD(factors), offset = VLOAD(offsets);
#endif
    for (int row = 0; row < BLOCK_H; row++, dst += BLOCK_W) {
        int y = y0 + row, inside = y >= 0 && y < height;
        int begin = inside ? max(0, -x0) : BLOCK_W, end = min(BLOCK_W, width - x0);
        for (int column = 0; column < begin; column++) dst[column] = 0.0f;
        global const float *src = x + ((long)y * width + x0) * channels;
        for (int column = begin; column < end; column++) {
            V value = LOAD(src + (long)column * channels);
#if NORM
            value = mad(value, factor, offset);
#endif
#if SILU
            value = siluv(value);
#endif
            dst[column] = value;
        }
        for (int column = max(begin, end); column < BLOCK_W; column++) dst[column] = 0.0f;
    }
}

/* t [EDGE] = B^T s; the elements of s are `stride` apart. */
#if UP == 2
#define TRANSFORM_INPUT(t, s, stride)                                                              \
    t[0] = s[0] - s[stride];                                                                       \
    t[1] = s[stride];                                                                              \
    t[2] = s[stride] - s[2 * (stride)];
#else
#define TRANSFORM_INPUT(t, s, stride)                                                              \
    t[0] = s[0] - s[2 * (stride)];                                                                 \
    t[1] = s[stride] + s[2 * (stride)];                                                            \
    t[2] = s[2 * (stride)] - s[stride];                                                            \
    t[3] = s[stride] - s[3 * (stride)];
#endif

/* Transforms VEC channels of every tile of a block. transformed: [ELEMENTS][ROW_BLOCKS][chunks][MR]
 * [VEC], from this chunk of VEC channels on. */
INLINE void transform_input(global float *transformed, const V *pixels, int chunks)
{
    for (int t = 0; t < TILES; t++) {
        const V *corner = pixels + t / BW * STEP * BLOCK_W + t % BW * STEP;
        global float *dst = transformed + ((size_t)(t / MR) * chunks * MR + t % MR) * VEC;
        V columns_done[EDGE * EDGE];
#pragma unroll
        for (int j = 0; j < EDGE; j++) {
            V column[EDGE];
            TRANSFORM_INPUT(column, (corner + j), BLOCK_W)
#pragma unroll
            for (int i = 0; i < EDGE; i++) columns_done[i * EDGE + j] = column[i];
        }
#pragma unroll
        for (int i = 0; i < EDGE; i++) {
            V row[EDGE];
            TRANSFORM_INPUT(row, (columns_done + i * EDGE), 1)
#pragma unroll
            for (int j = 0; j < EDGE; j++)
                STORE(dst + (size_t)(i * EDGE + j) * ROW_BLOCKS * chunks * MR * VEC, row[j]);
        }
    }
}

/* product [MR][NR] = a [chunks][MR][VEC] x b [chunks * VEC][NR] */
INLINE void multiply_element(global float *product, global const float *a, global const float *b,
                             int chunks)
{
    V acc[MR][NV];
#pragma unroll
    for (int i = 0; i < MR; i++)
#pragma unroll
        for (int j = 0; j < NV; j++) acc[i][j] = 0.0f;
    for (int k = 0; k < chunks; k++, a += MR * VEC)
        for (int c = 0; c < VEC; c += KU, b += KU * NR) {
#pragma unroll
            for (int u = 0; u < KU; u++) {
                V weights[NV];
#pragma unroll
                for (int j = 0; j < NV; j++) weights[j] = LOAD(b + u * NR + j * VEC);
#pragma unroll
                for (int i = 0; i < MR; i++) {
                    V value = a[i * VEC + c + u];
#pragma unroll
                    for (int j = 0; j < NV; j++) acc[i][j] = fma(value, weights[j], acc[i][j]);
                }
            }
        }
#pragma unroll
    for (int i = 0; i < MR; i++)
#pragma unroll
        for (int j = 0; j < NV; j++) STORE(product + i * NR + j * VEC, acc[i][j]);
}

/* r [2] = A^T m */
#if UP == 2
#define TRANSFORM_OUTPUT(r, m)                                                                     \
    r[0] = m[0] + m[1];                                                                            \
    r[1] = m[1] - m[2];
#else
#define TRANSFORM_OUTPUT(r, m)                                                                     \
    r[0] = m[0] + m[1] + m[2];                                                                     \
    r[1] = m[1] - m[2] - m[3];
#endif

/* result [2][2] = VEC channels of one tile. products: [ELEMENTS][ROWS][NR] from the tile on. */
INLINE void transform_output(V *result, global const float *products)
{
    V columns_done[2][EDGE];
#pragma unroll
    for (int j = 0; j < EDGE; j++) {
        V column[EDGE], column_result[2];
#pragma unroll
        for (int i = 0; i < EDGE; i++) column[i] = LOAD(products + (i * EDGE + j) * ROWS * NR);
        TRANSFORM_OUTPUT(column_result, column)
        columns_done[0][j] = column_result[0];
        columns_done[1][j] = column_result[1];
    }
    TRANSFORM_OUTPUT(result, columns_done[0])
    TRANSFORM_OUTPUT((result + 2), columns_done[1])
}

/* One work-group = one work-item, with its own part of scratch. Range: [groups]. The transformed
 * input of a block of BH x BW tiles, [ELEMENTS][ROWS][Cin], stays in the cache while it is
 * multiplied by panel after panel of NR output channels, MR tiles in registers at a time. A task is
 * one block and one of `splits` parts of the panels. Each work-group has a contiguous run of the
 * tasks.
 *
 * out, residual [N][UP*H * UP*W][Cout]; x [N][H*W][Cin]; affine [N][Cin][2]; weight as packed; bias
 * [ceil(Cout / NR) * NR]. Cin and Cout are multiples of VEC. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_winograd(global float *out, global const float *x, global const float *weight,
              global const float *bias, global const float *affine, global const float *residual,
              global float *scratch, int with_residual, int height, int width, int in_channels,
              int out_channels, int splits, int tasks, int groups)
{
    int group = GROUP_ID(0, 1), chunks = in_channels / VEC;
    int panels = (out_channels + NR - 1) / NR;
    int out_height = height * UP, out_width = width * UP;
    int blocks_h = (out_height + 2 * BH - 1) / (2 * BH);
    int blocks_w = (out_width + 2 * BW - 1) / (2 * BW);
    size_t size = (size_t)ELEMENTS * ROWS * in_channels;
    global float *input = scratch + (size_t)group * (size + ELEMENTS * ROWS * NR);
    global float *products = input + size;
    V pixels[BLOCK_H * BLOCK_W];
    if (ROWS > TILES) /* rows without a tile */
        for (size_t i = 0; i < size; i += VEC) STORE(input + i, (V)(0.0f));
    int task_end = (int)((long)tasks * (group + 1) / groups);
    for (int task = (int)((long)tasks * group / groups); task < task_end; task++) {
        int split = task % splits, block = task / splits;
        int x0 = block % blocks_w * BW, y0 = block / blocks_w % blocks_h * BH;
        int n = block / blocks_w / blocks_h;
        global const float *picture = x + (size_t)n * height * width * in_channels;
        for (int k = 0; k < chunks; k++) {
            load_block(pixels, picture + k * VEC, affine + ((size_t)n * in_channels + k * VEC) * 2,
                       y0 * STEP - 1, x0 * STEP - 1, height, width, in_channels);
            transform_input(input + (size_t)k * MR * VEC, pixels, chunks);
        }
        int end = panels * (split + 1) / splits;
        for (int panel = panels * split / splits; panel < end; panel++) {
            for (int element = 0; element < ELEMENTS; element++)
                for (int row_block = 0; row_block < ROW_BLOCKS; row_block++)
                    multiply_element(
                        products + (element * ROWS + row_block * MR) * NR,
                        input + (size_t)(element * ROW_BLOCKS + row_block) * chunks * MR * VEC,
                        weight + ((size_t)panel * ELEMENTS + element) * in_channels * NR, chunks);
            for (int t = 0; t < TILES; t++) {
                int y_tile = (y0 + t / BW) * 2, x_tile = (x0 + t % BW) * 2;
                if (y_tile >= out_height || x_tile >= out_width) continue;
#pragma unroll
                for (int j = 0; j < NV; j++) {
                    int channel = panel * NR + j * VEC;
                    if (channel >= out_channels) break;
                    V result[4], offset = LOAD(bias + channel);
                    transform_output(result, products + t * NR + j * VEC);
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        int y_out = y_tile + i / 2, x_out = x_tile + i % 2;
                        if (y_out >= out_height || x_out >= out_width) continue;
                        size_t out_index =
                            (((size_t)n * out_height + y_out) * out_width + x_out) * out_channels +
                            channel;
                        V value = result[i] + offset;
                        if (with_residual) value += LOAD(residual + out_index);
                        STORE(out + out_index, value);
                    }
                }
            }
        }
    }
}
#endif
