/* GEMM on DPAS (mma.clh) with a fused epilogue. Both factors are fp16, or bf16 with
 * MATRIX_UNIT_BF16; sums are fp32. One work-group = a tile of MT rows x NT columns, in KT steps at
 * a time. One sub-group = WM x WN of the tile, as FM x FN fragments. Floor: 2 m n k FLOP of the
 * matrix unit; three times that with PARTS 2 (bf16x3, see gemm_mma.cl).
 *
 *     local memory, 16-bit numbers: a [PARTS][KT / MMA_K][MT][MMA_K]
 *     weight: [n / MMA_N][depth / MMA_K][PARTS] fragments, [MMA_K / 2][MMA_N][2] each
 *
 * A fragment of a or of the weight is contiguous, so that one block read brings it to its lanes.
 * The weight's fragments come from global memory directly: sub-groups that share columns read them
 * from the cache. The next step's are fetched while this step's are multiplied.
 *
 * READS_FACTORS, WRITES_FACTORS: a, out in 16 bits; see gemm_tiles.clh.
 * Two stages of a are in local memory: the next one is fetched while this one is multiplied.
 * SPLIT: parts of K that are summed by different work-groups; see gemm_tiles.clh.
 * Given by the shape: AV: width of loads from a. TAIL: K is no multiple of KT. WHOLE: rows of out
 * are whole vectors.
 * VEC: consecutive results of a lane, given by the matrix unit. */

#include "mma.clh"

#define KT 32 /* the padding of the weight's depth */
#define WORK_ITEMS (MMA_LANES * (MT / WM) * (NT / WN))
#define FM (WM / MMA_M)
#define FN (WN / MMA_N)
#define PART_NUMBERS MMA_TILE(MT, KT) /* of a stage */
#define STAGE (PARTS * PART_NUMBERS)
#define FRAGMENT_ROW(i) ((i)*MMA_M)

#include "gemm_tiles.clh"
#include "mma_sums.clh"
#include "gemm_fragments.clh"

INLINE void stage_a(local ushort *tile, VA in_flight[A_LOADS], int local_id)
{
#pragma unroll
    for (int load = 0; load < A_LOADS; load++) {
        int vector = local_id + load * WORK_ITEMS;
        if (!HAS_VECTOR(vector, A_VECTORS)) continue;
        int row = vector / A_ROW_VECTORS, part = vector % A_ROW_VECTORS / (KT / AV);
        int step = vector % (KT / AV) * AV;
        local ushort *dst = tile + part * PART_NUMBERS + row * MMA_PITCH(KT) + MMA_STEP(step, MT);
#if READS_FACTORS
        *(local uint4 *)dst = in_flight[load];
#elif AV == 4 && PARTS == 2
        mma_split4(dst, PART_NUMBERS, in_flight[load]);
#elif AV == 4
        mma_round4(dst, in_flight[load]);
#elif PARTS == 2
        mma_split(dst, PART_NUMBERS, in_flight[load]);
#else
        mma_round(dst, in_flight[load]);
#endif
    }
}

/* Arguments and range as in gemm_gpu; the weight's n is padded to GEMM_PANEL, its depth to
 * padded_depth, with zeros. */
MMA_KERNEL kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1))) void
gemm_dpas(global RESULT *out, global const A_NUMBER *a, global const uint *weight,
          EPILOGUE_ARGUMENTS, int m, int depth, int padded_depth)
{
    local ushort a_tile[2 * STAGE] __attribute__((aligned(32)));
    MMA_DECLARE(exchange, WORK_ITEMS)
    int local_id = (int)get_local_id(0), stage = 0;
    int sub_group = MMA_SUB_GROUP(local_id), lane = local_id % MMA_LANES;
    int row_begin = GROUP_ID(1, 1) * MT, column_begin = GROUP_ID(0, WORK_ITEMS) * NT;
    const int k_begin = PART_BEGIN, k_end = PART_END;
    int tile_row = sub_group / (NT / WN) * WM, tile_column = sub_group % (NT / WN) * WN;
    const size_t column_words = (size_t)padded_depth / MMA_K * PARTS * FRAGMENT_WORDS;
    mma_c acc[FM][FN];
    mma_b b[1 + AHEAD][PARTS][FN];
    VA a_in_flight[A_LOADS];
    a += (size_t)row_begin * A_PARTS * depth;
    weight += (column_begin + tile_column) / MMA_N * column_words +
              k_begin / MMA_K * PARTS * FRAGMENT_WORDS;
#pragma unroll
    for (int i = 0; i < FM; i++)
#pragma unroll
        for (int j = 0; j < FN; j++) acc[i][j] = (mma_c)(0.0f);
    fetch_a(a_in_flight, a, local_id, m - row_begin, k_begin, depth);
#if AHEAD
    fetch_b(b[0], weight, column_words, lane);
#endif
    for (int k = k_begin; k < k_end; k += KT) {
        local ushort *a_stage = a_tile + stage * STAGE;
        stage_a(a_stage, a_in_flight, local_id);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (k + KT < k_end) fetch_a(a_in_flight, a, local_id, m - row_begin, k + KT, depth);
#pragma unroll
        for (int step = 0; step < KT; step += MMA_K) {
            int current = AHEAD ? step / MMA_K % 2 : 0;
#if AHEAD
            weight += PARTS * FRAGMENT_WORDS;
            if (step + MMA_K < KT || k + KT < k_end)
                fetch_b(b[1 - current], weight, column_words, lane);
#else
            fetch_b(b[0], weight, column_words, lane);
            weight += PARTS * FRAGMENT_WORDS;
#endif
            multiply_step(acc, a_stage + tile_row * MMA_PITCH(KT) + MMA_STEP(step, MT), b[current],
                          lane, exchange);
        }
        /* all reads of this stage end at the next barrier, before it is written again */
        stage = 1 - stage;
    }
    const epilogue e = EPILOGUE_OF_ARGUMENTS;
    finish_fragments(out + PART * m * n, acc, e, row_begin + tile_row, m,
                     column_begin + tile_column, lane);
}
