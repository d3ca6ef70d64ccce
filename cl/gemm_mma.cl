/* GEMM on matrix units (mma.clh) with a fused epilogue. Both factors are fp16, or bf16 with
 * MATRIX_UNIT_BF16; sums are fp32. One work-group = a tile of MT rows x NT columns, in steps of KT.
 * One sub-group = WM x WN of the tile, as FM x FN fragments. Floor: 2 m n k FLOP of the matrix
 * unit; three times that with PARTS 2.
 *
 *     local memory, 16-bit numbers: a [MT][PITCH], b [NT][PITCH]
 *     a row: KT steps, high parts | KT steps, low parts (PARTS 2) | 8 of padding
 *
 * PARTS: 1, or 2 for bf16x3: each input is the sum of two bf16 numbers, high and low, and each
 * product is three: low high + high low + high high. Its relative error is about 2^-17.
 * READS_FACTORS, WRITES_FACTORS: a, out in 16 bits; see gemm_tiles.clh.
 * DB: double-buffered: the next step is fetched while this step is multiplied.
 * SPLIT: parts of K that are summed by different work-groups; see gemm_tiles.clh.
 * Given by the shape: AV: width of loads from a. TAIL: K is no multiple of KT. WHOLE: rows of out
 * are whole vectors.
 * VEC: consecutive results of a lane, given by the matrix unit. */

#include "mma.clh"

#define WORK_ITEMS (MMA_LANES * (MT / WM) * (NT / WN))
#define FM (WM / MMA_M)
#define FN (WN / MMA_N)
#define PART_VECTORS (KT / 8) /* vectors of 8 numbers in one part of a local row */
#define ROW_VECTORS (PARTS * PART_VECTORS)
#define PITCH (PARTS * KT + 8) /* of local rows; the padding lets rows begin in different banks */
#define PITCH_WORDS (PITCH / 2)
#define STEPS KT
#define FRAGMENT_ROW(i) ((i)*MMA_M)

#include "gemm_tiles.clh"
#include "mma_sums.clh"

#define B_VECTORS (NT * ROW_VECTORS)
#define B_LOADS LOADS(B_VECTORS)

INLINE void stage_a(local ushort *tile, VA in_flight[A_LOADS], int local_id)
{
#pragma unroll
    for (int load = 0; load < A_LOADS; load++) {
        int vector = local_id + load * WORK_ITEMS;
        if (!HAS_VECTOR(vector, A_VECTORS)) continue;
        local ushort *dst = tile + vector / A_ROW_VECTORS * PITCH + vector % A_ROW_VECTORS * AV;
#if READS_FACTORS
        *(local uint4 *)dst = in_flight[load];
#elif AV == 4 && PARTS == 2
        mma_split4(dst, KT, in_flight[load]);
#elif AV == 4
        mma_round4(dst, in_flight[load]);
#elif PARTS == 2
        mma_split(dst, KT, in_flight[load]);
#else
        mma_round(dst, in_flight[load]);
#endif
    }
}

INLINE void fetch_b(uint4 in_flight[B_LOADS], global const ushort *w, int local_id, int k,
                    int padded_depth)
{
#pragma unroll
    for (int load = 0; load < B_LOADS; load++) {
        int vector = local_id + load * WORK_ITEMS;
        if (!HAS_VECTOR(vector, B_VECTORS)) continue;
        int row = vector / ROW_VECTORS * PARTS + vector % ROW_VECTORS / PART_VECTORS;
        in_flight[load] =
            *(global const uint4 *)(w + (size_t)row * padded_depth + k + vector % PART_VECTORS * 8);
    }
}

INLINE void stage_b(local ushort *tile, uint4 in_flight[B_LOADS], int local_id)
{
#pragma unroll
    for (int load = 0; load < B_LOADS; load++) {
        int vector = local_id + load * WORK_ITEMS;
        if (!HAS_VECTOR(vector, B_VECTORS)) continue;
        *(local uint4 *)(tile + vector / ROW_VECTORS * PITCH + vector % ROW_VECTORS * 8) =
            in_flight[load];
    }
}

/* row, column: the matrix unit's first sum. */
INLINE void finish_fragments(global OUT_NUMBER *out, mma_c sum[FM][FN], epilogue e, int row, int m,
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
                finish(out + (size_t)at * OUT_PARTS * e.n, r, VLOAD(x[j] + c), e,
                       column + j * MMA_N + MMA_COLUMN(lane, c));
        }
    }
}

/* Arguments and range as in gemm_gpu; weight [n padded to GEMM_PANEL][PARTS][padded_depth], padded
 * with zeros. */
MMA_KERNEL kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1))) void
gemm_mma(global OUT_NUMBER *out, global const A_NUMBER *a, global const ushort *weight,
         EPILOGUE_ARGUMENTS, int m, int depth, int padded_depth)
{
    local ushort a_tile[(1 + DB) * MT * PITCH] __attribute__((aligned(16)));
    local ushort b_tile[(1 + DB) * NT * PITCH] __attribute__((aligned(16)));
    MMA_DECLARE(exchange, WORK_ITEMS)
    int local_id = (int)get_local_id(0), stage = 0;
    int sub_group = local_id / MMA_LANES, lane = local_id % MMA_LANES;
    int row_begin = GROUP_ID(1, 1) * MT, column_begin = GROUP_ID(0, WORK_ITEMS) * NT;
    const int k_begin = PART_BEGIN, k_end = PART_END;
    int tile_row = sub_group / (NT / WN) * WM, tile_column = sub_group % (NT / WN) * WN;
    mma_c acc[FM][FN];
    VA a_in_flight[A_LOADS];
    uint4 b_in_flight[B_LOADS];
    a += (size_t)row_begin * A_PARTS * depth;
    weight += (size_t)column_begin * PARTS * padded_depth;
#pragma unroll
    for (int i = 0; i < FM; i++)
#pragma unroll
        for (int j = 0; j < FN; j++) acc[i][j] = (mma_c)(0.0f);
    fetch_a(a_in_flight, a, local_id, m - row_begin, k_begin, depth);
    fetch_b(b_in_flight, weight, local_id, k_begin, padded_depth);
    for (int k = k_begin; k < k_end; k += KT) {
        local ushort *a_stage = a_tile + stage * MT * PITCH, *b_stage = b_tile + stage * NT * PITCH;
#if !DB
        barrier(CLK_LOCAL_MEM_FENCE); /* all work-items have finished reading the last step */
#endif
        stage_a(a_stage, a_in_flight, local_id);
        stage_b(b_stage, b_in_flight, local_id);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (k + KT < k_end) {
            fetch_a(a_in_flight, a, local_id, m - row_begin, k + KT, depth);
            fetch_b(b_in_flight, weight, local_id, k + KT, padded_depth);
        }
        accumulate(acc, (local const uint *)a_stage + tile_row * PITCH_WORDS,
                   (local const uint *)b_stage + tile_column * PITCH_WORDS, lane, exchange);
#if DB
        /* all reads of this stage end at the next barrier, before it is written again */
        stage = 1 - stage;
#endif
    }
    const epilogue e = EPILOGUE_OF_ARGUMENTS;
    finish_fragments(out + PART * m * n, acc, e, row_begin + tile_row, m,
                     column_begin + tile_column, lane);
}
