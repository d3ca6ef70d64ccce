/* GEMM on matrix tiles (prelude.clh) with a fused epilogue: bf16 inputs, fp32 sums.
 *
 * PARTS 1: inputs are rounded to bf16. PARTS 2: bf16x3: each input is the sum of two bf16 numbers,
 * high and low, and each product is three: low high + high high + high low. Its relative error is
 * about 2^-17.
 *
 * a and weight are packed in tiles of 1 KB. A block is 32 rows x NC = 16 NT columns, whose sums
 * stay in matrix tiles over the loop on k. The epilogue of a block is interleaved with the tile
 * instructions of the next block, since the two use different parts of the processor. Floor: 2 m n
 * k FLOP of the matrix unit; three times that with PARTS 2. Loads from the L2 cache limit the
 * speed, so a work-group's rows of a must stay in L2. Therefore k is cut into chunks, and the sums
 * of all blocks are stored between chunks. Chunks do not change the order of additions.
 *
 * NT: 2, or 3 with PARTS 1 only. HELD: blocks whose sums are stored; 1 if k is one chunk. */

enum { NC = 16 * NT, ROWS = 32, STEP_A = 1024 * PARTS, STEP_W = 32 * NC * PARTS };

/* ---- activations ---- */

/* packed [ceil(m / 32)][steps][PARTS][32 rows][32] = a [m][k] in bf16; 0 beyond m and k; steps =
 * ceil(k / 32). One work-group = one work-item = 32 rows, STEPS steps. */
#ifdef STEPS
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_matrix_pack(global ushort *packed, global const float *a, int m, int k, int steps)
{
    int block = GROUP_ID(1, 1), first = block * ROWS, step = GROUP_ID(0, 1) * STEPS;
    int behind = min(step + STEPS, steps);
    packed += ((size_t)block * steps) * STEP_A;
    for (int i = 0; i < ROWS; i++)
        for (int s = step; s < behind; s++)
            for (int part = 0; part < 2; part++) {
                int column = 32 * s + 16 * part;
                float16 x = first + i < m
                                ? load_some(a + (size_t)(first + i) * k + column, k - column)
                                : 0.0f;
                ushort16 high = to_bf16(x);
                global ushort *to = packed + (size_t)s * STEP_A + i * 32 + 16 * part;
                *(global ushort16_any *)to = high;
#if PARTS == 2
                *(global ushort16_any *)(to + 1024) = to_bf16(x - from_bf16(high));
#endif
            }
}
#else

/* ---- products ---- */

#define GATE_LOAD(p, left) load_some(p, left)
#define RESIDUAL_LOAD(p, left) load_some(p, left)
#include "epilogue.clh"

/* Stores NC columns of row `row` of out, from `column` on, from their sums. */
INLINE void finish_row(global float *out, epilogue e, const float *sums, int row, int column)
{
    epilogue_row r;
    find_row(&r, e, row);
    out += (size_t)row * e.n;
#pragma unroll
    for (int j = 0; j < NC; j += 16) {
        int at = column + j, left = e.n - at;
        if (left <= 0) break;
        float16 x = *(const float16 *)(sums + j) + *(global const float16_unaligned *)(e.bias + at);
        store_some(out + at, apply_epilogue(x, r, at, left), left);
    }
}

/* All MMAs of one step of k, 32 terms. Tiles 0 to 2 NT - 1 have the sums, the upper 16 rows
 * first. */
#if PARTS == 2
#define STEP(a, w) TILE_MMAS_BF16X3(a, 64, 1024, 2048, 3072, w)
#elif NT == 3
#define STEP(a, w)                                                                                 \
    TILE_LOAD(6, a, 0, 64);                                                                        \
    TILE_LOAD(7, w, 0, 64);                                                                        \
    TILE_MMA(0, 6, 7);                                                                             \
    TILE_LOAD(7, w, 1024, 64);                                                                     \
    TILE_MMA(1, 6, 7);                                                                             \
    TILE_LOAD(7, w, 2048, 64);                                                                     \
    TILE_MMA(2, 6, 7);                                                                             \
    TILE_LOAD(6, a, 1024, 64);                                                                     \
    TILE_MMA(5, 6, 7);                                                                             \
    TILE_LOAD(7, w, 1024, 64);                                                                     \
    TILE_MMA(4, 6, 7);                                                                             \
    TILE_LOAD(7, w, 0, 64);                                                                        \
    TILE_MMA(3, 6, 7)
#else
#define STEP(a, w) TILE_MMAS(a, 64, 1024, w)
#endif

/* Applies F(tile, offset of its 16 x 16 sums in [32][NC]) to all tiles of a block. */
#if NT == 3
#define EACH_SUM(F, sums)                                                                          \
    F(0, (sums), 4 * NC);                                                                          \
    F(1, (sums) + 16, 4 * NC);                                                                     \
    F(2, (sums) + 32, 4 * NC);                                                                     \
    F(3, (sums) + 16 * NC, 4 * NC);                                                                \
    F(4, (sums) + 16 * NC + 16, 4 * NC);                                                           \
    F(5, (sums) + 16 * NC + 32, 4 * NC)
#else
#define EACH_SUM(F, sums)                                                                          \
    F(0, (sums), 4 * NC);                                                                          \
    F(1, (sums) + 16, 4 * NC);                                                                     \
    F(2, (sums) + 16 * NC, 4 * NC);                                                                \
    F(3, (sums) + 16 * NC + 16, 4 * NC)
#endif
#define CLEAR(tile, sums, pitch) TILE_ZERO(tile)

/* out [m][n] = [residual +] [gate *] activation(a x weight + bias). a from gemm_matrix_pack; weight
 * [ceil(n / NC)][steps][PARTS][NT][16 pairs][16][2]; bias padded to NC. The epilogue's arguments:
 * epilogue.clh. One work-group = one work-item = NC columns of `blocks` blocks of rows. Work-groups
 * with the same rows follow each other. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_matrix(global float *out, global const ushort *a, global const ushort *weight,
            EPILOGUE_ARGUMENTS, int m, int steps, int chunk, int blocks)
{
    int strip = GROUP_ID(0, 1), first = GROUP_ID(1, 1) * blocks, strips = (n + NC - 1) / NC;
    int behind = min(first + blocks, (m + ROWS - 1) / ROWS);
    const epilogue e = EPILOGUE_OF_ARGUMENTS;
    float sums[HELD * ROWS * NC] __attribute__((aligned(64)));
    global const ushort *w = weight + (size_t)strip * steps * STEP_W;
    TILES_BEGIN();
    int row = 0, end = 0; /* rows in `ready` that wait for their epilogue */
    const float *ready = sums;
    for (int done = 0; done < steps; done += chunk) {
        int here = min(chunk, steps - done), per_step = (ROWS + here - 1) / here;
        /* prefetch a few cache lines of the next weights in each step */
        global const ushort *next = w + (size_t)(done + here) * STEP_W;
        int lines = (NC * PARTS + behind - first - 1) / (behind - first);
        if (strip + 1 == strips && done + here == steps) next = w;
        for (int block = first; block < behind; block++) {
            float *held = sums + (HELD > 1 ? (block - first) * ROWS * NC : 0);
            global const ushort *x = a + ((size_t)block * steps + done) * STEP_A;
            global const ushort *y = w + (size_t)done * STEP_W;
            if (done) {
                EACH_SUM(TILE_RELOAD, held);
            } else {
                EACH_SUM(CLEAR, held);
            }
            for (int s = 0; s < here; s++, x += STEP_A, y += STEP_W) {
                STEP(x, y);
                for (int line = 0; line < lines; line++, next += 32)
                    __builtin_prefetch((const void *)(size_t)next, 0, 2);
                for (int i = 0; i < per_step && row < end; i++, row++, ready += NC)
                    finish_row(out, e, ready, row, strip * NC);
            }
            EACH_SUM(TILE_STORE, held);
            if (done + here < steps) continue;
            row = block * ROWS;
            end = min(row + ROWS, m);
            ready = held;
        }
    }
    for (; row < end; row++, ready += NC) finish_row(out, e, ready, row, strip * NC);
    TILES_END();
}
#endif
