/* 3x3 convolution, stride 1, padding 1, of pictures [N][H][W][C], as an implicit GEMM. One
 * work-group = a tile of TX x TY pixels x BC output channels. Floor: 18 Cin Cout FLOP per pixel.
 *
 *       TX + 2
 *     +--------+      The input tile is the tile and a halo of one pixel. The work-group
 *     | +----+ |      normalises, activates and stages it, CC channels at a time. It serves all
 *     | |tile| | TY   nine taps.
 *     | +----+ | + 2
 *     +--------+      Work-items form a grid of WP rows x WC columns. A row has RP pixels. A column
 *                     has channels (j WC + column) VEC to (j WC + column + 1) VEC - 1, j below NV.
 *
 * RP, RC: pixels and channels of a work-item. VEC: channels of a vector.
 * ST: taps whose weights are staged at a time; 0: weights are not staged.
 * UP: 2: the input is upsampled by indexing (nearest neighbour); else 1.
 * NORM, SILU: the input is normalised, then activated. HALF: weights are stored in fp16.
 * IN_WHOLE, OUT_WHOLE: the number of channels is a multiple of 4, so that vectors are whole. */

#if HALF
#define WEIGHT ushort
#define AS_HALF(p) ((global const half *)(p))
#if VEC == 4
#define WEIGHT_LOAD(p) vload_half4(0, AS_HALF(p))
#elif VEC == 8
#define WEIGHT_LOAD(p) vload_half8(0, AS_HALF(p))
#else
#define WEIGHT_LOAD(p) vload_half16(0, AS_HALF(p))
#endif
#else
#define WEIGHT float
#define WEIGHT_LOAD(p) GLOBAL_LOAD(p)
#endif
/* All vectors of at most four floats are aligned. Without that knowledge some compilers load each
 * float by itself. */
#if VEC <= 4
#define GLOBAL_LOAD(p) (*(global const V *)(p))
#define GLOBAL_STORE(v, p) (*(global V *)(p) = (v))
#define LOCAL_LOAD(p) (*(local const V *)(p))
#define LOCAL_STORE(v, p) (*(local V *)(p) = (v))
#else
#define GLOBAL_LOAD(p) VLOAD(p)
#define GLOBAL_STORE(v, p) VSTORE(v, p)
#define LOCAL_LOAD(p) VLOAD(p)
#define LOCAL_STORE(v, p) VSTORE(v, p)
#endif

#ifdef PACK
/* packed [9][in_padded][out_padded] from stored [Cout][Cin][3][3]; 0 beyond the channels. One
 * work-item = one packed value. Range: [out_padded][in_padded][9]. */
kernel void conv_gpu_pack(global WEIGHT *packed, global const float *stored, int in_channels,
                          int in_padded, int out_channels, int out_padded)
{
    int out_channel = (int)get_global_id(0), in_channel = (int)get_global_id(1),
        tap = (int)get_global_id(2);
    if (out_channel >= out_padded) return;
    float x = out_channel < out_channels && in_channel < in_channels
                  ? stored[((size_t)out_channel * in_channels + in_channel) * 9 + tap]
                  : 0.0f;
    size_t index = ((size_t)tap * in_padded + in_channel) * out_padded + out_channel;
#if HALF
    vstore_half(fabs(x) < INFINITY ? clamp(x, -65504.0f, 65504.0f) : x, index,
                (global half *)packed);
#else
    packed[index] = x;
#endif
}
#else

#define WP (TX * TY / RP) /* rows of the grid of work-items */
#define WC (BC / RC)      /* columns of the grid of work-items */
#define WORK_ITEMS (WP * WC)
#define NV (RC / VEC)
#define IN_W ((TX + UP - 1) / UP + 2) /* pixels of a row of the input tile */
#define IN_H ((TY + UP - 1) / UP + 2)
#define PITCH_X (CC + 4) /* one vector of padding against bank conflicts */
/* The input's row or column for a row or column of the upsampled picture. */
#define INPUT(index) (UP == 2 ? (index) >> 1 : (index))

/* Loads channels c to c + 3 of a pixel, normalised and activated; 0 beyond the last channel. */
INLINE float4 load_input(global const float *pixel, global const float *affine, int c, int channels)
{
#if IN_WHOLE
    float4 x = *(global const float4 *)(pixel + c);
#if NORM
    /* no vload8: clspv takes vectors of at most 4. No swizzles such as low.xz in a constructor: an
     * emulator reads them from a wrong place. */
    global const float4 *coefficients = (global const float4 *)(affine + c * 2);
    float4 low = coefficients[0], high = coefficients[1];
    x = mad(x, (float4)(low.x, low.z, high.x, high.z), (float4)(low.y, low.w, high.y, high.w));
#endif
#else
    float lanes[4];
    for (int j = 0; j < 4; j++) {
        lanes[j] = c + j < channels ? pixel[c + j] : 0.0f;
#if NORM
        if (c + j < channels)
            lanes[j] = mad(lanes[j], affine[(c + j) * 2], affine[(c + j) * 2 + 1]);
#endif
    }
    float4 x = vload4(0, lanes);
#endif
#if SILU
    x = x / (1.0f + exp(-x));
#endif
    return x;
}

/* Stages CC channels, from c on, of the input tile that begins at pixel (top, left). */
INLINE void stage_input(local float *dst, global const float *x, global const float *affine,
                        int top, int left, int height, int width, int c, int channels)
{
    for (int i = (int)get_local_id(0); i < IN_H * IN_W * (CC / 4); i += WORK_ITEMS) {
        int pixel = i / (CC / 4), channel = i % (CC / 4) * 4;
        int row = top + pixel / IN_W, column = left + pixel % IN_W;
        bool inside = row >= 0 && row < height && column >= 0 && column < width;
        float4 value = 0.0f;
        if (inside && c + channel < channels)
            value = load_input(x + ((size_t)row * width + column) * channels, affine, c + channel,
                               channels);
        *(local float4 *)(dst + pixel * PITCH_X + channel) = value;
    }
}

#if ST
/* Stages BC output channels of `rows` input channels of ST taps: [ST][CC][BC]. */
INLINE void stage_weights(local float *dst, global const WEIGHT *weight, int rows, int in_padded,
                          int out_channel, int out_padded)
{
    for (int i = (int)get_local_id(0); i < ST * CC * (BC / VEC); i += WORK_ITEMS) {
        int row = i / (BC / VEC), column = i % (BC / VEC) * VEC, tap = row / CC;
        if (row % CC >= rows) continue;
        global const WEIGHT *src =
            weight + ((size_t)tap * in_padded + row % CC) * out_padded + out_channel + column;
        LOCAL_STORE(out_channel + column < out_padded ? WEIGHT_LOAD(src) : (V)(0.0f),
                    dst + row * BC + column);
    }
}
#endif

/* out, residual [N][H*W][Cout], H and W after upsampling; x [N][h*w][Cin]; affine [N][Cin][2];
 * weight as packed; bias [Cout]. Range in work-groups: [tiles][ceil(Cout / BC)][N], with tiles_x
 * tiles in a row of the picture. */
kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1))) void
conv_gpu(global float *out, global const float *x, global const float *affine,
         global const WEIGHT *weight, global const float *bias, global const float *residual,
         int height, int width, int tiles_x, int in_channels, int out_channels, int out_padded)
{
    local float x_tile[IN_H * IN_W * PITCH_X] __attribute__((aligned(16)));
#if ST
    local float w_tile[ST * CC * BC] __attribute__((aligned(16)));
#endif
    int local_id = (int)get_local_id(0);
    int tile_column = local_id % WC, tile_pixel = local_id / WC * RP;
    int tile = GROUP_ID(0, WORK_ITEMS), n = GROUP_ID(2, 1), channel_begin = GROUP_ID(1, 1) * BC;
    int left = tile % tiles_x * TX, top = tile / tiles_x * TY;
    int in_padded = (in_channels + 3) / 4 * 4;
    x += (size_t)n * height * width * in_channels;
    affine += (size_t)n * in_channels * 2;

    V acc[RP][NV];
    int channel[NV]; /* below out_padded: vectors behind the last one repeat it */
#pragma unroll
    for (int j = 0; j < NV; j++) {
        channel[j] = min(channel_begin + (j * WC + tile_column) * VEC, out_padded - VEC);
#pragma unroll
        for (int i = 0; i < RP; i++) acc[i][j] = GLOBAL_LOAD(bias + channel[j]);
    }
    for (int c = 0; c < in_channels; c += CC) {
        int rows = min(CC, in_padded - c);
        barrier(CLK_LOCAL_MEM_FENCE);
        stage_input(x_tile, x, affine, INPUT(top - 1), INPUT(left - 1), height, width, c,
                    in_channels);
#if !ST
        barrier(CLK_LOCAL_MEM_FENCE);
#endif
        for (int tap = 0; tap < 9; tap++) {
            global const WEIGHT *w = weight + ((size_t)tap * in_padded + c) * out_padded;
#if ST
            if (tap % ST == 0) {
                if (tap) barrier(CLK_LOCAL_MEM_FENCE);
                stage_weights(w_tile, w, rows, in_padded, channel_begin, out_padded);
                barrier(CLK_LOCAL_MEM_FENCE);
            }
#endif
            int in_offset[RP];
#pragma unroll
            for (int i = 0; i < RP; i++) {
                int row = top + (tile_pixel + i) / TX + tap / 3 - 1;
                int column = left + (tile_pixel + i) % TX + tap % 3 - 1;
                in_offset[i] =
                    ((INPUT(row) - INPUT(top - 1)) * IN_W + INPUT(column) - INPUT(left - 1)) *
                    PITCH_X;
            }
            for (int k = 0; k < rows; k += 4) {
                float value[4][RP];
#pragma unroll
                for (int i = 0; i < RP; i++) {
                    float4 x4 = *(local const float4 *)(x_tile + in_offset[i] + k);
                    value[0][i] = x4.x;
                    value[1][i] = x4.y;
                    value[2][i] = x4.z;
                    value[3][i] = x4.w;
                }
#pragma unroll
                for (int e = 0; e < 4; e++)
#pragma unroll
                    for (int j = 0; j < NV; j++) {
#if ST
                        V weights = LOCAL_LOAD(w_tile + (tap % ST * CC + k + e) * BC +
                                               (j * WC + tile_column) * VEC);
#else
                        V weights = WEIGHT_LOAD(w + (size_t)(k + e) * out_padded + channel[j]);
#endif
#pragma unroll
                        for (int i = 0; i < RP; i++)
                            acc[i][j] = mad((V)(value[e][i]), weights, acc[i][j]);
                    }
            }
        }
    }
#pragma unroll
    for (int i = 0; i < RP; i++) {
        int row = top + (tile_pixel + i) / TX, column = left + (tile_pixel + i) % TX;
        size_t out_index = (((size_t)n * height * UP + row) * width * UP + column) * out_channels;
#pragma unroll
        for (int j = 0; j < NV; j++) {
            int out_channel = channel_begin + (j * WC + tile_column) * VEC;
            if (row >= height * UP || column >= width * UP || out_channel >= out_channels) continue;
            V value = acc[i][j];
#if OUT_WHOLE
#if RESIDUAL
            value += GLOBAL_LOAD(residual + out_index + out_channel);
#endif
            GLOBAL_STORE(value, out + out_index + out_channel);
#else
            float lanes[VEC];
            VSTORE(value, lanes);
            for (int e = 0; e < VEC; e++) {
                if (out_channel + e >= out_channels) continue;
#if RESIDUAL
                lanes[e] += residual[out_index + out_channel + e];
#endif
                out[out_index + out_channel + e] = lanes[e];
            }
#endif
        }
    }
}
#endif
