/* 3x3 convolution, as in conv_gpu.cl, on matrix units (mma.clh). Both factors are fp16, or bf16
 * with MATRIX_UNIT_BF16; sums are fp32. A work-group computes a tile of TX x TY pixels times BC
 * output channels; a matrix unit computes WM pixels times WN channels of it. The work-group
 * normalises, activates, rounds and stages a patch of the input, the tile and its border, CC
 * channels at a time. For every tap the shifted patch is a factor without a copy, since the rows of
 * a fragment are neighbours in it.
 *
 * Floor: 18 Cin Cout FLOP per pixel on the matrix unit; three times that with PARTS 2 (bf16x3, see
 * gemm_mma.cl).
 * ST: taps whose weights are staged at a time.
 * DB: what is prefetched of the next stage: 0 nothing, 1 weights, 2 weights and patch.
 * UP: 2: the input is upsampled by indexing (nearest neighbour); else 1.
 * NORM, SILU: the input is normalised, then activated.
 * IN_WHOLE: the number of input channels is a multiple of 4.
 * OUT_WHOLE: the number of output channels is a multiple of VEC.
 * VEC: consecutive results of a lane, given by the matrix unit. */

#include "mma.clh"

#ifdef PACK
/* packed [in / CC][9][out_padded][PARTS][CC] from stored [Cout][Cin][3][3]; 0 beyond the channels.
 * One work-item = one weight. */
kernel void conv_mma_pack(global ushort *packed, global const float *stored, int in_channels,
                          int out_channels, int out_padded)
{
    int o = (int)get_global_id(0), c = (int)get_global_id(1), tap = (int)get_global_id(2);
    if (o >= out_padded) return;
    float x = o < out_channels && c < in_channels ? stored[((size_t)o * in_channels + c) * 9 + tap]
                                                  : 0.0f;
    packed += (((size_t)(c / CC) * 9 + tap) * out_padded + o) * PARTS * CC + c % CC;
    uint high = mma_pack(mma_saturate((float4)(x)).x, 0.0f);
    packed[0] = (ushort)high;
#if PARTS == 2
    packed[CC] = (ushort)mma_pack(x - as_float(high << 16), 0.0f);
#endif
}
#else

#define WORK_ITEMS (MMA_LANES * (TX * TY / WM) * (BC / WN))
#define FM (WM / MMA_M)
#define FN (WN / MMA_N)
#define ALL (PARTS * CC) /* numbers that stand for CC channels of a pixel or weight */
#define ROW (ALL + 8)    /* row pitch: rows begin in different banks */
#define WORDS (ROW / 2)
#define PW (TX + 2) /* pixels of a row of the patch */
#define PIXELS (PW * (TY + 2))
#define W_STAGE (ST * BC * ROW)
#define W_STAGES (DB ? 2 : 1)

/* A work-item stages vectors me, me + WORK_ITEMS, ...: the same channels of each of its pixels. */
#define X_VECTORS (PIXELS * (CC / 4))
#define W_VECTORS (ST * BC * (ALL / 8))
#define LOADS(vectors) (((vectors) + WORK_ITEMS - 1) / WORK_ITEMS)
#define X_PART                                                                                     \
    (DB > 1 || LOADS(X_VECTORS) < 4 ? LOADS(X_VECTORS) : 4) /* vectors in flight at once */
#define MINE(v, vectors) ((vectors) % WORK_ITEMS == 0 || (v) < (vectors))

typedef struct {
    global const float *x, *affine;
    int top, left, height, width, channels; /* where the patch begins; sizes of the input */
} picture;

/* A vector's pixel in the input; -1 in the border. */
INLINE int find_pixel(picture p, int v)
{
    int y = p.top + v / (CC / 4) / PW, x = p.left + v / (CC / 4) % PW;
    bool inside = y >= 0 && y < p.height * UP && x >= 0 && x < p.width * UP;
    return inside ? y / UP * p.width + x / UP : -1;
}

/* Channels c to c + 3 of a pixel; 0 beyond the last channel. */
INLINE float4 load_four(global const float *pixel, int c, int channels)
{
#if IN_WHOLE
    return c < channels ? *(global const float4 *)(pixel + c) : (float4)(0.0f);
#else
    float lane[4];
#pragma unroll
    for (int j = 0; j < 4; j++) lane[j] = c + j < channels ? pixel[c + j] : 0.0f;
    return vload4(0, lane);
#endif
}

/* Factors and offsets of a work-item's four channels. */
INLINE void fetch_factors(float4 factor[2], picture p, int me, int c)
{
    c += me % (CC / 4) * 4;
#if NORM
    factor[0] = load_four(p.affine, c * 2, p.channels * 2);
    factor[1] = load_four(p.affine, c * 2 + 4, p.channels * 2);
#endif
}

INLINE void fetch_patch(float4 part[X_PART], picture p, int first, int c)
{
    c += first % (CC / 4) * 4;
#pragma unroll
    for (int l = 0; l < X_PART; l++) {
        int v = first + l * WORK_ITEMS;
        if (v >= X_VECTORS) continue;
        int pixel = find_pixel(p, v);
        part[l] =
            pixel < 0 ? (float4)(0.0f) : load_four(p.x + (size_t)pixel * p.channels, c, p.channels);
    }
}

/* Border pixels are 0: they are not normalised or activated. */
INLINE void keep_patch(local ushort *tile, float4 part[X_PART], float4 factor[2], picture p,
                       int first)
{
#pragma unroll
    for (int l = 0; l < X_PART; l++) {
        int v = first + l * WORK_ITEMS;
        if (v >= X_VECTORS) continue;
        float4 x = part[l];
#if NORM
        float4 f = factor[0], g = factor[1];
        x = mad(x, (float4)(f.x, f.z, g.x, g.z), (float4)(f.y, f.w, g.y, g.w));
#endif
#if SILU
        x = x / (1.0f + exp(-x));
#endif
#if NORM
        if (find_pixel(p, v) < 0) x = (float4)(0.0f);
#endif
        local ushort *to = tile + v / (CC / 4) * ROW + v % (CC / 4) * 4;
#if PARTS == 2
        mma_split4(to, CC, x);
#else
        mma_round4(to, x);
#endif
    }
}

/* weight: from the first tap of the stage and the first channel of the tile on. */
INLINE void fetch_weights(uint4 part[LOADS(W_VECTORS)], global const ushort *weight, int me,
                          int out_padded)
{
#pragma unroll
    for (int l = 0; l < LOADS(W_VECTORS); l++) {
        int v = me + l * WORK_ITEMS, row = v / (ALL / 8);
        if (!MINE(v, W_VECTORS)) continue;
        part[l] =
            *(global const uint4 *)(weight + ((size_t)(row / BC) * out_padded + row % BC) * ALL +
                                    v % (ALL / 8) * 8);
    }
}

INLINE void keep_weights(local ushort *tile, uint4 part[LOADS(W_VECTORS)], int me)
{
#pragma unroll
    for (int l = 0; l < LOADS(W_VECTORS); l++) {
        int v = me + l * WORK_ITEMS;
        if (!MINE(v, W_VECTORS)) continue;
        *(local uint4 *)(tile + v / (ALL / 8) * ROW + v % (ALL / 8) * 8) = part[l];
    }
}

/* Distance in the patch, in pixels, from a matrix unit's first fragment to fragment i. */
#define APART(i) ((i)*MMA_M / TX * PW + (i)*MMA_M % TX)

#define STEPS CC
#include "mma_sums.clh"

/* Stores VEC channels of a pixel, of which `left` exist. */
INLINE void put(global float *out, global const float *residual, V x, int left)
{
#if OUT_WHOLE
    if (left <= 0) return;
#if RESIDUAL
    x += *(global const V *)residual;
#endif
    *(global V *)out = x;
#else
    float lane[VEC];
    VSTORE(x, lane);
#pragma unroll
    for (int e = 0; e < VEC; e++) {
        if (e >= left) continue;
#if RESIDUAL
        lane[e] += residual[e];
#endif
        out[e] = lane[e];
    }
#endif
}

/* first, channel: the first pixel, within the tile, and the first channel of the matrix unit's
 * sums. */
INLINE void finish(global float *out, global const float *residual, global const float *bias,
                   mma_c sum[FM][FN], picture p, int first, int channel, int channels, int lane)
{
    int height = p.height * UP, width = p.width * UP;
    V offset[FN];
    channel += MMA_COLUMN(lane, 0);
#pragma unroll
    for (int j = 0; j < FN; j++)
        if (channel + j * MMA_N < channels) offset[j] = VLOAD(bias + channel + j * MMA_N);
#pragma unroll
    for (int i = 0; i < FM; i++) {
        float x[FN][MMA_C];
#pragma unroll
        for (int j = 0; j < FN; j++) mma_values(x[j], sum[i][j]);
#pragma unroll
        for (int c = 0; c < MMA_C; c += VEC) {
            int pixel = first + i * MMA_M + MMA_ROW(lane, c);
            int row = p.top + 1 + pixel / TX, column = p.left + 1 + pixel % TX;
            if (row >= height || column >= width) continue;
            size_t to = ((size_t)row * width + column) * channels + channel;
#pragma unroll
            for (int j = 0; j < FN; j++)
                put(out + to + j * MMA_N, residual + to + j * MMA_N, VLOAD(x[j] + c) + offset[j],
                    channels - channel - j * MMA_N);
        }
    }
}

/* Arguments as in conv_gpu.cl; weight as packed. */
MMA_KERNEL kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1))) void
conv_mma(global float *out, global const float *x, global const float *affine,
         global const ushort *weight, global const float *bias, global const float *residual,
         int height, int width, int tiles_x, int in_channels, int out_channels, int out_padded)
{
    local ushort x_tile[PIXELS * ROW] __attribute__((aligned(16)));
    local ushort w_tile[W_STAGES * W_STAGE] __attribute__((aligned(16)));
    MMA_DECLARE(exchange, WORK_ITEMS)
    int me = (int)get_local_id(0), unit = me / MMA_LANES, lane = me % MMA_LANES, stage = 0;
    int tile = GROUP_ID(0, WORK_ITEMS), n = GROUP_ID(2, 1), o = GROUP_ID(1, 1) * BC;
    int left = tile % tiles_x * TX, top = tile / tiles_x * TY;
    int first = unit / (BC / WN) * WM, wide = unit % (BC / WN) * WN; /* in the tile */
    picture p = {x + (size_t)n * height * width * in_channels,
                 affine + (size_t)n * in_channels * 2,
                 top - 1,
                 left - 1,
                 height,
                 width,
                 in_channels};
    mma_c sum[FM][FN];
    float4 x_part[X_PART], factor[2];
    uint4 w_part[LOADS(W_VECTORS)];
#pragma unroll
    for (int i = 0; i < FM; i++)
#pragma unroll
        for (int j = 0; j < FN; j++) sum[i][j] = (mma_c)(0.0f);
    weight += (size_t)o * ALL;
#if DB > 1
    fetch_factors(factor, p, me, 0);
    fetch_patch(x_part, p, me, 0);
#endif
#if DB
    fetch_weights(w_part, weight, me, out_padded);
#endif
    for (int c = 0; c < in_channels; c += CC) {
        barrier(CLK_LOCAL_MEM_FENCE); /* all work-items have finished reading the patch */
#if DB > 1
        keep_patch(x_tile, x_part, factor, p, me);
#else
        fetch_factors(factor, p, me, c);
#pragma unroll 1
        for (int v = me; v < X_VECTORS; v += X_PART * WORK_ITEMS) {
            fetch_patch(x_part, p, v, c);
            keep_patch(x_tile, x_part, factor, p, v);
        }
#endif
        MMA_ROLLED
        for (int tap = 0; tap < 9; tap += ST) {
            local ushort *w_now = w_tile + stage * W_STAGE;
#if !DB
            barrier(CLK_LOCAL_MEM_FENCE);
            fetch_weights(w_part, weight, me, out_padded);
#endif
            keep_weights(w_now, w_part, me);
            barrier(CLK_LOCAL_MEM_FENCE);
            weight += (size_t)ST * out_padded * ALL;
#if DB
            if (tap + ST < 9 || c + CC < in_channels) fetch_weights(w_part, weight, me, out_padded);
            /* the next barrier ends all reads of this buffer before it is written again */
            stage = 1 - stage;
#endif
#if DB > 1
            if (tap == 0 && c + CC < in_channels) {
                fetch_factors(factor, p, me, c + CC);
                fetch_patch(x_part, p, me, c + CC);
            }
#endif
            for (int t = 0; t < ST; t++) {
                int at = (first / TX + (tap + t) / 3) * PW + first % TX + (tap + t) % 3;
                accumulate(sum, (local const uint *)x_tile + at * WORDS,
                           (local const uint *)w_now + (t * BC + wide) * WORDS, lane, exchange);
            }
        }
    }
    size_t whole = (size_t)n * height * UP * width * UP * out_channels;
    finish(out + whole, residual + whole, bias, sum, p, first, o + wide, out_channels, lane);
}
#endif
