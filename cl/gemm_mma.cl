/* GEMM on matrix units (mma.clh) with a fused epilogue. Both factors are fp16, or bf16 with
 * MATRIX_UNIT_BF16; sums are fp32. A work-group computes a tile of MT rows and NT columns in steps
 * of KT; a matrix unit computes WM x WN of it. Floor: 2 m n k FLOP of the matrix unit; three times
 * that with PARTS 2.
 *
 * PARTS: 1, or 2 for bf16x3: each input is the sum of two bf16 numbers, high and low, and each
 * product is three: low high + high low + high high. Its relative error is about 2^-17.
 * DB: double-buffered; the next step is fetched while this step is multiplied.
 * SPLIT: parts of K that are summed by different work-groups; see gemm_tiles.clh.
 * Given by the shape: AV: width of loads from a. TAIL: K is no multiple of KT. WHOLE: rows of out
 * are whole vectors.
 * VEC: consecutive results of a lane, given by the matrix unit. */

#include "mma.clh"

#define WORK_ITEMS (MMA_LANES * (MT / WM) * (NT / WN))
#define FM (WM / MMA_M)
#define FN (WN / MMA_N)
#define PART_VECTORS (KT / 8) /* vectors of 8 numbers in a row's part of a step */
#define ROW_VECTORS (PARTS * PART_VECTORS)
#define ROW (PARTS * KT + 8) /* row pitch: rows begin in different banks */
#define WORDS (ROW / 2)
#define STEPS KT
#define APART(i) ((i)*MMA_M)

#include "gemm_tiles.clh"
#include "mma_sums.clh"

#define B_VECTORS (NT * ROW_VECTORS)
#define B_LOADS LOADS(B_VECTORS)

INLINE void keep_a(local ushort *tile, VA part[A_LOADS], int me)
{
#pragma unroll
    for (int l = 0; l < A_LOADS; l++) {
        int v = me + l * WORK_ITEMS;
        if (!MINE(v, A_VECTORS)) continue;
        local ushort *to = tile + v / (KT / AV) * ROW + v % (KT / AV) * AV;
#if AV == 4 && PARTS == 2
        mma_split4(to, KT, part[l]);
#elif AV == 4
        mma_round4(to, part[l]);
#elif PARTS == 2
        mma_split(to, KT, part[l]);
#else
        mma_round(to, part[l]);
#endif
    }
}

INLINE void fetch_b(uint4 part[B_LOADS], global const ushort *w, int me, int k, int padded_depth)
{
#pragma unroll
    for (int l = 0; l < B_LOADS; l++) {
        int v = me + l * WORK_ITEMS;
        if (!MINE(v, B_VECTORS)) continue;
        int row = v / ROW_VECTORS * PARTS + v % ROW_VECTORS / PART_VECTORS;
        part[l] =
            *(global const uint4 *)(w + (size_t)row * padded_depth + k + v % PART_VECTORS * 8);
    }
}

INLINE void keep_b(local ushort *tile, uint4 part[B_LOADS], int me)
{
#pragma unroll
    for (int l = 0; l < B_LOADS; l++) {
        int v = me + l * WORK_ITEMS;
        if (!MINE(v, B_VECTORS)) continue;
        *(local uint4 *)(tile + v / ROW_VECTORS * ROW + v % ROW_VECTORS * 8) = part[l];
    }
}

/* row, column: the matrix unit's first sum. */
INLINE void finish_fragments(global float *out, mma_c sum[FM][FN], epilogue e, int row, int m,
                             int column, int lane)
{
#pragma unroll
    for (int i = 0; i < FM; i++) {
        float x[FN][MMA_C];
#pragma unroll
        for (int j = 0; j < FN; j++) mma_values(x[j], sum[i][j]);
#pragma unroll
        for (int c = 0; c < MMA_C; c += VEC) {
            int at = row + i * MMA_M + MMA_ROW(lane, c);
            if (at >= m) continue;
            epilogue_row r;
            find_row(&r, e, at);
#pragma unroll
            for (int j = 0; j < FN; j++)
                finish(out + (size_t)at * e.n, r, VLOAD(x[j] + c), e,
                       column + j * MMA_N + MMA_COLUMN(lane, c));
        }
    }
}

/* Arguments as in gemm_gpu; weight [n padded to 128][PARTS][padded_depth], padded with zeros. */
MMA_KERNEL kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1))) void
gemm_mma(global float *out, global const float *a, global const ushort *weight, EPILOGUE_ARGUMENTS,
         int m, int depth, int padded_depth)
{
    local ushort a_tile[(1 + DB) * MT * ROW] __attribute__((aligned(16)));
    local ushort b_tile[(1 + DB) * NT * ROW] __attribute__((aligned(16)));
    MMA_DECLARE(exchange, WORK_ITEMS)
    int me = (int)get_local_id(0), unit = me / MMA_LANES, lane = me % MMA_LANES, stage = 0;
    int first = GROUP_ID(1, 1) * MT, column = GROUP_ID(0, WORK_ITEMS) * NT;
    const int from = PART_FROM, end = PART_END;
    int row = unit / (NT / WN) * WM, wide = unit % (NT / WN) * WN; /* in the tile */
    mma_c sum[FM][FN];
    VA a_part[A_LOADS];
    uint4 b_part[B_LOADS];
    a += (size_t)first * depth;
    weight += (size_t)column * PARTS * padded_depth;
#pragma unroll
    for (int i = 0; i < FM; i++)
#pragma unroll
        for (int j = 0; j < FN; j++) sum[i][j] = (mma_c)(0.0f);
    fetch_a(a_part, a, me, m - first, from, depth);
    fetch_b(b_part, weight, me, from, padded_depth);
    for (int k = from; k < end; k += KT) {
        local ushort *a_now = a_tile + stage * MT * ROW, *b_now = b_tile + stage * NT * ROW;
#if !DB
        barrier(CLK_LOCAL_MEM_FENCE); /* all work-items have finished with the step before */
#endif
        keep_a(a_now, a_part, me);
        keep_b(b_now, b_part, me);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (k + KT < end) {
            fetch_a(a_part, a, me, m - first, k + KT, depth);
            fetch_b(b_part, weight, me, k + KT, padded_depth);
        }
        accumulate(sum, (local const uint *)a_now + row * WORDS,
                   (local const uint *)b_now + wide * WORDS, lane, exchange);
#if DB
        /* the next barrier ends all reads of this buffer before it is written again */
        stage = 1 - stage;
#endif
    }
    const epilogue e = EPILOGUE_OF_ARGUMENTS;
    finish_fragments(out + PART * m * n, sum, e, first + row, m, column + wide, lane);
}
