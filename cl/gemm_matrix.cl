/* GEMM on AMX tiles (prelude.clh) with a fused epilogue: bf16 inputs, fp32 sums. One work-group =
 * one work-item = NC columns of `blocks` blocks of 32 rows.
 *
 * PARTS 1: inputs are rounded to bf16. PARTS 2: bf16x3: each input is the sum of two bf16 numbers,
 * high and low, and each product is three: high low + high high + low high. Its relative error is
 * about 2^-17.
 *
 *     a block, NT = 3:   tile 0  tile 1  tile 2      sums of 32 rows x NC = 16 NT columns
 *                        tile 3  tile 4  tile 5      tile 6: one of a; tile 7: one of weight
 *
 * a and weight are packed in tiles of 1 KB: 16 rows of 32 bf16. The sums of a block stay in tiles
 * over the loop on k. The epilogue of a block is interleaved with the tile instructions of the next
 * block, since the two use different parts of the processor. Floor: 2 m n k FLOP of the matrix
 * unit; three times that with PARTS 2. Loads from the L2 cache limit the speed, so a work-group's
 * rows of a must stay in L2. Therefore k is cut into chunks, and the sums of all blocks are stored
 * between chunks. Chunks do not change the order of additions.
 *
 * NT: 2, or 3 with PARTS 1 only. HELD: blocks whose sums are stored; 1 if k is one chunk. */

enum { NC = 16 * NT, ROWS = 32, STEP_A = 1024 * PARTS, STEP_W = 32 * NC * PARTS };

/* ---- activations ---- */

/* packed [ceil(m / 32)][steps][PARTS][32 rows][32] = a [m][k] in bf16; 0 beyond m and k; steps =
 * ceil(k / 32). One work-group = one work-item = 32 rows, STEPS steps. Range:
 * [ceil(steps / STEPS)][ceil(m / 32)]. */
#ifdef STEPS
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_matrix_pack(global ushort *packed, global const float *a, int m, int k, int steps)
{
    int block = GROUP_ID(1, 1), row_begin = block * ROWS, step = GROUP_ID(0, 1) * STEPS;
    int step_end = min(step + STEPS, steps);
    packed += ((size_t)block * steps) * STEP_A;
    for (int i = 0; i < ROWS; i++)
        for (int s = step; s < step_end; s++)
            for (int half_ = 0; half_ < 2; half_++) {
                int column = 32 * s + 16 * half_;
                float16 x = row_begin + i < m
                                ? load_some(a + (size_t)(row_begin + i) * k + column, k - column)
                                : 0.0f;
                ushort16 high = to_bf16(x);
                global ushort *dst = packed + (size_t)s * STEP_A + i * 32 + 16 * half_;
                *(global ushort16_unaligned *)dst = high;
#if PARTS == 2
                *(global ushort16_unaligned *)(dst + 1024) = to_bf16(x - from_bf16(high));
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

/* All MMAs of 32 steps of k. Tiles 0 to NT - 1 have the sums of the upper 16 rows, tiles NT to
 * 2 NT - 1 those of the lower 16. */
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

/* F(tile, where its 16 x 16 sums begin in sums [32][NC], bytes of a row) for all tiles of a
 * block. */
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
 * epilogue.clh. Range: [ceil(n / NC)][ceil(ceil(m / 32) / blocks)]; work-groups with the same rows
 * follow each other. chunk: steps of a chunk. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
gemm_matrix(global float *out, global const ushort *a, global const ushort *weight,
            EPILOGUE_ARGUMENTS, int m, int steps, int chunk, int blocks)
{
    int panel = GROUP_ID(0, 1), block_begin = GROUP_ID(1, 1) * blocks, panels = (n + NC - 1) / NC;
    int block_end = min(block_begin + blocks, (m + ROWS - 1) / ROWS);
    const epilogue e = EPILOGUE_OF_ARGUMENTS;
    float sums[HELD * ROWS * NC] __attribute__((aligned(64)));
    global const ushort *w = weight + (size_t)panel * steps * STEP_W;
    TILES_BEGIN();
    int pending_row = 0, pending_end = 0; /* rows whose sums are ready and wait for the epilogue */
    const float *pending = sums;
    for (int step_begin = 0; step_begin < steps; step_begin += chunk) {
        int chunk_steps = min(chunk, steps - step_begin);
        int rows_per_step = (ROWS + chunk_steps - 1) / chunk_steps;
        /* each step prefetches a few cache lines of the next chunk's weights */
        global const ushort *prefetched = w + (size_t)(step_begin + chunk_steps) * STEP_W;
        int lines_per_step = (NC * PARTS + block_end - block_begin - 1) / (block_end - block_begin);
        if (panel + 1 == panels && step_begin + chunk_steps == steps) prefetched = w;
        for (int block = block_begin; block < block_end; block++) {
            float *block_sums = sums + (HELD > 1 ? (block - block_begin) * ROWS * NC : 0);
            global const ushort *a_tiles = a + ((size_t)block * steps + step_begin) * STEP_A;
            global const ushort *w_tiles = w + (size_t)step_begin * STEP_W;
            if (step_begin) {
                EACH_SUM(TILE_RELOAD, block_sums);
            } else {
                EACH_SUM(CLEAR, block_sums);
            }
            for (int s = 0; s < chunk_steps; s++, a_tiles += STEP_A, w_tiles += STEP_W) {
                STEP(a_tiles, w_tiles);
                for (int line = 0; line < lines_per_step; line++, prefetched += 32)
                    __builtin_prefetch((const void *)(size_t)prefetched, 0, 2);
                for (int i = 0; i < rows_per_step && pending_row < pending_end;
                     i++, pending_row++, pending += NC)
                    finish_row(out, e, pending, pending_row, panel * NC);
            }
            EACH_SUM(TILE_STORE, block_sums);
            if (step_begin + chunk_steps < steps) continue;
            pending_row = block * ROWS;
            pending_end = min(pending_row + ROWS, m);
            pending = block_sums;
        }
    }
    for (; pending_row < pending_end; pending_row++, pending += NC)
        finish_row(out, e, pending, pending_row, panel * NC);
    TILES_END();
}
#endif
