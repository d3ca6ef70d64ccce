/* 3x3 convolution for CPUs by Winograd F(2x2, 3x3) (Winograd 1980; Lavin and Gray 2016). A tile is
 * 2x2 results. It needs ELEMENTS = 16 products per pair of channels instead of 36; each element is
 * a GEMM over the channels. With UP 2 (nearest-neighbour upsampling) input pixels repeat in pairs.
 * Then 7 of the 16 elements are 0, and a tile belongs to one pixel of the input before
 * upsampling. */

#if UP == 2
#define EDGE 3
#define STEP 1
#else
#define EDGE 4
#define STEP 2
#endif
#define ELEMENTS (EDGE * EDGE)

#ifdef PACK
/* Element i of the transform of three taps, `stride` apart. Upsampling doubles the middle element
 * of the transformed input; the factor 2 is applied here instead. */
INLINE float filter(const float *tap, int stride, int i)
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
 * work-item = `deep` input channels of a panel of `wide` output channels. */
kernel void conv_winograd_pack(global float *packed, global const float *stored, int in_channels,
                               int out_channels, int wide, int deep)
{
    int first = (int)get_global_id(0) * deep, panel = (int)get_global_id(1);
    for (int c = first; c < first + deep; c++)
        for (int j = 0; j < wide; j++) {
            int o = panel * wide + j;
            float tap[9], column[EDGE * 3];
            for (int i = 0; i < 9; i++)
                tap[i] = o < out_channels ? stored[((size_t)o * in_channels + c) * 9 + i] : 0.0f;
            for (int e = 0; e < EDGE * 3; e++) column[e] = filter(tap + e % 3, 3, e / 3);
            for (int e = 0; e < ELEMENTS; e++)
                packed[(((size_t)panel * ELEMENTS + e) * in_channels + c) * wide + j] =
                    filter(column + e / EDGE * 3, 1, e % EDGE);
        }
}
#else

#define NR (NV * VEC)
#define TILES (BH * BW)
#define ROW_BLOCKS ((TILES + MR - 1) / MR)
#define ROWS (ROW_BLOCKS * MR)
#define STAGE_H (BH * STEP + 2)
#define STAGE_W (BW * STEP + 2)
/* A compiler may split vload16. Dereferencing this type loads an unaligned vector in one access. */
typedef V unaligned_v __attribute__((aligned(4)));
#define GET(p) (*(global const unaligned_v *)(p))
#define PUT(p, v) (*(global unaligned_v *)(p) = (v))

/* Loads VEC channels of the block's pixels and their neighbours; 0 outside the picture. x and
 * affine begin at those channels; (y0, x0) is the block's first pixel. */
INLINE void stage(V *to, global const float *x, global const float *affine, int y0, int x0,
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
    for (int r = 0; r < STAGE_H; r++, to += STAGE_W) {
        int y = y0 + r, inside = y >= 0 && y < height;
        int begin = inside ? max(0, -x0) : STAGE_W, end = min(STAGE_W, width - x0);
        for (int q = 0; q < begin; q++) to[q] = 0.0f;
        global const float *from = x + ((long)y * width + x0) * channels;
        for (int q = begin; q < end; q++) {
            V value = GET(from + (long)q * channels);
#if NORM
            value = mad(value, factor, offset);
#endif
#if SILU
            value = siluv(value);
#endif
            to[q] = value;
        }
        for (int q = max(begin, end); q < STAGE_W; q++) to[q] = 0.0f;
    }
}

/* t [EDGE] = transform of s [EDGE], whose elements are `stride` apart. */
#if UP == 2
#define TRANSFORM(t, s, stride)                                                                    \
    t[0] = s[0] - s[stride];                                                                       \
    t[1] = s[stride];                                                                              \
    t[2] = s[stride] - s[2 * (stride)];
#else
#define TRANSFORM(t, s, stride)                                                                    \
    t[0] = s[0] - s[2 * (stride)];                                                                 \
    t[1] = s[stride] + s[2 * (stride)];                                                            \
    t[2] = s[2 * (stride)] - s[stride];                                                            \
    t[3] = s[stride] - s[3 * (stride)];
#endif

/* Transforms VEC channels of every tile. to: [ELEMENTS][ROW_BLOCKS][chunks][MR][VEC] from this
 * chunk on. */
INLINE void transform(global float *to, const V *pixels, int chunks)
{
    for (int t = 0; t < TILES; t++) {
        const V *corner = pixels + t / BW * STEP * STAGE_W + t % BW * STEP;
        global float *at = to + ((size_t)(t / MR) * chunks * MR + t % MR) * VEC;
        V half_way[EDGE * EDGE];
#pragma unroll
        for (int j = 0; j < EDGE; j++) {
            V column[EDGE];
            TRANSFORM(column, (corner + j), STAGE_W)
#pragma unroll
            for (int i = 0; i < EDGE; i++) half_way[i * EDGE + j] = column[i];
        }
#pragma unroll
        for (int i = 0; i < EDGE; i++) {
            V row[EDGE];
            TRANSFORM(row, (half_way + i * EDGE), 1)
#pragma unroll
            for (int j = 0; j < EDGE; j++)
                PUT(at + (size_t)(i * EDGE + j) * ROW_BLOCKS * chunks * MR * VEC, row[j]);
        }
    }
}

/* to [MR][NR] = a [chunks][MR][VEC] x b [chunks * VEC][NR] */
INLINE void multiply(global float *to, global const float *a, global const float *b, int chunks)
{
    V sum[MR][NV];
#pragma unroll
    for (int i = 0; i < MR; i++)
#pragma unroll
        for (int j = 0; j < NV; j++) sum[i][j] = 0.0f;
    for (int k = 0; k < chunks; k++, a += MR * VEC)
        for (int c = 0; c < VEC; c += KU, b += KU * NR) {
#pragma unroll
            for (int u = 0; u < KU; u++) {
                V row[NV];
#pragma unroll
                for (int j = 0; j < NV; j++) row[j] = GET(b + u * NR + j * VEC);
#pragma unroll
                for (int i = 0; i < MR; i++) {
                    V value = a[i * VEC + c + u];
#pragma unroll
                    for (int j = 0; j < NV; j++) sum[i][j] = fma(value, row[j], sum[i][j]);
                }
            }
        }
#pragma unroll
    for (int i = 0; i < MR; i++)
#pragma unroll
        for (int j = 0; j < NV; j++) PUT(to + i * NR + j * VEC, sum[i][j]);
}

#if UP == 2
#define COLLECT(r, m)                                                                              \
    r[0] = m[0] + m[1];                                                                            \
    r[1] = m[1] - m[2];
#else
#define COLLECT(r, m)                                                                              \
    r[0] = m[0] + m[1] + m[2];                                                                     \
    r[1] = m[1] - m[2] - m[3];
#endif

/* result [2][2] = VEC channels of one tile. products: [ELEMENTS][ROWS][NR] from the tile on. */
INLINE void collect(V *result, global const float *products)
{
    V half_way[2][EDGE];
#pragma unroll
    for (int j = 0; j < EDGE; j++) {
        V column[EDGE], two[2];
#pragma unroll
        for (int i = 0; i < EDGE; i++) column[i] = GET(products + (i * EDGE + j) * ROWS * NR);
        COLLECT(two, column)
        half_way[0][j] = two[0];
        half_way[1][j] = two[1];
    }
    COLLECT(result, half_way[0])
    COLLECT((result + 2), half_way[1])
}

/* One work-item per work-group, with its own part of scratch. The transformed input of a block of
 * BH x BW tiles, [ELEMENTS][ROWS][Cin], stays in the cache while it is multiplied by panel after
 * panel of NR output channels, MR tiles in registers at a time. The `items` blocks, times `splits`
 * shares of the panels, are divided among the work-groups in contiguous runs.
 *
 * out, residual [N][UP*H * UP*W][Cout]; x [N][H*W][Cin]; affine [N][Cin][2]; weight as packed; bias
 * [ceil(Cout / NR) * NR]. Cin and Cout are multiples of VEC. Floor: 2 ELEMENTS Cin Cout FLOP per
 * tile. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_winograd(global float *out, global const float *x, global const float *weight,
              global const float *bias, global const float *affine, global const float *residual,
              global float *scratch, int with_residual, int height, int width, int in_channels,
              int out_channels, int splits, int items, int groups)
{
    int group = GROUP_ID(0, 1), chunks = in_channels / VEC;
    int panels = (out_channels + NR - 1) / NR;
    int h_out = height * UP, w_out = width * UP;
    int blocks_h = (h_out + 2 * BH - 1) / (2 * BH), blocks_w = (w_out + 2 * BW - 1) / (2 * BW);
    size_t size = (size_t)ELEMENTS * ROWS * in_channels;
    global float *input = scratch + (size_t)group * (size + ELEMENTS * ROWS * NR);
    global float *products = input + size;
    V pixels[STAGE_H * STAGE_W];
    if (ROWS > TILES) /* rows without a tile */
        for (size_t i = 0; i < size; i += VEC) PUT(input + i, (V)(0.0f));
    int last = (int)((long)items * (group + 1) / groups);
    for (int item = (int)((long)items * group / groups); item < last; item++) {
        int share = item % splits, block = item / splits;
        int x0 = block % blocks_w * BW, y0 = block / blocks_w % blocks_h * BH;
        int n = block / blocks_w / blocks_h;
        global const float *picture = x + (size_t)n * height * width * in_channels;
        for (int k = 0; k < chunks; k++) {
            stage(pixels, picture + k * VEC, affine + ((size_t)n * in_channels + k * VEC) * 2,
                  y0 * STEP - 1, x0 * STEP - 1, height, width, in_channels);
            transform(input + (size_t)k * MR * VEC, pixels, chunks);
        }
        int end = panels * (share + 1) / splits;
        for (int panel = panels * share / splits; panel < end; panel++) {
            for (int e = 0; e < ELEMENTS; e++)
                for (int r = 0; r < ROW_BLOCKS; r++)
                    multiply(products + (e * ROWS + r * MR) * NR,
                             input + (size_t)(e * ROW_BLOCKS + r) * chunks * MR * VEC,
                             weight + ((size_t)panel * ELEMENTS + e) * in_channels * NR, chunks);
            for (int t = 0; t < TILES; t++) {
                int y = (y0 + t / BW) * 2, column = (x0 + t % BW) * 2;
                if (y >= h_out || column >= w_out) continue;
#pragma unroll
                for (int j = 0; j < NV; j++) {
                    int channel = panel * NR + j * VEC;
                    if (channel >= out_channels) break;
                    V result[4], add = GET(bias + channel);
                    collect(result, products + t * NR + j * VEC);
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        int row = y + i / 2, at = column + i % 2;
                        if (row >= h_out || at >= w_out) continue;
                        size_t to =
                            (((size_t)n * h_out + row) * w_out + at) * out_channels + channel;
                        V value = result[i] + add;
                        if (with_residual) value += GET(residual + to);
                        PUT(out + to, value);
                    }
                }
            }
        }
    }
}
#endif
