/* 3x3 convolution, stride 1, padding 1, of pictures [N][H][W][C], on any device. Floor: 18 Cin Cout
 * FLOP per pixel.
 *
 *     0 0 0 0 0 0     The input has a border of zeros (groupnorm_apply with PAD). Output pixel i,
 *     0 x x x x 0     counted in rows of W + 2, reads input pixel i + r (W + 2) + c for tap (r, c).
 *     0 x x x x 0     So the loop is that of a GEMM: PX pixels x NR = NV * VEC output channels in
 *     0 0 0 0 0 0     registers. Results of the two extra columns are not stored. */

#ifdef PACK
/* packed [ceil(Cout / wide)][9][Cin][wide] from stored [Cout][Cin][3][3]; 0 beyond Cout. One
 * work-item = one packed value. Range: [Cin * wide][9][ceil(Cout / wide)]. */
kernel void conv_pack(global float *packed, global const float *stored, int in_channels,
                      int out_channels, int wide)
{
    int index = (int)get_global_id(0), tap = (int)get_global_id(1), panel = (int)get_global_id(2);
    int in_channel = index / wide, out_channel = panel * wide + index % wide;
    if (in_channel >= in_channels) return;
    packed[((size_t)panel * 9 + tap) * in_channels * wide + index] =
        out_channel < out_channels
            ? stored[((size_t)out_channel * in_channels + in_channel) * 9 + tap]
            : 0.0f;
}
#else

#define NR (NV * VEC)

/* out, residual [N][H*W][Cout]; x [N][x_pixels][Cin]; weight as packed; bias
 * [ceil(Cout / NR) * NR]. RESIDUAL: 0 or 1. One work-item = PX neighbouring pixels x NR output
 * channels. Range: [ceil(H (W + 2) / PX)][ceil(Cout / NR)][N]. */
kernel void conv3x3(global float *out, global const float *x, global const float *weight,
                    global const float *bias, global const float *residual, int height, int width,
                    int x_pixels, int in_channels, int out_channels)
{
    int pixel_begin = (int)get_global_id(0) * PX, panel = (int)get_global_id(1);
    int n = (int)get_global_id(2), pitch = width + 2;
    if (pixel_begin >= height * pitch) return;
    V acc[PX][NV];
#pragma unroll
    for (int i = 0; i < PX; i++)
#pragma unroll
        for (int j = 0; j < NV; j++) acc[i][j] = VLOAD(bias + panel * NR + j * VEC);
    global const float *w = weight + (size_t)panel * 9 * in_channels * NR;
    for (int tap = 0; tap < 9; tap++) {
        global const float *in =
            x + ((size_t)n * x_pixels + pixel_begin + tap / 3 * pitch + tap % 3) * in_channels;
        for (int c = 0; c < in_channels; c++, w += NR) {
            V weights[NV];
#pragma unroll
            for (int j = 0; j < NV; j++) weights[j] = VLOAD(w + j * VEC);
#pragma unroll
            for (int i = 0; i < PX; i++) {
                V value = in[(size_t)i * in_channels + c];
#pragma unroll
                for (int j = 0; j < NV; j++) acc[i][j] = mad(value, weights[j], acc[i][j]);
            }
        }
    }
    for (int i = 0; i < PX; i++) {
        int row = (pixel_begin + i) / pitch, column = (pixel_begin + i) % pitch;
        if (row >= height || column >= width) continue;
        size_t out_index = (((size_t)n * height + row) * width + column) * out_channels;
        for (int j = 0; j < NV; j++) {
            int channel = panel * NR + j * VEC;
            if (channel + VEC <= out_channels) {
                V value = acc[i][j];
#if RESIDUAL
                value += VLOAD(residual + out_index + channel);
#endif
                VSTORE(value, out + out_index + channel);
            } else {
                float lanes[VEC];
                VSTORE(acc[i][j], lanes);
                for (int k = 0; k < VEC && channel + k < out_channels; k++) {
#if RESIDUAL
                    lanes[k] += residual[out_index + channel + k];
#endif
                    out[out_index + channel + k] = lanes[k];
                }
            }
        }
    }
}
#endif
