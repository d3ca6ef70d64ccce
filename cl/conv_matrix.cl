/* 3x3 convolution on AMX tiles (prelude.clh): bf16 inputs, fp32 sums. PARTS 1 is bf16, PARTS 2 is
 * bf16x3, as in gemm_matrix.cl. Floor: 2 TAPS TAPS Cin Cout FLOP per output pixel; three times that
 * with PARTS 2.
 *
 * conv_matrix_picture first normalises and rounds the picture. It writes planes of 32 channels with
 * a border of zeros. As in conv.cl, a tap is then a constant distance between pixels, and 16
 * neighbouring pixels of a plane are an AMX tile without a copy.
 *
 * With UP 2 (nearest-neighbour upsampling) an input pixel has four output pixels, the phases. Each
 * is a convolution of 2x2 taps, whose weights are sums of the 3x3 weights:
 *
 *     input   a  b  c      phase 0 of b: w0 a + (w1 + w2) b       phase 1 of b: (w0 + w1) b + w2 c
 *     output aa bb cc
 *
 * The taps of a plane follow each other, so its pixels stay in the L1 cache. Weights come from the
 * L2 cache, which limits the speed. */

#include "layout.clh"

#if UP == 2
#define TAPS 2
#define PHASES 4
#else
#define TAPS 3
#define PHASES 1
#endif

enum {
    PIXEL_VALUES =
        CONV_PLANE * PARTS,           /* values of a pixel in a plane: high parts, then low parts */
    STEP_W = CONV_PLANE * 32 * PARTS, /* weights of a tap and a plane for 32 output channels */
};

#if defined WEIGHTS

/* The weight of tap i (of TAPS) along one axis. tap: the three stored taps, `stride` apart. */
INLINE float fold_taps(const float *tap, int stride, int phase, int i)
{
#if UP == 2
    if (phase == i) return phase ? tap[2 * stride] : tap[0];
    return phase ? tap[0] + tap[stride] : tap[stride] + tap[2 * stride];
#else
    return tap[i * stride];
#endif
}

/* packed [PHASES][ceil(Cout / 32)][planes][TAPS][TAPS][PARTS][2][16 pairs][16][2] from stored
 * [Cout][Cin][3][3]; 0 beyond Cout and Cin. One work-item = 32 output channels, one plane. Range:
 * [ceil(Cout / 32)][planes]. */
kernel void conv_matrix_pack(global ushort *packed, global const float *stored, int in_channels,
                             int out_channels)
{
    int panel = (int)get_global_id(0), plane = (int)get_global_id(1);
    int panels = (out_channels + 31) / 32, planes = (in_channels + CONV_PLANE - 1) / CONV_PLANE;
    for (int phase = 0; phase < PHASES; phase++) {
        global ushort *dst =
            packed + (((size_t)phase * panels + panel) * planes + plane) * TAPS * TAPS * STEP_W;
        for (int t = 0; t < TAPS * TAPS; t++, dst += STEP_W)
            for (int i = 0; i < 64; i++) { /* [2][16 pairs][2 halves of 16 columns][8][2] */
                float value[16];
                for (int j = 0; j < 16; j++) {
                    int out = panel * 32 + i / 32 * 16 + i % 2 * 8 + j / 2;
                    int in = plane * CONV_PLANE + i / 2 % 16 * 2 + j % 2;
                    float tap[9], column[3];
                    for (int k = 0; k < 9; k++)
                        tap[k] = out < out_channels && in < in_channels
                                     ? stored[((size_t)out * in_channels + in) * 9 + k]
                                     : 0.0f;
                    for (int k = 0; k < 3; k++)
                        column[k] = fold_taps(tap + k, 3, phase / 2, t / TAPS);
                    value[j] = fold_taps(column, 1, phase % 2, t % TAPS);
                }
                float16 x = vload16(0, value);
                ushort16 high = to_bf16(x);
                *(global ushort16_unaligned *)(dst + i * 16) = high;
#if PARTS == 2
                *(global ushort16_unaligned *)(dst + 1024 + i * 16) = to_bf16(x - from_bf16(high));
#endif
            }
    }
}

#elif defined PICTURE

/* packed [N][planes][pixels][PARTS][32] = x [N][H*W][Cin] in bf16. NORM: x * factor + offset from
 * affine [N][Cin][2]; SILU: then SiLU. The border and the channels beyond Cin are 0. Pixels behind
 * the border are not written. One work-group = one work-item = one row of a picture, border
 * included. Range: [H + 2][N]. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_matrix_picture(global ushort *packed, global const float *x, global const float *affine,
                    int height, int width, int pixels, int channels)
{
    int row = GROUP_ID(0, 1) - 1, n = GROUP_ID(1, 1), pitch = width + 2;
    int planes = (channels + CONV_PLANE - 1) / CONV_PLANE, inside = row >= 0 && row < height;
    packed += ((size_t)n * planes * pixels + (size_t)(row + 1) * pitch) * PIXEL_VALUES;
    x += ((size_t)n * height + row) * width * channels;
    for (int half_plane = 0; half_plane < 2 * planes; half_plane++) {
        int channel = half_plane * 16, channels_left = channels - channel;
        global ushort *dst =
            packed + (size_t)(half_plane / 2) * pixels * PIXEL_VALUES + half_plane % 2 * 16;
#if NORM
        float factors[16], offsets[16];
        for (int i = 0; i < 16; i++) {
            global const float *src = affine + ((size_t)n * channels + channel + i) * 2;
            factors[i] = i < channels_left ? src[0] : 0.0f;
            offsets[i] = i < channels_left ? src[1] : 0.0f;
        }
        float16 factor = vload16(0, factors), offset = vload16(0, offsets);
#endif
        for (int column = -1; column <= width; column++, dst += PIXEL_VALUES) {
            float16 value = 0.0f;
            if (inside && column >= 0 && column < width && channels_left > 0) {
                value = load_some(x + (size_t)column * channels + channel, channels_left);
#if NORM
                value = fma(value, factor, offset);
#endif
#if SILU
                value = siluv(value);
#endif
            }
            ushort16 high = to_bf16(value);
            *(global ushort16_unaligned *)dst = high;
#if PARTS == 2
            *(global ushort16_unaligned *)(dst + CONV_PLANE) = to_bf16(value - from_bf16(high));
#endif
        }
    }
}

#else

enum { PIXELS = CONV_BLOCK_PIXELS(PARTS) };

/* All MMAs of one tap and one plane. Tile 2 p + c has the sums of pixels 16 p to 16 p + 15 and
 * channels 16 c to 16 c + 15. */
#if PARTS == 2
#define STEP(x, w) TILE_MMAS_BF16X3(x, 128, 2048, 64, 2112, w)
#define EACH_SUM(F)                                                                                \
    F(0, 0);                                                                                       \
    F(1, 16);                                                                                      \
    F(2, 512);                                                                                     \
    F(3, 528)
#else
#define STEP(x, w)                                                                                 \
    TILE_LOAD(7, w, 0, 64);                                                                        \
    TILE_LOAD(6, x, 0, 64);                                                                        \
    TILE_MMA(0, 6, 7);                                                                             \
    TILE_LOAD(6, x, 1024, 64);                                                                     \
    TILE_MMA(2, 6, 7);                                                                             \
    TILE_LOAD(6, x, 2048, 64);                                                                     \
    TILE_MMA(4, 6, 7);                                                                             \
    TILE_LOAD(7, w, 1024, 64);                                                                     \
    TILE_MMA(5, 6, 7);                                                                             \
    TILE_LOAD(6, x, 1024, 64);                                                                     \
    TILE_MMA(3, 6, 7);                                                                             \
    TILE_LOAD(6, x, 0, 64);                                                                        \
    TILE_MMA(1, 6, 7)
#define EACH_SUM(F)                                                                                \
    F(0, 0);                                                                                       \
    F(1, 16);                                                                                      \
    F(2, 512);                                                                                     \
    F(3, 528);                                                                                     \
    F(4, 1024);                                                                                    \
    F(5, 1040)
#endif
#define CLEAR(tile, at) TILE_ZERO(tile)
#define STORE(tile, at) TILE_STORE(tile, sums + (at), 128)

/* Where results go. out, bias, residual: from the work-group's first channel on. (y, x): the next
 * pixel to store, in rows of `pitch` pixels. */
typedef struct {
    global float *out;
    global const float *bias, *residual;
    int pitch, width, out_width, channels, channels_left;
    int y, x;
} target;

INLINE void store_pixel(target *t, const float *sums)
{
    if (t->x < t->width) {
        size_t index = ((size_t)(t->y * UP) * t->out_width + t->x * UP) * t->channels;
#pragma unroll
        for (int j = 0; j < 32; j += 16) {
            if (t->channels_left <= j) break;
            float16 x =
                *(const float16 *)(sums + j) + *(global const float16_unaligned *)(t->bias + j);
#if RESIDUAL
            x += load_some(t->residual + index + j, t->channels_left - j);
#endif
            store_some(t->out + index + j, x, t->channels_left - j);
        }
    }
    t->x++;
    if (t->x == t->pitch) {
        t->x = 0;
        t->y++;
    }
}

/* out, residual [N][UP*H * UP*W][Cout]; x from conv_matrix_picture; weight from conv_matrix_pack;
 * bias padded to 32. One work-group = one work-item = 32 channels x `blocks` blocks of PIXELS
 * pixels of one phase of one picture. Range: [ceil(pixels / (PIXELS blocks))][ceil(Cout / 32)]
 * [N PHASES], with the pixels of the pitch of x; work-groups with the same weights follow each
 * other. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_matrix(global float *out, global const ushort *x, global const ushort *weight,
            global const float *bias, global const float *residual, int height, int width,
            int pixels, int in_channels, int out_channels, int blocks)
{
    int panel = GROUP_ID(1, 1), phase = GROUP_ID(2, 1) % PHASES;
    int n = GROUP_ID(2, 1) / PHASES, planes = (in_channels + CONV_PLANE - 1) / CONV_PLANE;
    int pitch = width + 2, last = height * pitch - 2, row = phase / 2, column = phase % 2;
    int pixel_begin = GROUP_ID(0, 1) * blocks * PIXELS, panels = (out_channels + 31) / 32;
    int pixel_end = min(pixel_begin + blocks * PIXELS, last);
    size_t corner =
        (((size_t)n * height * UP + row) * width * UP + column) * out_channels + panel * 32;
    target t = {out + corner,
                bias + panel * 32,
                residual + corner,
                pitch,
                width,
                width * UP,
                out_channels,
                out_channels - panel * 32,
                pixel_begin / pitch,
                pixel_begin % pitch};
    x += ((size_t)n * planes * pixels + row * pitch + column) * PIXEL_VALUES;
    weight += ((size_t)phase * panels + panel) * planes * TAPS * TAPS * STEP_W;
    float sums[PIXELS * 32] __attribute__((aligned(64)));
    int per_step = (PIXELS - 1) / (planes * TAPS * TAPS) + 1, pending = 0, pending_end = 0;
    TILES_BEGIN();
    for (int block = pixel_begin; block < pixel_end; block += PIXELS) {
        global const ushort *w = weight, *plane = x + (size_t)block * PIXEL_VALUES;
        EACH_SUM(CLEAR);
        for (int p = 0; p < planes; p++, plane += (size_t)pixels * PIXEL_VALUES)
            for (int dy = 0; dy < TAPS; dy++)
                for (int dx = 0; dx < TAPS; dx++, w += STEP_W) {
                    global const ushort *tap = plane + (dy * pitch + dx) * PIXEL_VALUES;
                    STEP(tap, w);
                    for (int i = 0; i < per_step && pending < pending_end; i++, pending++)
                        store_pixel(&t, sums + pending * 32);
                }
        EACH_SUM(STORE);
        pending = 0;
        pending_end = min(PIXELS, pixel_end - block);
    }
    for (; pending < pending_end; pending++) store_pixel(&t, sums + pending * 32);
    TILES_END();
}
#endif
