/* 3x3 convolution, as in conv_gpu.cl, on matrix units (mma.clh). Both factors are fp16, or bf16
 * with MATRIX_UNIT_BF16; sums are fp32. One work-group = a tile of TX x TY pixels x BC output
 * channels. One sub-group = WM pixels x WN channels of the tile, as FM x FN fragments. Floor: 18
 * Cin Cout FLOP per pixel on the matrix unit; three times that with PARTS 2 (bf16x3, see
 * gemm_mma.cl).
 *
 * The work-group normalises, activates, rounds and stages the input tile (the tile and a halo of
 * one pixel), CC channels at a time: [pixel][PITCH]. For each tap the shifted input tile is a
 * factor without a copy, since the MMA_M pixels of a fragment are neighbours in it.
 *
 * ST: taps whose weights are staged at a time.
 * On DPAS weights come from global memory directly: ST has no effect, nor has DB 1.
 * DB: what is prefetched of the next stage: 0 nothing, 1 weights, 2 weights and input tile.
 * ASYNC: weights go to local memory by asynchronous copies, two stages ahead, without registers.
 * Their rows have no padding there; their slots of 16 bytes are swizzled (mma.clh).
 * UP: 2: the input is upsampled by indexing (nearest neighbour); else 1.
 * NORM, SILU: the input is normalised, then activated.
 * IN_WHOLE: the number of input channels is a multiple of 4.
 * OUT_WHOLE: the number of output channels is a multiple of VEC.
 * VEC: consecutive results of a lane, given by the matrix unit. */

#include "mma.clh"

#ifdef MATRIX_UNIT_FLUSHES
/* Where the scales of the rows of weights begin, one row for each output channel: behind the
 * weights, [out_padded]. */
#define SCALES_AT(in_channels, out_padded)                                                         \
    ((size_t)(((in_channels) + CC - 1) / CC * CC) * 9 * (size_t)(out_padded))
#endif

#ifdef PACK
#ifdef MATRIX_UNIT_FLUSHES
/* The scales of packed weights. One work-item = one output channel. Range: [out_padded]. */
kernel void conv_mma_scales(global ushort *packed, global const float *stored, int in_channels,
                            int out_channels, int out_padded)
{
    int out_channel = (int)get_global_id(0);
    if (out_channel >= out_padded) return;
    const int most = 100; /* so that the scale and its inverse are normal numbers */
    float largest = 0.0f;
    for (int i = 0; out_channel < out_channels && i < in_channels * 9; i++) {
        float x = fabs(stored[(size_t)out_channel * in_channels * 9 + i]);
        if (x <= FLT_MAX) largest = fmax(largest, x);
    }
    int exponent = min(max((int)(as_uint(largest) >> 23) - 127, -most), most);
    global float *scales = (global float *)(packed + SCALES_AT(in_channels, out_padded));
    scales[out_channel] = as_float((uint)(exponent - 14 + 127) << 23);
}
#endif

/* packed [in / CC][9][out_padded][PARTS][CC] from stored [Cout][Cin][3][3]; 0 beyond the channels.
 * On DPAS, where b has no stage: [in / CC][9][out_padded / MMA_N][CC / MMA_K][PARTS] fragments of
 * [MMA_K / 2][MMA_N][2]. One work-item = one weight. Range: [out_padded][in][9]. */
kernel void conv_mma_pack(global ushort *packed, global const float *stored, int in_channels,
                          int out_channels, int out_padded)
{
    int out_channel = (int)get_global_id(0), in_channel = (int)get_global_id(1),
        tap = (int)get_global_id(2);
    if (out_channel >= out_padded) return;
    float x = out_channel < out_channels && in_channel < in_channels
                  ? stored[((size_t)out_channel * in_channels + in_channel) * 9 + tap]
                  : 0.0f;
#ifdef MATRIX_UNIT_FLUSHES
    x /= ((global const float *)(packed + SCALES_AT(in_channels, out_padded)))[out_channel];
#endif
    packed += ((size_t)(in_channel / CC) * 9 + tap) * out_padded * PARTS * CC;
#ifdef MMA_DPAS
    const int low = MMA_K * MMA_N;
    int step = in_channel % CC;
    packed += (out_channel / MMA_N * (CC / MMA_K) + step / MMA_K) * PARTS * low +
              (step % MMA_K / 2 * MMA_N + out_channel % MMA_N) * 2 + step % 2;
#else
    const int low = CC;
    packed += out_channel * PARTS * CC + in_channel % CC;
#endif
    uint high = mma_pack(mma_saturate((float4)(x)).x, 0.0f);
    packed[0] = (ushort)high;
#if PARTS == 2
    packed[low] = (ushort)mma_pack(x - as_float(high << 16), 0.0f);
#endif
}
#else

#define WORK_ITEMS (MMA_LANES * (TX * TY / WM) * (BC / WN))
#define FM (WM / MMA_M)
#define FN (WN / MMA_N)
#define ROW_VALUES (PARTS * CC)     /* numbers that stand for CC channels of a pixel or weight */
#define PITCH MMA_PITCH(ROW_VALUES) /* of local rows */
#define PITCH_WORDS (PITCH / 2)
#define IN_W (TX + 2) /* pixels of a row of the input tile */
#define IN_PIXELS (IN_W * (TY + 2))
#define PART_NUMBERS MMA_STEP(CC, IN_PIXELS) /* from a pixel's high parts to its low parts */
#define ASYNC (MMA_ASYNC && DB > 0)
#if ASYNC
#define SWIZZLED_B 1
#define W_STAGES 3
#define W_PITCH ROW_VALUES
#else
#define W_STAGES (DB ? 2 : 1)
#define W_PITCH PITCH
#endif
#define B_PITCH_WORDS (W_PITCH / 2)
#define W_STAGE (ST * BC * W_PITCH)

/* A work-item stages vectors local_id, local_id + WORK_ITEMS, ...: the same channels of each of its
 * pixels. X_IN_FLIGHT: vectors that it fetches before it stores them. */
#define X_VECTORS (IN_PIXELS * (CC / 4))
#define W_VECTORS (ST * BC * (ROW_VALUES / 8))
#define LOADS(vectors) (((vectors) + WORK_ITEMS - 1) / WORK_ITEMS)
#define X_IN_FLIGHT (DB > 1 || LOADS(X_VECTORS) < 4 ? LOADS(X_VECTORS) : 4)
#define HAS_VECTOR(v, vectors) ((vectors) % WORK_ITEMS == 0 || (v) < (vectors))

typedef struct {
    global const float *x, *affine;
    int top, left, height, width, channels; /* where the input tile begins; the input's sizes */
} picture;

/* A vector's pixel in the input; -1 outside the picture. */
INLINE int find_pixel(picture p, int vector)
{
    int y = p.top + vector / (CC / 4) / IN_W, x = p.left + vector / (CC / 4) % IN_W;
    bool inside = y >= 0 && y < p.height * UP && x >= 0 && x < p.width * UP;
    return inside ? y / UP * p.width + x / UP : -1;
}

/* Loads channels c to c + 3 of a pixel; 0 beyond the last channel. */
INLINE float4 load_four(global const float *pixel, int c, int channels)
{
#if IN_WHOLE
    return c < channels ? *(global const float4 *)(pixel + c) : (float4)(0.0f);
#else
    float lanes[4];
#pragma unroll
    for (int j = 0; j < 4; j++) lanes[j] = c + j < channels ? pixel[c + j] : 0.0f;
    return vload4(0, lanes);
#endif
}

/* The factors and offsets that normalise a work-item's four channels. */
INLINE void fetch_factors(float4 coefficients[2], picture p, int local_id, int c)
{
    c += local_id % (CC / 4) * 4;
#if NORM
    coefficients[0] = load_four(p.affine, c * 2, p.channels * 2);
    coefficients[1] = load_four(p.affine, c * 2 + 4, p.channels * 2);
#endif
}

INLINE void fetch_input(float4 in_flight[X_IN_FLIGHT], picture p, int first_vector, int c)
{
    c += first_vector % (CC / 4) * 4;
#pragma unroll
    for (int load = 0; load < X_IN_FLIGHT; load++) {
        int vector = first_vector + load * WORK_ITEMS;
        if (vector >= X_VECTORS) continue;
        int pixel = find_pixel(p, vector);
        in_flight[load] =
            pixel < 0 ? (float4)(0.0f) : load_four(p.x + (size_t)pixel * p.channels, c, p.channels);
    }
}

/* Pixels outside the picture stay 0: they are not normalised. */
INLINE void stage_input(local ushort *tile, float4 in_flight[X_IN_FLIGHT], float4 coefficients[2],
                        picture p, int first_vector)
{
#pragma unroll
    for (int load = 0; load < X_IN_FLIGHT; load++) {
        int vector = first_vector + load * WORK_ITEMS;
        if (vector >= X_VECTORS) continue;
        float4 x = in_flight[load];
#if NORM
        float4 low = coefficients[0], high = coefficients[1];
        x = mad(x, (float4)(low.x, low.z, high.x, high.z), (float4)(low.y, low.w, high.y, high.w));
#endif
#if SILU
        x = x / (1.0f + exp(-x));
#endif
#if NORM
        if (find_pixel(p, vector) < 0) x = (float4)(0.0f);
#endif
        local ushort *dst =
            tile + vector / (CC / 4) * PITCH + MMA_STEP(vector % (CC / 4) * 4, IN_PIXELS);
#if PARTS == 2
        mma_split4(dst, PART_NUMBERS, x);
#else
        mma_round4(dst, x);
#endif
    }
}

#ifndef MMA_DPAS
/* weight: from the first tap of the stage and the first channel of the tile on. */
INLINE void fetch_weights(uint4 in_flight[LOADS(W_VECTORS)], global const ushort *weight,
                          int local_id, int out_padded)
{
#pragma unroll
    for (int load = 0; load < LOADS(W_VECTORS); load++) {
        int vector = local_id + load * WORK_ITEMS, row = vector / (ROW_VALUES / 8);
        if (!HAS_VECTOR(vector, W_VECTORS)) continue;
        in_flight[load] =
            *(global const uint4 *)(weight +
                                    ((size_t)(row / BC) * out_padded + row % BC) * ROW_VALUES +
                                    vector % (ROW_VALUES / 8) * 8);
    }
}

INLINE void stage_weights(local ushort *tile, uint4 in_flight[LOADS(W_VECTORS)], int local_id)
{
#pragma unroll
    for (int load = 0; load < LOADS(W_VECTORS); load++) {
        int vector = local_id + load * WORK_ITEMS;
        if (!HAS_VECTOR(vector, W_VECTORS)) continue;
        *(local uint4 *)(tile + vector / (ROW_VALUES / 8) * PITCH + vector % (ROW_VALUES / 8) * 8) =
            in_flight[load];
    }
}
#endif

#if ASYNC
INLINE void copy_weights(local ushort *tile, global const ushort *weight, int local_id,
                         int out_padded)
{
    const int slots = ROW_VALUES / 8;
#pragma unroll
    for (int load = 0; load < LOADS(W_VECTORS); load++) {
        int vector = local_id + load * WORK_ITEMS, row = vector / slots, slot = vector % slots;
        if (!HAS_VECTOR(vector, W_VECTORS)) continue;
        mma_copy8(tile + row * W_PITCH + MMA_SLOT(slot, row, slots) * 8,
                  weight + ((size_t)(row / BC) * out_padded + row % BC) * ROW_VALUES + slot * 8,
                  true);
    }
}
#endif

/* Pixels in the input tile from a sub-group's first fragment to fragment i. */
#define FRAGMENT_ROW(i) ((i)*MMA_M / TX * IN_W + (i)*MMA_M % TX)

#define STEPS CC
#define TILE_ROWS IN_PIXELS
#include "mma_sums.clh"

/* Stores VEC channels of a pixel, of which channels_left exist. */
INLINE void store_vector(global float *out, global const float *residual, V x, int channels_left)
{
#if OUT_WHOLE
    if (channels_left <= 0) return;
#if RESIDUAL
    x += *(global const V *)residual;
#endif
    *(global V *)out = x;
#else
    float lanes[VEC];
    VSTORE(x, lanes);
#pragma unroll
    for (int e = 0; e < VEC; e++) {
        if (e >= channels_left) continue;
#if RESIDUAL
        lanes[e] += residual[e];
#endif
        out[e] = lanes[e];
    }
#endif
}

/* tile_pixel, channel: the first pixel, within the tile, and the first channel of the sub-group. */
INLINE void store_results(global float *out, global const float *residual, global const float *bias,
                          mma_c acc[FM][FN], picture p, int tile_pixel, int channel, int channels,
                          int lane)
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
        for (int j = 0; j < FN; j++) mma_values(x[j], acc[i][j]);
#pragma unroll
        for (int c = 0; c < MMA_C; c += VEC) {
            int pixel = tile_pixel + i * MMA_M + MMA_ROW(lane, c);
            int row = p.top + 1 + pixel / TX, column = p.left + 1 + pixel % TX;
            if (row >= height || column >= width) continue;
            size_t out_index = ((size_t)row * width + column) * channels + channel;
#pragma unroll
            for (int j = 0; j < FN; j++)
                store_vector(out + out_index + j * MMA_N, residual + out_index + j * MMA_N,
                             VLOAD(x[j] + c) + offset[j], channels - channel - j * MMA_N);
        }
    }
}

/* Arguments and range as in conv_gpu.cl; weight as packed. */
MMA_KERNEL kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1))) void
conv_mma(global float *out, global const float *x, global const float *affine,
         global const ushort *weight, global const float *bias, global const float *residual,
         int height, int width, int tiles_x, int in_channels, int out_channels, int out_padded)
{
    local ushort x_tile[MMA_TILE(IN_PIXELS, ROW_VALUES)] __attribute__((aligned(32)));
#ifndef MMA_DPAS
    local ushort w_tile[W_STAGES * W_STAGE] __attribute__((aligned(16)));
#if !ASYNC
    uint4 w_in_flight[LOADS(W_VECTORS)];
#endif
    int stage = 0;
#endif
    MMA_DECLARE(exchange, WORK_ITEMS)
    int local_id = (int)get_local_id(0);
    int sub_group = MMA_SUB_GROUP(local_id), lane = local_id % MMA_LANES;
    int tile = GROUP_ID(0, WORK_ITEMS), n = GROUP_ID(2, 1), channel_begin = GROUP_ID(1, 1) * BC;
    int left = tile % tiles_x * TX, top = tile / tiles_x * TY;
    int tile_pixel = sub_group / (BC / WN) * WM, tile_channel = sub_group % (BC / WN) * WN;
    picture p = {x + (size_t)n * height * width * in_channels,
                 affine + (size_t)n * in_channels * 2,
                 top - 1,
                 left - 1,
                 height,
                 width,
                 in_channels};
    mma_c acc[FM][FN];
    float4 x_in_flight[X_IN_FLIGHT], coefficients[2];
#pragma unroll
    for (int i = 0; i < FM; i++)
#pragma unroll
        for (int j = 0; j < FN; j++) acc[i][j] = (mma_c)(0.0f);
#ifdef MATRIX_UNIT_FLUSHES
    global const float *scales =
        (global const float *)(weight + SCALES_AT(in_channels, out_padded));
#endif
    weight += (size_t)channel_begin * ROW_VALUES;
#if DB > 1
    fetch_factors(coefficients, p, local_id, 0);
    fetch_input(x_in_flight, p, local_id, 0);
#endif
#if ASYNC
    int stages_left = (in_channels + CC - 1) / CC * (9 / ST);
    for (; stage < W_STAGES - 1; stage++) {
        if (stages_left-- > 0) copy_weights(w_tile + stage * W_STAGE, weight, local_id, out_padded);
        MMA_END_GROUP();
        weight += (size_t)ST * out_padded * ROW_VALUES;
    }
    stage = 0;
#elif DB && !defined MMA_DPAS
    fetch_weights(w_in_flight, weight, local_id, out_padded);
#endif
    for (int c = 0; c < in_channels; c += CC) {
        barrier(CLK_LOCAL_MEM_FENCE); /* all work-items have finished reading the input tile */
#if DB > 1
        stage_input(x_tile, x_in_flight, coefficients, p, local_id);
#else
        fetch_factors(coefficients, p, local_id, c);
#pragma unroll 1
        for (int vector = local_id; vector < X_VECTORS; vector += X_IN_FLIGHT * WORK_ITEMS) {
            fetch_input(x_in_flight, p, vector, c);
            stage_input(x_tile, x_in_flight, coefficients, p, vector);
        }
#endif
#ifdef MMA_DPAS
        barrier(CLK_LOCAL_MEM_FENCE);
#if DB > 1
        if (c + CC < in_channels) {
            fetch_factors(coefficients, p, local_id, c + CC);
            fetch_input(x_in_flight, p, local_id, c + CC);
        }
#endif
        for (int tap = 0; tap < 9; tap++) {
            int in_pixel = (tile_pixel / TX + tap / 3) * IN_W + tile_pixel % TX + tap % 3;
            accumulate(acc, x_tile + in_pixel * PITCH,
                       (global const uint *)weight + tile_channel * ROW_VALUES / 2, lane, exchange);
            weight += (size_t)out_padded * ROW_VALUES;
        }
#else
        MMA_ROLLED
        for (int tap = 0; tap < 9; tap += ST) {
            local ushort *w_stage = w_tile + stage * W_STAGE;
#if ASYNC
            int filled = stage ? stage - 1 : W_STAGES - 1;
            MMA_WAIT(1);
            /* all work-items see this stage, and have finished reading the one before, which is
             * filled now */
            barrier(CLK_LOCAL_MEM_FENCE);
            if (stages_left-- > 0)
                copy_weights(w_tile + filled * W_STAGE, weight, local_id, out_padded);
            MMA_END_GROUP(); /* also an empty one, since groups are counted */
            weight += (size_t)ST * out_padded * ROW_VALUES;
            stage = stage + 1 < W_STAGES ? stage + 1 : 0;
#else
#if !DB
            barrier(CLK_LOCAL_MEM_FENCE);
            fetch_weights(w_in_flight, weight, local_id, out_padded);
#endif
            stage_weights(w_stage, w_in_flight, local_id);
            barrier(CLK_LOCAL_MEM_FENCE);
            weight += (size_t)ST * out_padded * ROW_VALUES;
#endif
#if DB && !ASYNC
            if (tap + ST < 9 || c + CC < in_channels)
                fetch_weights(w_in_flight, weight, local_id, out_padded);
            /* all reads of this stage end at the next barrier, before it is written again */
            stage = 1 - stage;
#endif
#if DB > 1
            if (tap == 0 && c + CC < in_channels) {
                fetch_factors(coefficients, p, local_id, c + CC);
                fetch_input(x_in_flight, p, local_id, c + CC);
            }
#endif
            for (int t = 0; t < ST; t++) {
                int in_pixel =
                    (tile_pixel / TX + (tap + t) / 3) * IN_W + tile_pixel % TX + (tap + t) % 3;
                accumulate(acc, (local const uint *)x_tile + in_pixel * PITCH_WORDS,
                           (local const uint *)w_stage + (t * BC + tile_channel) * B_PITCH_WORDS,
                           lane, exchange);
            }
        }
#endif
    }
#ifdef MATRIX_UNIT_FLUSHES
    scale_sums(acc, scales + channel_begin + tile_channel, lane);
#endif
    size_t picture_offset = (size_t)n * height * UP * width * UP * out_channels;
    store_results(out + picture_offset, residual + picture_offset, bias, acc, p, tile_pixel,
                  channel_begin + tile_channel, out_channels, lane);
}
#endif
