/* 3x3 convolution, stride 1, padding 1, of pictures [N][H][W][C], as an implicit GEMM. A work-group
 * computes a tile of TX x TY pixels times BC output channels. It normalises, activates and stages a
 * patch of the input, the tile and its border, CC channels at a time; the patch serves all taps.
 *
 * Floor: 18 Cin Cout FLOP per pixel.
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
#define WEIGHT_LOAD(p) VLOAD(p)
#endif

#ifdef PACK
/* packed [9][in_padded][out_padded] from stored [Cout][Cin][3][3]; 0 beyond the channels. One
 * work-item = one packed value. */
kernel void conv_gpu_pack(global WEIGHT *packed, global const float *stored, int in_channels,
                          int in_padded, int out_channels, int out_padded)
{
    int o = (int)get_global_id(0), c = (int)get_global_id(1), tap = (int)get_global_id(2);
    if (o >= out_padded) return;
    float x = o < out_channels && c < in_channels ? stored[((size_t)o * in_channels + c) * 9 + tap]
                                                  : 0.0f;
    size_t at = ((size_t)tap * in_padded + c) * out_padded + o;
#if HALF
    vstore_half(fabs(x) < INFINITY ? clamp(x, -65504.0f, 65504.0f) : x, at, (global half *)packed);
#else
    packed[at] = x;
#endif
}
#else

#define WP (TX * TY / RP) /* rows of the grid of work-items */
#define WC (BC / RC)      /* columns of the grid of work-items */
#define GROUP (WP * WC)
#define NV (RC / VEC)
#define PW ((TX + UP - 1) / UP + 2) /* pixels of a row of the patch */
#define PH ((TY + UP - 1) / UP + 2)
#define PITCH_X (CC + 4) /* one vector of padding against bank conflicts */
/* The row or column of the input for a row or column of the upsampled picture. */
#define PATCH(at) (UP == 2 ? (at) >> 1 : (at))

/* Channels c to c + 3 of a pixel, normalised and activated; 0 beyond the last channel. */
INLINE float4 input(global const float *pixel, global const float *affine, int c, int channels)
{
#if IN_WHOLE
    float4 x = vload4(0, pixel + c);
#if NORM
    /* not vload8: clspv takes vectors of at most 4. Not a vector of parts of vectors: an emulator
     * reads those from a wrong place. */
    float4 low = vload4(0, affine + c * 2), high = vload4(1, affine + c * 2);
    x = mad(x, (float4)(low.x, low.z, high.x, high.z), (float4)(low.y, low.w, high.y, high.w));
#endif
#else
    float lane[4];
    for (int j = 0; j < 4; j++) {
        lane[j] = c + j < channels ? pixel[c + j] : 0.0f;
#if NORM
        if (c + j < channels) lane[j] = mad(lane[j], affine[(c + j) * 2], affine[(c + j) * 2 + 1]);
#endif
    }
    float4 x = vload4(0, lane);
#endif
#if SILU
    x = x / (1.0f + exp(-x));
#endif
    return x;
}

/* Stages CC channels, from c on, of the patch that begins at pixel (top, left). */
INLINE void stage_patch(local float *to, global const float *x, global const float *affine, int top,
                        int left, int height, int width, int c, int channels)
{
    for (int i = (int)get_local_id(0); i < PH * PW * (CC / 4); i += GROUP) {
        int pixel = i / (CC / 4), at = i % (CC / 4) * 4;
        int row = top + pixel / PW, column = left + pixel % PW;
        bool inside = row >= 0 && row < height && column >= 0 && column < width;
        float4 value = 0.0f;
        if (inside && c + at < channels)
            value = input(x + ((size_t)row * width + column) * channels, affine, c + at, channels);
        vstore4(value, 0, to + pixel * PITCH_X + at);
    }
}

#if ST
/* Stages BC output channels of `rows` input channels of ST taps: [ST][CC][BC]. */
INLINE void stage_weights(local float *to, global const WEIGHT *weight, int rows, int in_padded,
                          int out_channel, int out_padded)
{
    for (int i = (int)get_local_id(0); i < ST * CC * (BC / VEC); i += GROUP) {
        int row = i / (BC / VEC), at = i % (BC / VEC) * VEC, tap = row / CC;
        if (row % CC >= rows) continue;
        global const WEIGHT *from =
            weight + ((size_t)tap * in_padded + row % CC) * out_padded + out_channel + at;
        VSTORE(out_channel + at < out_padded ? WEIGHT_LOAD(from) : (V)(0.0f), to + row * BC + at);
    }
}
#endif

/* out, residual [N][H*W][Cout], H and W after upsampling; x [N][h*w][Cin]; affine [N][Cin][2];
 * weight as packed; bias [Cout]. One work-group = one tile; tiles_x tiles in a row. */
kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
conv_gpu(global float *out, global const float *x, global const float *affine,
         global const WEIGHT *weight, global const float *bias, global const float *residual,
         int height, int width, int tiles_x, int in_channels, int out_channels, int out_padded)
{
    local float x_tile[PH * PW * PITCH_X];
#if ST
    local float w_tile[ST * CC * BC];
#endif
    int me = (int)get_local_id(0), column = me % WC, mine = me / WC * RP;
    int tile = GROUP_ID(0, GROUP), n = GROUP_ID(2, 1), o = GROUP_ID(1, 1) * BC;
    int left = tile % tiles_x * TX, top = tile / tiles_x * TY;
    int in_padded = (in_channels + 3) / 4 * 4;
    x += (size_t)n * height * width * in_channels;
    affine += (size_t)n * in_channels * 2;

    V sum[RP][NV];
    int channel[NV]; /* padded channels: a work-item beyond them repeats the last ones */
#pragma unroll
    for (int j = 0; j < NV; j++) {
        channel[j] = min(o + (j * WC + column) * VEC, out_padded - VEC);
#pragma unroll
        for (int i = 0; i < RP; i++) sum[i][j] = VLOAD(bias + channel[j]);
    }
    for (int c = 0; c < in_channels; c += CC) {
        int rows = min(CC, in_padded - c);
        barrier(CLK_LOCAL_MEM_FENCE);
        stage_patch(x_tile, x, affine, PATCH(top - 1), PATCH(left - 1), height, width, c,
                    in_channels);
#if !ST
        barrier(CLK_LOCAL_MEM_FENCE);
#endif
        for (int tap = 0; tap < 9; tap++) {
            global const WEIGHT *w = weight + ((size_t)tap * in_padded + c) * out_padded;
#if ST
            if (tap % ST == 0) {
                if (tap) barrier(CLK_LOCAL_MEM_FENCE);
                stage_weights(w_tile, w, rows, in_padded, o, out_padded);
                barrier(CLK_LOCAL_MEM_FENCE);
            }
#endif
            int from[RP];
#pragma unroll
            for (int i = 0; i < RP; i++) {
                int row = top + (mine + i) / TX + tap / 3 - 1;
                int at = left + (mine + i) % TX + tap % 3 - 1;
                from[i] =
                    ((PATCH(row) - PATCH(top - 1)) * PW + PATCH(at) - PATCH(left - 1)) * PITCH_X;
            }
            for (int k = 0; k < rows; k += 4) {
                float value[4][RP];
#pragma unroll
                for (int i = 0; i < RP; i++) {
                    float4 four = vload4(0, x_tile + from[i] + k);
                    value[0][i] = four.x;
                    value[1][i] = four.y;
                    value[2][i] = four.z;
                    value[3][i] = four.w;
                }
#pragma unroll
                for (int e = 0; e < 4; e++)
#pragma unroll
                    for (int j = 0; j < NV; j++) {
#if ST
                        V row =
                            VLOAD(w_tile + (tap % ST * CC + k + e) * BC + (j * WC + column) * VEC);
#else
                        V row = WEIGHT_LOAD(w + (size_t)(k + e) * out_padded + channel[j]);
#endif
#pragma unroll
                        for (int i = 0; i < RP; i++)
                            sum[i][j] = mad((V)(value[e][i]), row, sum[i][j]);
                    }
            }
        }
    }
#pragma unroll
    for (int i = 0; i < RP; i++) {
        int row = top + (mine + i) / TX, at = left + (mine + i) % TX;
        size_t to = (((size_t)n * height * UP + row) * width * UP + at) * out_channels;
#pragma unroll
        for (int j = 0; j < NV; j++) {
            int first = o + (j * WC + column) * VEC;
            if (row >= height * UP || at >= width * UP || first >= out_channels) continue;
            V value = sum[i][j];
#if OUT_WHOLE
#if RESIDUAL
            value += VLOAD(residual + to + first);
#endif
            VSTORE(value, out + to + first);
#else
            float lane[VEC];
            VSTORE(value, lane);
            for (int e = 0; e < VEC; e++) {
                if (first + e >= out_channels) continue;
#if RESIDUAL
                lane[e] += residual[to + first + e];
#endif
                out[to + first + e] = lane[e];
            }
#endif
        }
    }
}
#endif
