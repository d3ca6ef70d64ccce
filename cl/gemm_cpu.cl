/* GEMM for CPUs with a fused epilogue. One work-group = one work-item = block_rows rows of one
 * panel of NR = NV * VEC columns. Floor: 2 m n K FLOP.
 *
 *               K                        NR
 *        +-------------+             +-------+
 *     MR | a tile of a |    x      K | panel |    [K][NR], read from front to back
 *        +-------------+             |       |
 *     MR | next tile   |             |       |
 *
 * The MR x NV accumulators of a tile are vectors in registers. K is cut into parts of KC steps, so
 * that the block of rows and the panel's part stay in the L2 cache. Between parts the sums are in
 * `out`. Each sum is one chain of K additions, so MR, NV, KC and KU do not change the bits of the
 * result.
 *
 * PREFETCH: 0 or 1.
 * K: the depth. It is a constant, so that rows are constant distances apart. KU: steps of K that
 * are unrolled.
 * BF16: inputs are pairs of bf16. One instruction multiplies both numbers of a pair and adds both
 * products. K counts pairs. */

#ifdef BF16
typedef int element;
#define VE int16 /* a vector of elements */
#define VE_LOAD(p) (*(global const VE_UNALIGNED *)(p))
#define MULTIPLY(x, b, sum) dot_pairs(x, b, sum)
typedef int VE_UNALIGNED __attribute__((ext_vector_type(16), aligned(4)));
#else
typedef float element;
#define VE V
#define VE_LOAD(p) VLOAD(p)
#define MULTIPLY(x, b, sum) mad(x, b, sum)
#endif

#define NR (NV * VEC)
#define CACHE_LINE 16 /* floats of a cache line */
#define LINES_AHEAD ((KU * MR + CACHE_LINE - 1) / CACHE_LINE)

#if PREFETCH /* some implementations compile OpenCL's prefetch() to nothing */
#define FETCH_NEAR(p) __builtin_prefetch((const void *)(size_t)(p), 0, 3)
#define FETCH_FAR(p) __builtin_prefetch((const void *)(size_t)(p), 0, 2)
#define FETCH_OUT(p) __builtin_prefetch((const void *)(size_t)(p), 1, 3)
#else
#define FETCH_NEAR(p)
#define FETCH_FAR(p)
#define FETCH_OUT(p)
#endif

/* Stores a vector near the end of a row, of which `left` elements exist. */
INLINE void store_part(global float *dst, V value, int left)
{
    if (left >= VEC) {
        VSTORE(value, dst);
        return;
    }
    float lanes[VEC];
    VSTORE(value, lanes);
    for (int j = 0; j < left; j++) dst[j] = lanes[j];
}

INLINE V load_part(global const float *src, int left)
{
    if (left >= VEC) return VLOAD(src);
    float lanes[VEC];
    for (int j = 0; j < VEC; j++) lanes[j] = j < left ? src[j] : 0.0f;
    return VLOAD(lanes);
}

#define GATE_LOAD(p, left) load_part(p, left)
#define RESIDUAL_LOAD(p, left) load_part(p, left)
#include "epilogue.clh"

INLINE void finish(global float *out, V sum[MR][NV], epilogue e, int row, int rows, int column)
{
    for (int i = 0; i < rows; i++, row++) {
        global float *to = out + (size_t)row * e.n;
        epilogue_row r;
        find_row(&r, e, row);
        for (int j = 0; j < NV; j++) {
            int at = column + j * VEC, left = e.n - at;
            store_part(to + at, apply_epilogue(sum[i][j], r, at, left), left);
        }
    }
}

INLINE void store_sums(global float *out, V sum[MR][NV], int n, int row, int rows, int column)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < NV; j++)
            store_part(out + (size_t)(row + i) * n + column + j * VEC, sum[i][j],
                       n - column - j * VEC);
}

INLINE void load_sums(V sum[MR][NV], global const float *out, int n, int row, int rows, int column)
{
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NV; j++)
            sum[i][j] = load_part(out + (size_t)(row + min(i, rows - 1)) * n + column + j * VEC,
                                  n - column - j * VEC);
}

/* acc += MR rows of a times `depth` steps of the panel. row_offset: where each row begins in a.
 * Prefetches the rows of the next tile, and next_panel. */
INLINE void accumulate(V acc[MR][NV], global const element *a, const int row_offset[MR],
                       global const element *panel, global const element *next_panel, int depth)
{
    int k = 0;
    for (; k + KU <= depth; k += KU, a += KU, panel += KU * NR, next_panel += CACHE_LINE) {
#pragma unroll
        /* the rows of the next tile in turn, one cache line of each */
        for (int line = 0; line < LINES_AHEAD; line++)
            FETCH_NEAR(a + (MR + (k / KU * LINES_AHEAD + line) % MR) * K);
        FETCH_FAR(next_panel);
#pragma unroll
        for (int u = 0; u < KU; u++) {
            VE b[NV];
#pragma unroll
            for (int j = 0; j < NV; j++) b[j] = VE_LOAD(panel + u * NR + j * VEC);
#pragma unroll
            for (int i = 0; i < MR; i++) {
                VE a_value = a[row_offset[i] + u];
#pragma unroll
                for (int j = 0; j < NV; j++) acc[i][j] = MULTIPLY(a_value, b[j], acc[i][j]);
            }
        }
    }
#if K % KU
    for (; k < depth; k++, a++, panel += NR)
#pragma unroll
        for (int i = 0; i < MR; i++) {
            VE a_value = a[row_offset[i]];
#pragma unroll
            for (int j = 0; j < NV; j++)
                acc[i][j] = MULTIPLY(a_value, VE_LOAD(panel + j * VEC), acc[i][j]);
        }
#endif
}

#ifndef STRASSEN

/* One tile: MR rows from `row` on, of which `rows` exist, times a part of a panel: `depth` steps of
 * K from step k_begin on. full: a constant, true if rows is MR. next_panel: what to prefetch. */
INLINE void compute_tile(global float *out, global const element *a, global const element *panel,
                         global const element *next_panel, epilogue e, int row, int rows, bool full,
                         int column, int k_begin, int depth)
{
    V acc[MR][NV], acc_copy[MR][NV];
    int row_offset[MR]; /* rows behind the last one repeat it; their sums are not stored */
    if (k_begin > 0) load_sums(acc_copy, out, e.n, row, rows, column);
#pragma unroll
    for (int i = 0; i < MR; i++) {
        row_offset[i] = (full ? i : min(i, rows - 1)) * K;
#pragma unroll
        for (int j = 0; j < NV; j++) {
            acc[i][j] = k_begin > 0 ? acc_copy[i][j] : VLOAD(e.bias + column + j * VEC);
            FETCH_OUT(out + (size_t)(row + i) * e.n + column + j * VEC);
        }
    }
    accumulate(acc, a + (size_t)row * K + k_begin, row_offset, panel, next_panel, depth);
/* acc is in registers, so loops over it are unrolled. The loops over its copy need not be: the copy
 * may be in memory. */
#pragma unroll
    for (int i = 0; i < MR; i++)
#pragma unroll
        for (int j = 0; j < NV; j++) acc_copy[i][j] = acc[i][j];
    if (k_begin + depth == K)
        finish(out, acc_copy, e, row, rows, column);
    else
        store_sums(out, acc_copy, e.n, row, rows, column);
}

/* out [m][n] = [residual +] [gate *] activation(a [m][K] x weight^T + bias). weight
 * [ceil(n / NR)][K][NR] and bias [ceil(n / NR) * NR], padded with zeros. The epilogue's
 * arguments: epilogue.clh. Range: [ceil(n / NR)][ceil(m / block_rows)]. The next work-group has the
 * next panel, so that the rows stay in the cache. KC is a multiple of KU, block_rows of MR. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_cpu(global float *out, global const element *a, global const element *weight,
         EPILOGUE_ARGUMENTS, int m, int block_rows)
{
    int column = GROUP_ID(0, 1) * NR, row_begin = GROUP_ID(1, 1) * block_rows;
    int row_end = min(row_begin + block_rows, m);
    global const element *panel = weight + (size_t)column * K;
    const epilogue e = EPILOGUE_OF_ARGUMENTS;
    for (int k_begin = 0; k_begin < K; k_begin += KC) {
        int depth = min(KC, K - k_begin), row = row_begin;
        global const element *panel_part = panel + (size_t)k_begin * NR,
                             *next_part = panel_part + (size_t)depth * NR;
        for (; row + MR <= row_end; row += MR, next_part += KC / KU * CACHE_LINE)
            compute_tile(out, a, panel_part, next_part, e, row, MR, true, column, k_begin, depth);
        if (row < row_end)
            compute_tile(out, a, panel_part, next_part, e, row, row_end - row, false, column,
                         k_begin, depth);
    }
}

#ifdef BF16
/* packed [m][K] = a [m][width] in pairs of bf16; width is 2 K or 2 K - 1. One work-item = one row.
 * Range: [m]. */
kernel void gemm_cpu_round(global int *packed, global const float *a, int width)
{
    packed += get_global_id(0) * K;
    a += get_global_id(0) * width;
    int k = 0;
    for (; k + 16 <= width; k += 16)
        *(global ushort16_unaligned *)(packed + k / 2) =
            to_bf16(*(global const float16_unaligned *)(a + k));
    if (k == width) return;
    float lanes[16];
    for (int j = 0; j < 16; j++) lanes[j] = k + j < width ? a[k + j] : 0.0f;
    ushort rounded[16];
    vstore16(to_bf16(vload16(0, lanes)), 0, rounded);
    for (int j = 0; k / 2 + j < K; j++)
        packed[k / 2 + j] = rounded[2 * j] | rounded[2 * j + 1] << 16;
}
#endif

#else

/* One level of Strassen: 7 block products instead of 8 (Strassen 1969, in Winograd's form with 15
 * additions). Floor: 7/4 m n K FLOP.
 *
 *     a [2h][K]   x   a pair of panels   =   out
 *     A11 A12         B11 B12                C11 C12      p: block product 0 to 6,
 *     A21 A22         B21 B22                C21 C22      listed in combine()
 *
 *     S1 = A21 + A22   S2 = S1 - A11    S3 = A11 - A21   S4 = A12 - S2
 *     T1 = B12 - B11   T2 = B22 - T1    T3 = B22 - B12   T4 = T2 - B21
 *
 * gemm_strassen_sums computes S1 to S4 once. Each work-group computes the T that it needs in its
 * own scratch memory. */
#define H (K / 2)

/* sums [2][h][K] = S1 | S2 above S3 | S4. One work-item = one row. Range: [h]. */
kernel void gemm_strassen_sums(global float *sums, global const float *a, int h)
{
    size_t row = get_global_id(0) * K, below = (size_t)h * K;
    for (int k = 0; k < H; k += VEC) {
        global const float *src = a + row + k;
        V a11 = VLOAD(src), a12 = VLOAD(src + H), a21 = VLOAD(src + below);
        V s1 = a21 + VLOAD(src + below + H), s2 = s1 - a11;
        global float *dst = sums + row + k;
        VSTORE(s1, dst);
        VSTORE(s2, dst + H);
        VSTORE(a11 - a21, dst + below);
        VSTORE(a12 - s2, dst + below + H);
    }
}

/* t [H][NR] = T1, T2, T3 or T4, as `which` says. The left panel is B11 above B21, the right panel
 * B12 above B22. */
INLINE void panel_sums(global float *t, global const float *left_panel,
                       global const float *right_panel, int which)
{
    for (int k = 0; k < H * NR; k += VEC) {
        V b12 = VLOAD(right_panel + k), x = which == 3 ? b12 : b12 - VLOAD(left_panel + k);
        if (which > 1) x = VLOAD(right_panel + H * NR + k) - x;
        if (which == 4) x -= VLOAD(left_panel + H * NR + k);
        VSTORE(x, t + k);
    }
}

/* x = out + sign * x [+ bias], for the tile of out at (row, column) */
INLINE void add_sums(V x[MR][NV], global const float *out, epilogue e, int row, int column,
                     float sign, bool bias)
{
    V stored[MR][NV];
    load_sums(stored, out, e.n, row, MR, column);
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NV; j++) {
            x[i][j] = mad(sign, x[i][j], stored[i][j]);
            if (bias) x[i][j] += VLOAD(e.bias + column + j * VEC);
        }
}

/* Adds a tile x of block product p to out, at row and row + h, column and column + NR. After
 * product 2 C12 holds U2 = A11 B11 + S2 T2; after product 3 C21 and C22 hold U3 = U2 + S3 T3. */
INLINE void combine(global float *out, V x[MR][NV], epilogue e, int p, int row, int h, int column)
{
    V copy[MR][NV];
    int below = row + h, right = column + NR;
    switch (p) {
    case 0: /* A11 B11 */
        store_sums(out, x, e.n, row, MR, column);
        store_sums(out, x, e.n, row, MR, right);
        break;
    case 1: /* A12 B21 */
        add_sums(x, out, e, row, column, 1.0f, true);
        finish(out, x, e, row, MR, column);
        break;
    case 2: /* S2 T2 */
        add_sums(x, out, e, row, right, 1.0f, false);
        store_sums(out, x, e.n, row, MR, right);
        break;
    case 3: /* S3 T3 */
        add_sums(x, out, e, row, right, 1.0f, false);
        store_sums(out, x, e.n, below, MR, column);
        store_sums(out, x, e.n, below, MR, right);
        break;
    case 4: /* S1 T1 */
        for (int i = 0; i < MR; i++)
            for (int j = 0; j < NV; j++) copy[i][j] = x[i][j];
        add_sums(x, out, e, row, right, 1.0f, false);
        store_sums(out, x, e.n, row, MR, right);
        add_sums(copy, out, e, below, right, 1.0f, true);
        finish(out, copy, e, below, MR, right);
        break;
    case 5: /* S4 B22 */
        add_sums(x, out, e, row, right, 1.0f, true);
        finish(out, x, e, row, MR, right);
        break;
    default: /* A22 T4 */
        add_sums(x, out, e, below, column, -1.0f, true);
        finish(out, x, e, below, MR, column);
    }
}

/* out [2h][n] as in gemm_cpu. scratch: the result of gemm_strassen_sums, then [groups][H][NR]. One
 * work-group = one work-item = a pair of panels x block_rows rows in both halves of a. Range:
 * [n / (2 NR)][ceil(h / block_rows)]. n is a multiple of 2 NR, h and block_rows of MR, K of 2 KU
 * and of 2 VEC. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_strassen(global float *out, global const float *a, global float *scratch,
              global const float *weight, EPILOGUE_ARGUMENTS, int h, int block_rows)
{
    int pair = GROUP_ID(0, 1), pairs = n / (2 * NR), block = GROUP_ID(1, 1);
    int column = pair * 2 * NR, row_begin = block * block_rows;
    int row_end = min(row_begin + block_rows, h), row_offset[MR];
    size_t group = (size_t)block * pairs + pair, below = (size_t)h * K;
    global const float *left_panel = weight + (size_t)column * K,
                       *right_panel = left_panel + (size_t)NR * K;
    global const float *sums = scratch;
    global float *t = scratch + 2 * below + group * H * NR;
    const epilogue e = EPILOGUE_OF_ARGUMENTS;
#pragma unroll
    for (int i = 0; i < MR; i++) row_offset[i] = i * K;
    bool last = pair + 1 == pairs;
    for (int p = 0; p < 7; p++) {
        global const float *factor = p == 0   ? a
                                     : p == 1 ? a + H
                                     : p == 2 ? sums + H
                                     : p == 3 ? sums + below
                                     : p == 4 ? sums
                                     : p == 5 ? sums + below + H
                                              : a + below + H;
        global const float *panel = p == 0   ? left_panel
                                    : p == 1 ? left_panel + H * NR
                                    : p == 5 ? right_panel + H * NR
                                             : t;
        if (panel == t)
            panel_sums(t, left_panel, right_panel, p == 2 ? 2 : p == 3 ? 3 : p == 4 ? 1 : 4);
        /* the panels of the next block product are prefetched */
        global const float *prefetched = p == 0   ? left_panel + H * NR
                                         : p == 1 ? right_panel
                                                  : right_panel + 2 * H * NR;
        global const float *prefetch_end = p == 1 ? prefetched + 2 * H * NR : prefetched + H * NR;
        if ((p > 1 && p < 6) || (p == 6 && last)) prefetch_end = prefetched;
        for (int row = row_begin; row < row_end; row += MR) {
            V acc[MR][NV], x[MR][NV];
#pragma unroll
            for (int i = 0; i < MR; i++)
#pragma unroll
                for (int j = 0; j < NV; j++) acc[i][j] = 0.0f;
            for (int i = 0; i < MR; i++)
                for (int j = 0; j < NV; j++) {
                    int c = column + j * VEC;
                    if (p == 1 || p == 0) FETCH_OUT(out + (size_t)(row + i) * n + c);
                    if (p == 0 || (p > 1 && p < 6)) FETCH_OUT(out + (size_t)(row + i) * n + c + NR);
                    if (p == 3 || p == 6) FETCH_OUT(out + (size_t)(row + h + i) * n + c);
                    if (p == 3 || p == 4) FETCH_OUT(out + (size_t)(row + h + i) * n + c + NR);
                }
            accumulate(acc, factor + (size_t)row * K, row_offset, panel,
                       prefetched < prefetch_end ? prefetched : panel, H);
            prefetched += H / KU * CACHE_LINE;
#pragma unroll
            for (int i = 0; i < MR; i++)
#pragma unroll
                for (int j = 0; j < NV; j++) x[i][j] = acc[i][j];
            combine(out, x, e, p, row, h, column);
        }
    }
}
#endif
