/* GEMM for CPUs with a fused epilogue. One work-item owns a block of rows of one panel of NR = NV *
 * VEC columns. It works through the block in tiles of MR rows, whose sums stay in registers. K is
 * cut into parts of KC, so that the block of rows and the panel's part stay in the L2 cache.
 * Between parts the sums are in `out`. Each sum is one chain of K additions, so MR, NV, KC and KU
 * do not change the bits of the result. Floor: 2 m n k FLOP.
 *
 * PREFETCH: 0 or 1.
 * K: the depth; a constant, so that rows are constant distances apart. KU: steps of K unrolled.
 * BF16: inputs are pairs of bf16; one instruction multiplies both numbers of a pair and adds both
 * products. K counts pairs. */

#ifdef BF16
typedef int element;
#define VE int16
#define VE_LOAD(p) (*(global const VE_ANY *)(p))
#define MULTIPLY(x, b, sum) dot_pairs(x, b, sum)
typedef int VE_ANY __attribute__((ext_vector_type(16), aligned(4)));
#else
typedef float element;
#define VE V
#define VE_LOAD(p) VLOAD(p)
#define MULTIPLY(x, b, sum) mad(x, b, sum)
#endif

#define NR (NV * VEC)
#define LINE 16 /* floats of a cache line */
#define LINES_AHEAD ((KU * MR + LINE - 1) / LINE)

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
INLINE void store_part(global float *to, V value, int left)
{
    if (left >= VEC) {
        VSTORE(value, to);
        return;
    }
    float lane[VEC];
    VSTORE(value, lane);
    for (int j = 0; j < left; j++) to[j] = lane[j];
}

INLINE V load_part(global const float *from, int left)
{
    if (left >= VEC) return VLOAD(from);
    float lane[VEC];
    for (int j = 0; j < VEC; j++) lane[j] = j < left ? from[j] : 0.0f;
    return VLOAD(lane);
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

/* sum += the rows of a that begin at `at`, times `depth` steps of a panel from w on. Prefetches the
 * rows of a behind these, and the panel at `next`. */
INLINE void accumulate(V sum[MR][NV], global const element *a, const int at[MR],
                       global const element *w, global const element *next, int depth)
{
    int k = 0;
    for (; k + KU <= depth; k += KU, a += KU, w += KU * NR, next += LINE) {
#pragma unroll
        /* one cache line each of the next tile's rows, in turn */
        for (int p = 0; p < LINES_AHEAD; p++)
            FETCH_NEAR(a + (MR + (k / KU * LINES_AHEAD + p) % MR) * K);
        FETCH_FAR(next);
#pragma unroll
        for (int u = 0; u < KU; u++) {
            VE b[NV];
#pragma unroll
            for (int j = 0; j < NV; j++) b[j] = VE_LOAD(w + u * NR + j * VEC);
#pragma unroll
            for (int i = 0; i < MR; i++) {
                VE x = a[at[i] + u];
#pragma unroll
                for (int j = 0; j < NV; j++) sum[i][j] = MULTIPLY(x, b[j], sum[i][j]);
            }
        }
    }
#if K % KU
    for (; k < depth; k++, a++, w += NR)
#pragma unroll
        for (int i = 0; i < MR; i++) {
            VE x = a[at[i]];
#pragma unroll
            for (int j = 0; j < NV; j++) sum[i][j] = MULTIPLY(x, VE_LOAD(w + j * VEC), sum[i][j]);
        }
#endif
}

#ifndef STRASSEN

/* Computes MR rows of a from `row` on, of which `rows` exist, times a part of the panel: `depth`
 * steps of K from step `begin` on, at w. full: a constant, true if rows is MR. next: the panel to
 * prefetch. */
INLINE void tile(global float *out, global const element *a, global const element *w,
                 global const element *next, epilogue e, int row, int rows, bool full, int column,
                 int begin, int depth)
{
    V sum[MR][NV], rest[MR][NV];
    int at[MR]; /* rows that do not exist repeat the last row and are not stored */
    if (begin > 0) load_sums(rest, out, e.n, row, rows, column);
#pragma unroll
    for (int i = 0; i < MR; i++) {
        at[i] = (full ? i : min(i, rows - 1)) * K;
#pragma unroll
        for (int j = 0; j < NV; j++) {
            sum[i][j] = begin > 0 ? rest[i][j] : VLOAD(e.bias + column + j * VEC);
            FETCH_OUT(out + (size_t)(row + i) * e.n + column + j * VEC);
        }
    }
    accumulate(sum, a + (size_t)row * K + begin, at, w, next, depth);
/* rest, unlike sum, may be in memory, so the loops over it are not unrolled */
#pragma unroll
    for (int i = 0; i < MR; i++)
#pragma unroll
        for (int j = 0; j < NV; j++) rest[i][j] = sum[i][j];
    if (begin + depth == K)
        finish(out, rest, e, row, rows, column);
    else
        store_sums(out, rest, e.n, row, rows, column);
}

/* out [m][n] = [residual +] [gate *] activation(a [m][K] x weight^T + bias). weight
 * [ceil(n / NR)][K][NR] and bias [ceil(n / NR) * NR], padded with zeros. The epilogue's
 * arguments: epilogue.clh. One work-group = one work-item = one panel x block_rows rows. The next
 * work-group has the next panel, so that the rows stay in the cache. KC is a multiple of KU,
 * block_rows of MR.
 */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_cpu(global float *out, global const element *a, global const element *weight,
         EPILOGUE_ARGUMENTS, int m, int block_rows)
{
    int column = GROUP_ID(0, 1) * NR, first = GROUP_ID(1, 1) * block_rows;
    int end = min(first + block_rows, m);
    global const element *panel = weight + (size_t)column * K;
    const epilogue e = EPILOGUE_OF_ARGUMENTS;
    for (int k = 0; k < K; k += KC) {
        int depth = min(KC, K - k), row = first;
        global const element *w = panel + (size_t)k * NR, *next = w + (size_t)depth * NR;
        for (; row + MR <= end; row += MR, next += KC / KU * LINE)
            tile(out, a, w, next, e, row, MR, true, column, k, depth);
        if (row < end) tile(out, a, w, next, e, row, end - row, false, column, k, depth);
    }
}

#ifdef BF16
/* packed [m][K] = a [m][width] in pairs of bf16; width is 2 K or 2 K - 1. One work-item = one
 * row. */
kernel void gemm_cpu_round(global int *packed, global const float *a, int width)
{
    packed += get_global_id(0) * K;
    a += get_global_id(0) * width;
    int k = 0;
    for (; k + 16 <= width; k += 16)
        *(global ushort16_any *)(packed + k / 2) =
            to_bf16(*(global const float16_unaligned *)(a + k));
    if (k == width) return;
    float lane[16];
    for (int j = 0; j < 16; j++) lane[j] = k + j < width ? a[k + j] : 0.0f;
    ushort rounded[16];
    vstore16(to_bf16(vload16(0, lane)), 0, rounded);
    for (int j = 0; k / 2 + j < K; j++)
        packed[k / 2 + j] = rounded[2 * j] | rounded[2 * j + 1] << 16;
}
#endif

#else

/* One level of Strassen: 7 block products instead of 8 (Strassen 1969, in Winograd's form with 15
 * additions). a [2h][K] is A11 A12 above A21 A22; a pair of panels is B11 B12 above B21 B22; out,
 * for the same rows and columns, is C11 C12 above C21 C22. gemm_strassen_sums computes the sums of
 * blocks of a. Each work-group computes the sums of panels that it needs in its own scratch memory.
 * Floor: 7/4 m n k FLOP. */
#define H (K / 2)

/* sums [2][h][K] = S1 | S2 above S3 | S4, where S1 = A21 + A22, S2 = S1 - A11, S3 = A11 - A21, S4 =
 * A12 - S2. One work-item = one row. */
kernel void gemm_strassen_sums(global float *sums, global const float *a, int h)
{
    size_t row = get_global_id(0) * K, below = (size_t)h * K;
    for (int k = 0; k < H; k += VEC) {
        global const float *from = a + row + k;
        V a11 = VLOAD(from), a12 = VLOAD(from + H), a21 = VLOAD(from + below);
        V s1 = a21 + VLOAD(from + below + H), s2 = s1 - a11;
        global float *to = sums + row + k;
        VSTORE(s1, to);
        VSTORE(s2, to + H);
        VSTORE(a11 - a21, to + below);
        VSTORE(a12 - s2, to + below + H);
    }
}

/* t [H][NR] = T1 = B12 - B11, T2 = B22 - T1, T3 = B22 - B12 or T4 = T2 - B21. Panel p1 is B11 above
 * B21, p2 is B12 above B22. */
INLINE void panel_sums(global float *t, global const float *p1, global const float *p2, int which)
{
    for (int k = 0; k < H * NR; k += VEC) {
        V b12 = VLOAD(p2 + k), x = which == 3 ? b12 : b12 - VLOAD(p1 + k);
        if (which > 1) x = VLOAD(p2 + H * NR + k) - x;
        if (which == 4) x -= VLOAD(p1 + H * NR + k);
        VSTORE(x, t + k);
    }
}

/* x = out + sign * x [+ bias], for the tile of out at (row, column) */
INLINE void add_sums(V x[MR][NV], global const float *out, epilogue e, int row, int column,
                     float sign, bool bias)
{
    V rest[MR][NV];
    load_sums(rest, out, e.n, row, MR, column);
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NV; j++) {
            x[i][j] = mad(sign, x[i][j], rest[i][j]);
            if (bias) x[i][j] += VLOAD(e.bias + column + j * VEC);
        }
}

/* Adds a tile x of block product p to out, at row and row + h, column and column + NR. Between the
 * products C12 holds U2 = A11 B11 + S2 T2; C21 and C22 hold U3 = U2 + S3 T3. */
INLINE void combine(global float *out, V x[MR][NV], epilogue e, int p, int row, int h, int column)
{
    V same[MR][NV];
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
            for (int j = 0; j < NV; j++) same[i][j] = x[i][j];
        add_sums(x, out, e, row, right, 1.0f, false);
        store_sums(out, x, e.n, row, MR, right);
        add_sums(same, out, e, below, right, 1.0f, true);
        finish(out, same, e, below, MR, right);
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
 * work-group = one work-item = a pair of panels x block_rows rows in both halves of a. n is a
 * multiple of 2 NR, h and block_rows of MR, K of 2 KU and of 2 VEC. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_strassen(global float *out, global const float *a, global float *scratch,
              global const float *weight, EPILOGUE_ARGUMENTS, int h, int block_rows)
{
    int pair = GROUP_ID(0, 1), pairs = n / (2 * NR), block = GROUP_ID(1, 1);
    int column = pair * 2 * NR, first = block * block_rows;
    int end = min(first + block_rows, h), at[MR];
    size_t group = (size_t)block * pairs + pair, below = (size_t)h * K;
    global const float *p1 = weight + (size_t)column * K, *p2 = p1 + (size_t)NR * K;
    global const float *sums = scratch;
    global float *t = scratch + 2 * below + group * H * NR;
    const epilogue e = EPILOGUE_OF_ARGUMENTS;
#pragma unroll
    for (int i = 0; i < MR; i++) at[i] = i * K;
    bool last = pair + 1 == pairs;
    for (int p = 0; p < 7; p++) {
        global const float *left = p == 0   ? a
                                   : p == 1 ? a + H
                                   : p == 2 ? sums + H
                                   : p == 3 ? sums + below
                                   : p == 4 ? sums
                                   : p == 5 ? sums + below + H
                                            : a + below + H;
        global const float *w = p == 0 ? p1 : p == 1 ? p1 + H * NR : p == 5 ? p2 + H * NR : t;
        if (w == t) panel_sums(t, p1, p2, p == 2 ? 2 : p == 3 ? 3 : p == 4 ? 1 : 4);
        /* prefetch the panels of the next block product */
        global const float *next = p == 0 ? p1 + H * NR : p == 1 ? p2 : p2 + 2 * H * NR;
        global const float *behind = p == 1 ? next + 2 * H * NR : next + H * NR;
        if ((p > 1 && p < 6) || (p == 6 && last)) behind = next;
        for (int row = first; row < end; row += MR) {
            V sum[MR][NV], x[MR][NV];
#pragma unroll
            for (int i = 0; i < MR; i++)
#pragma unroll
                for (int j = 0; j < NV; j++) sum[i][j] = 0.0f;
            for (int i = 0; i < MR; i++)
                for (int j = 0; j < NV; j++) {
                    int c = column + j * VEC;
                    if (p == 1 || p == 0) FETCH_OUT(out + (size_t)(row + i) * n + c);
                    if (p == 0 || (p > 1 && p < 6)) FETCH_OUT(out + (size_t)(row + i) * n + c + NR);
                    if (p == 3 || p == 6) FETCH_OUT(out + (size_t)(row + h + i) * n + c);
                    if (p == 3 || p == 4) FETCH_OUT(out + (size_t)(row + h + i) * n + c + NR);
                }
            accumulate(sum, left + (size_t)row * K, at, w, next < behind ? next : w, H);
            next += H / KU * LINE;
#pragma unroll
            for (int i = 0; i < MR; i++)
#pragma unroll
                for (int j = 0; j < NV; j++) x[i][j] = sum[i][j];
            combine(out, x, e, p, row, h, column);
        }
    }
}
#endif
