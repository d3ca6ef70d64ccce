/* 3x3 convolution, stride 1, padding 1, of pictures [N][H][W][C].
 *
 * The input has a border of zeros (groupnorm_apply with PAD). A tap is therefore a constant
 * distance in a pixel's linear index over the pitch W + 2, and the loop is that of a GEMM: PX
 * pixels times NR = NV * VEC output channels in registers. Floor: 18 Cin Cout FLOP per pixel. */

#ifdef PACK
/* packed [ceil(Cout / wide)][9][Cin][wide] from stored [Cout][Cin][3][3]; 0 beyond Cout. One
 * work-item = one packed value. */
kernel void conv_pack(global float *packed, global const float *stored, int in_channels,
                      int out_channels, int wide)
{
    int i = (int)get_global_id(0), tap = (int)get_global_id(1), panel = (int)get_global_id(2);
    int c = i / wide, o = panel * wide + i % wide;
    if (c >= in_channels) return;
    packed[((size_t)panel * 9 + tap) * in_channels * wide + i] =
        o < out_channels ? stored[((size_t)o * in_channels + c) * 9 + tap] : 0.0f;
}
#else

#define NR (NV * VEC)

/* out, residual [N][H*W][Cout]; x [N][x_pixels][Cin]; weight as packed; bias
 * [ceil(Cout / NR) * NR]. RESIDUAL: 0 or 1. One work-item = PX neighbouring pixels, NR output
 * channels. */
kernel void conv3x3(global float *out, global const float *x, global const float *weight,
                    global const float *bias, global const float *residual, int height, int width,
                    int x_pixels, int in_channels, int out_channels)
{
    int first = (int)get_global_id(0) * PX, panel = (int)get_global_id(1);
    int n = (int)get_global_id(2), pitch = width + 2;
    if (first >= height * pitch) return;
    V sum[PX][NV];
#pragma unroll
    for (int i = 0; i < PX; i++)
#pragma unroll
        for (int j = 0; j < NV; j++) sum[i][j] = VLOAD(bias + panel * NR + j * VEC);
    global const float *w = weight + (size_t)panel * 9 * in_channels * NR;
    for (int tap = 0; tap < 9; tap++) {
        global const float *in =
            x + ((size_t)n * x_pixels + first + tap / 3 * pitch + tap % 3) * in_channels;
        for (int c = 0; c < in_channels; c++, w += NR) {
            V row[NV];
#pragma unroll
            for (int j = 0; j < NV; j++) row[j] = VLOAD(w + j * VEC);
#pragma unroll
            for (int i = 0; i < PX; i++) {
                V value = in[(size_t)i * in_channels + c];
#pragma unroll
                for (int j = 0; j < NV; j++) sum[i][j] = mad(value, row[j], sum[i][j]);
            }
        }
    }
    for (int i = 0; i < PX; i++) {
        int at_row = (first + i) / pitch, at_column = (first + i) % pitch;
        if (at_row >= height || at_column >= width) continue;
        size_t to = (((size_t)n * height + at_row) * width + at_column) * out_channels;
        for (int j = 0; j < NV; j++) {
            int channel = panel * NR + j * VEC;
            if (channel + VEC <= out_channels) {
                V value = sum[i][j];
#if RESIDUAL
                value += VLOAD(residual + to + channel);
#endif
                VSTORE(value, out + to + channel);
            } else {
                float lane[VEC];
                VSTORE(sum[i][j], lane);
                for (int k = 0; k < VEC && channel + k < out_channels; k++) {
#if RESIDUAL
                    lane[k] += residual[to + channel + k];
#endif
                    out[to + channel + k] = lane[k];
                }
            }
        }
    }
}
#endif
