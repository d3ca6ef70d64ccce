/* 3x3 convolution on matrix tiles (prelude.clh): bf16 inputs, fp32 sums. PARTS 1 is bf16, PARTS 2
 * is bf16x3, as in gemm_matrix.cl.
 *
 * conv_matrix_picture first normalises and rounds the picture. It writes planes of 32 channels with
 * a border of zeros. A tap is then a constant distance in a pixel's linear index over the pitch W +
 * 2, and 16 neighbouring pixels of a plane are a matrix tile without a copy. With UP 2, the four
 * output pixels of an input pixel are convolutions of 2x2 taps each, whose weights are sums of the
 * 3x3 weights. The taps of a plane follow each other, so its pixels stay in the L1 cache; weights
 * come from L2, which limits the speed.
 * Floor: 2 TAPS TAPS Cin Cout FLOP per output pixel; three times that with PARTS 2. */

#if UP == 2
#define TAPS 2
#define PHASES 4
#else
#define TAPS 3
#define PHASES 1
#endif

enum {
    PLANE = 32,                  /* channels */
    PIXEL = PLANE * PARTS,       /* values of a pixel in a plane: high parts, then low parts */
    STEP_W = PLANE * 32 * PARTS, /* weights of a tap and a plane for 32 output channels */
};

#if defined WEIGHTS

/* The weight of tap i (of TAPS) along one axis; `stride` is between taps in stored. Phase 0 sees
 * the input pixels -1, 0, 0, phase 1 sees 0, 0, 1. */
INLINE float folded(const float *tap, int stride, int phase, int i)
{
#if UP == 2
    if (phase == i) return phase ? tap[2 * stride] : tap[0];
    return phase ? tap[0] + tap[stride] : tap[stride] + tap[2 * stride];
#else
    return tap[i * stride];
#endif
}

/* packed [PHASES][ceil(Cout / 32)][planes][TAPS][TAPS][PARTS][2][16 pairs][16][2] from stored
 * [Cout][Cin][3][3]; 0 beyond Cout and Cin. One work-item = 32 output channels, one plane. */
kernel void conv_matrix_pack(global ushort *packed, global const float *stored, int in_channels,
                             int out_channels)
{
    int strip = (int)get_global_id(0), plane = (int)get_global_id(1);
    int strips = (out_channels + 31) / 32, planes = (in_channels + PLANE - 1) / PLANE;
    for (int phase = 0; phase < PHASES; phase++) {
        global ushort *to =
            packed + (((size_t)phase * strips + strip) * planes + plane) * TAPS * TAPS * STEP_W;
        for (int t = 0; t < TAPS * TAPS; t++, to += STEP_W)
            for (int i = 0; i < 64; i++) { /* [2][16 pairs][2 parts of 16 columns][8][2] */
                float value[16];
                for (int j = 0; j < 16; j++) {
                    int out = strip * 32 + i / 32 * 16 + i % 2 * 8 + j / 2;
                    int in = plane * PLANE + i / 2 % 16 * 2 + j % 2;
                    float tap[9], column[3];
                    for (int k = 0; k < 9; k++)
                        tap[k] = out < out_channels && in < in_channels
                                     ? stored[((size_t)out * in_channels + in) * 9 + k]
                                     : 0.0f;
                    for (int k = 0; k < 3; k++) column[k] = folded(tap + k, 3, phase / 2, t / TAPS);
                    value[j] = folded(column, 1, phase % 2, t % TAPS);
                }
                float16 x = vload16(0, value);
                ushort16 high = to_bf16(x);
                *(global ushort16_any *)(to + i * 16) = high;
#if PARTS == 2
                *(global ushort16_any *)(to + 1024 + i * 16) = to_bf16(x - from_bf16(high));
#endif
            }
    }
}

#elif defined PICTURE

/* packed [N][planes][pixels][PARTS][32] = x [N][H*W][Cin] in bf16. NORM: x * factor + offset from
 * affine [N][Cin][2]; SILU: then SiLU. The border and the channels beyond Cin are 0. Pixels behind
 * the last row's border are not written. One work-group = one work-item = one row of a picture. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_matrix_picture(global ushort *packed, global const float *x, global const float *affine,
                    int height, int width, int pixels, int channels)
{
    int row = GROUP_ID(0, 1) - 1, n = GROUP_ID(1, 1), pitch = width + 2;
    int planes = (channels + PLANE - 1) / PLANE, inside = row >= 0 && row < height;
    packed += ((size_t)n * planes * pixels + (size_t)(row + 1) * pitch) * PIXEL;
    x += ((size_t)n * height + row) * width * channels;
    for (int half_ = 0; half_ < 2 * planes; half_++) {
        int first = half_ * 16, left = channels - first;
        global ushort *to = packed + (size_t)(half_ / 2) * pixels * PIXEL + half_ % 2 * 16;
#if NORM
        float factors[16], offsets[16];
        for (int i = 0; i < 16; i++) {
            global const float *from = affine + ((size_t)n * channels + first + i) * 2;
            factors[i] = i < left ? from[0] : 0.0f;
            offsets[i] = i < left ? from[1] : 0.0f;
        }
        float16 factor = vload16(0, factors), offset = vload16(0, offsets);
#endif
        for (int column = -1; column <= width; column++, to += PIXEL) {
            float16 value = 0.0f;
            if (inside && column >= 0 && column < width && left > 0) {
                value = load_some(x + (size_t)column * channels + first, left);
#if NORM
                value = fma(value, factor, offset);
#endif
#if SILU
                value = siluv(value);
#endif
            }
            ushort16 high = to_bf16(value);
            *(global ushort16_any *)to = high;
#if PARTS == 2
            *(global ushort16_any *)(to + PLANE) = to_bf16(value - from_bf16(high));
#endif
        }
    }
}

#else

/* All MMAs of one tap and one plane. Tile 2 p + c has the sums of the p-th 16 pixels and the c-th
 * 16 channels. */
#if PARTS == 2
enum { PIXELS = 32 };
#define STEP(x, w) TILE_MMAS_BF16X3(x, 128, 2048, 64, 2112, w)
#define EACH_SUM(F)                                                                                \
    F(0, 0);                                                                                       \
    F(1, 16);                                                                                      \
    F(2, 512);                                                                                     \
    F(3, 528)
#else
enum { PIXELS = 48 };
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

/* Where results go: the next pixel (y, x) and the address of its first channel. */
typedef struct {
    global float *out;
    global const float *bias, *residual;
    /* wide: floats of a row of out; left: channels from the first one on */
    int pitch, width, wide, channels, left;
    int y, x;
} target;

INLINE void finish_pixel(target *t, const float *sums)
{
    if (t->x < t->width) {
        size_t at = ((size_t)(t->y * UP) * t->wide + t->x * UP) * t->channels;
#pragma unroll
        for (int j = 0; j < 32; j += 16) {
            if (t->left <= j) break;
            float16 x =
                *(const float16 *)(sums + j) + *(global const float16_unaligned *)(t->bias + j);
#if RESIDUAL
            x += load_some(t->residual + at + j, t->left - j);
#endif
            store_some(t->out + at + j, x, t->left - j);
        }
    }
    t->x++;
    if (t->x == t->pitch) {
        t->x = 0;
        t->y++;
    }
}

/* out, residual [N][UP*H * UP*W][Cout]; x from conv_matrix_picture; weight from conv_matrix_pack;
 * bias padded to 32. One work-group = one work-item = 32 channels of `blocks` times PIXELS pixels,
 * in the pitch of x, of one phase of one picture. Work-groups with the same weights follow each
 * other. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv_matrix(global float *out, global const ushort *x, global const ushort *weight,
            global const float *bias, global const float *residual, int height, int width,
            int pixels, int in_channels, int out_channels, int blocks)
{
    int strip = GROUP_ID(1, 1), phase = GROUP_ID(2, 1) % PHASES;
    int n = GROUP_ID(2, 1) / PHASES, planes = (in_channels + PLANE - 1) / PLANE;
    int pitch = width + 2, last = height * pitch - 2, row = phase / 2, column = phase % 2;
    int first = GROUP_ID(0, 1) * blocks * PIXELS, strips = (out_channels + 31) / 32;
    int behind = min(first + blocks * PIXELS, last);
    size_t corner =
        (((size_t)n * height * UP + row) * width * UP + column) * out_channels + strip * 32;
    target t = {out + corner,  bias + strip * 32, residual + corner, pitch,
                width,         width * UP,        out_channels,      out_channels - strip * 32,
                first / pitch, first % pitch};
    x += ((size_t)n * planes * pixels + row * pitch + column) * PIXEL;
    weight += ((size_t)phase * strips + strip) * planes * TAPS * TAPS * STEP_W;
    float sums[PIXELS * 32] __attribute__((aligned(64)));
    int per_step = (PIXELS - 1) / (planes * TAPS * TAPS) + 1, ready = 0, end = 0;
    TILES_BEGIN();
    for (int block = first; block < behind; block += PIXELS) {
        global const ushort *w = weight, *plane = x + (size_t)block * PIXEL;
        EACH_SUM(CLEAR);
        for (int p = 0; p < planes; p++, plane += (size_t)pixels * PIXEL)
            for (int dy = 0; dy < TAPS; dy++)
                for (int dx = 0; dx < TAPS; dx++, w += STEP_W) {
                    global const ushort *tap = plane + (dy * pitch + dx) * PIXEL;
                    STEP(tap, w);
                    for (int i = 0; i < per_step && ready < end; i++, ready++)
                        finish_pixel(&t, sums + ready * 32);
                }
        EACH_SUM(STORE);
        ready = 0;
        end = min(PIXELS, behind - block);
    }
    for (; ready < end; ready++) finish_pixel(&t, sums + ready * 32);
    TILES_END();
}
#endif
