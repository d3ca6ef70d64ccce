/* GEMM on matrix units (mma.clh) with a fused epilogue. Both factors are fp16, or bf16 with
 * MATRIX_UNIT_BF16; sums are fp32. One work-group = a tile of MT rows x NT columns, in steps of KT.
 * One sub-group = WM x WN of the tile, as FM x FN fragments. Floor: 2 m n k FLOP of the matrix
 * unit; three times that with PARTS 2.
 *
 *     local memory, 16-bit numbers: STAGES times a [MT][PITCH], b [NT][PITCH]
 *     a row: KT steps, high parts | KT steps, low parts (PARTS 2) | 8 of padding, if not ASYNC
 *
 * PARTS: 1, or 2 for bf16x3: each input is the sum of two bf16 numbers, high and low, and each
 * product is three: low high + high low + high high. Its relative error is about 2^-17.
 * READS_FACTORS, WRITES_FACTORS: a, out in 16 bits; see gemm_tiles.clh.
 * DB: steps that are fetched while a step is multiplied. More than 1 need ASYNC.
 * ASYNC: 16-bit inputs go to local memory by asynchronous copies, without registers. The rows there
 * have no padding; their slots of 16 bytes are swizzled (mma.clh).
 * SPLIT: parts of K that are summed by different work-groups; see gemm_tiles.clh.
 * Given by the shape: AV: width of loads from a. TAIL: K is no multiple of KT. WHOLE: rows of out
 * are whole vectors.
 * VEC: consecutive results of a lane, given by the matrix unit. */

#include "layout.clh"
#include "mma.clh"

#define WORK_ITEMS (MMA_LANES * (MT / WM) * (NT / WN))
#define FM (WM / MMA_M)
#define FN (WN / MMA_N)
#define PART_VECTORS (KT / 8) /* vectors of 8 numbers in one part of a local row */
#define ROW_VECTORS (PARTS * PART_VECTORS)
#define ASYNC (MMA_ASYNC && DB > 0)
#if ASYNC
#define STAGES (DB + 1)
#define PITCH (PARTS * KT)
#define SWIZZLED_A 1
#define SWIZZLED_B 1
#define SLOT(row, slot) MMA_SLOT(slot, row, ROW_VECTORS)
#else
#define STAGES (DB ? 2 : 1)
#define PITCH (PARTS * KT + 8) /* of local rows; the padding lets rows begin in different banks */
#define SLOT(row, slot) (slot)
#endif
/* the place of 8 numbers in local memory, the multiple `slot` of 8 of their row */
#define PLACE(tile, row, slot) ((tile) + (row)*PITCH + SLOT(row, slot) * 8)
#define PITCH_WORDS (PITCH / 2)
#define B_PITCH_WORDS PITCH_WORDS
#define STEPS KT
#define FRAGMENT_ROW(i) ((i)*MMA_M)

#include "gemm_tiles.clh"
#include "mma_sums.clh"
#include "gemm_fragments.clh"

#define B_VECTORS (NT * ROW_VECTORS)
#define B_LOADS LOADS(B_VECTORS)

INLINE void stage_a(local ushort *tile, VA in_flight[A_LOADS], int local_id)
{
#pragma unroll
    for (int load = 0; load < A_LOADS; load++) {
        int vector = local_id + load * WORK_ITEMS;
        if (!HAS_VECTOR(vector, A_VECTORS)) continue;
        int row = vector / A_ROW_VECTORS, at = vector % A_ROW_VECTORS * AV;
        local ushort *dst = PLACE(tile, row, at / 8) + at % 8;
#if READS_FACTORS
        *(local uint4 *)dst = in_flight[load];
#elif AV == 4 && PARTS == 1
        mma_round4(dst, in_flight[load]);
#elif PARTS == 1
        mma_round(dst, in_flight[load]);
#else
        int low = (SLOT(row, at / 8 + PART_VECTORS) - SLOT(row, at / 8)) * 8;
#if AV == 4
        mma_split4(dst, low, in_flight[load]);
#else
        mma_split(dst, low, in_flight[load]);
#endif
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
        *(local uint4 *)PLACE(tile, vector / ROW_VECTORS, vector % ROW_VECTORS) = in_flight[load];
    }
}

#if ASYNC
/* Ends the wait for the oldest step that is fetched. */
#if STAGES == 2
#define WAIT_FOR_STAGE() MMA_WAIT(0)
#elif STAGES == 3
#define WAIT_FOR_STAGE() MMA_WAIT(1)
#else
#define WAIT_FOR_STAGE() MMA_WAIT(2)
#endif

#if READS_FACTORS
/* Rows behind the last one and steps behind the last one are 0. */
INLINE void copy_a(local ushort *tile, global const ushort *a, int local_id, int rows, int k,
                   int depth)
{
#pragma unroll
    for (int load = 0; load < A_LOADS; load++) {
        int vector = local_id + load * WORK_ITEMS;
        if (!HAS_VECTOR(vector, A_VECTORS)) continue;
        int row = vector / ROW_VECTORS, slot = vector % ROW_VECTORS;
        int step = k + slot % PART_VECTORS * 8;
        mma_copy8(PLACE(tile, row, slot),
                  a + ((size_t)row * PARTS + slot / PART_VECTORS) * depth + step,
                  row < rows && (!TAIL || step < depth));
    }
}
#endif

INLINE void copy_b(local ushort *tile, global const ushort *w, int local_id, int k,
                   int padded_depth)
{
#pragma unroll
    for (int load = 0; load < B_LOADS; load++) {
        int vector = local_id + load * WORK_ITEMS;
        if (!HAS_VECTOR(vector, B_VECTORS)) continue;
        int row = vector / ROW_VECTORS, slot = vector % ROW_VECTORS;
        mma_copy8(PLACE(tile, row, slot),
                  w + ((size_t)row * PARTS + slot / PART_VECTORS) * padded_depth + k +
                      slot % PART_VECTORS * 8,
                  true);
    }
}
#endif

/* A work-group's inputs: a from its first row on, of which `rows` exist; b from its first column
 * on. */
typedef struct {
    global const A_NUMBER *a;
    global const ushort *b;
    int rows, depth, padded_depth;
} inputs;

/* Where a sub-group's rows and columns begin in a stage, and what its MMAs need. */
typedef struct {
    int row, column, lane;
    MMA_EXCHANGE exchange;
} place;

#if ASYNC
INLINE void fetch_step(VA in_flight[A_LOADS], inputs in, int local_id, int k, int k_end)
{
#if !READS_FACTORS
    if (k < k_end) fetch_a(in_flight, in.a, local_id, in.rows, k, in.depth);
#endif
}

/* Begins to fill a stage with step k, of which fp32 activations were fetched. */
INLINE void fill_stage(local ushort *a_stage, local ushort *b_stage, VA in_flight[A_LOADS],
                       inputs in, int local_id, int k)
{
#if READS_FACTORS
    copy_a(a_stage, in.a, local_id, in.rows, k, in.depth);
#else
    stage_a(a_stage, in_flight, local_id);
#endif
    copy_b(b_stage, in.b, local_id, k, in.padded_depth);
}

/* acc += a x b over steps k to k_end. */
INLINE void add_steps(mma_c acc[FM][FN], local ushort *a_tile, local ushort *b_tile, inputs in,
                      place at, int local_id, int k, int k_end)
{
    const int ahead = (STAGES - 1) * KT;
    VA in_flight[A_LOADS];
    int stage = 0;
    for (int step = k; step < k + ahead; step += KT, stage++) {
        fetch_step(in_flight, in, local_id, step, k_end);
        if (step < k_end)
            fill_stage(a_tile + stage * MT * PITCH, b_tile + stage * NT * PITCH, in_flight, in,
                       local_id, step);
        MMA_END_GROUP();
    }
    fetch_step(in_flight, in, local_id, k + ahead, k_end);
    stage = 0;
    for (; k < k_end; k += KT) {
        int filled = stage ? stage - 1 : STAGES - 1;
        WAIT_FOR_STAGE();
        /* all work-items see this step, and have finished reading the one before, whose stage is
         * filled now */
        barrier(CLK_LOCAL_MEM_FENCE);
        if (k + ahead < k_end)
            fill_stage(a_tile + filled * MT * PITCH, b_tile + filled * NT * PITCH, in_flight, in,
                       local_id, k + ahead);
        MMA_END_GROUP(); /* also an empty one, since groups are counted */
        fetch_step(in_flight, in, local_id, k + ahead + KT, k_end);
        accumulate(acc, (local const uint *)(a_tile + (stage * MT + at.row) * PITCH),
                   (local const uint *)(b_tile + (stage * NT + at.column) * PITCH), at.lane,
                   at.exchange);
        stage = stage + 1 < STAGES ? stage + 1 : 0;
    }
}
#else
INLINE void add_steps(mma_c acc[FM][FN], local ushort *a_tile, local ushort *b_tile, inputs in,
                      place at, int local_id, int k, int k_end)
{
    VA a_in_flight[A_LOADS];
    uint4 b_in_flight[B_LOADS];
    int stage = 0;
    fetch_a(a_in_flight, in.a, local_id, in.rows, k, in.depth);
    fetch_b(b_in_flight, in.b, local_id, k, in.padded_depth);
    for (; k < k_end; k += KT) {
        local ushort *a_stage = a_tile + stage * MT * PITCH, *b_stage = b_tile + stage * NT * PITCH;
#if !DB
        barrier(CLK_LOCAL_MEM_FENCE); /* all work-items have finished reading the last step */
#endif
        stage_a(a_stage, a_in_flight, local_id);
        stage_b(b_stage, b_in_flight, local_id);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (k + KT < k_end) {
            fetch_a(a_in_flight, in.a, local_id, in.rows, k + KT, in.depth);
            fetch_b(b_in_flight, in.b, local_id, k + KT, in.padded_depth);
        }
        accumulate(acc, (local const uint *)a_stage + at.row * PITCH_WORDS,
                   (local const uint *)b_stage + at.column * PITCH_WORDS, at.lane, at.exchange);
#if DB
        /* all reads of this stage end at the next barrier, before it is written again */
        stage = 1 - stage;
#endif
    }
}
#endif

/* Arguments and range as in gemm_gpu; weight [n padded to GEMM_PANEL][PARTS][padded_depth], padded
 * with zeros; with MATRIX_UNIT_FLUSHES, the rows' scales follow, [n padded] floats. */
MMA_KERNEL kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1))) void
gemm_mma(global RESULT *out, global const A_NUMBER *a, global const ushort *weight,
         EPILOGUE_ARGUMENTS, int m, int depth, int padded_depth)
{
    local ushort a_tile[STAGES * MT * PITCH] __attribute__((aligned(16)));
    local ushort b_tile[STAGES * NT * PITCH] __attribute__((aligned(16)));
    MMA_DECLARE(exchange, WORK_ITEMS)
    int local_id = (int)get_local_id(0);
    int sub_group = local_id / MMA_LANES, lane = local_id % MMA_LANES;
    int row_begin = GROUP_ID(1, 1) * MT, column_begin = GROUP_ID(0, WORK_ITEMS) * NT;
    int tile_row = sub_group / (NT / WN) * WM, tile_column = sub_group % (NT / WN) * WN;
    mma_c acc[FM][FN];
    const inputs in = {a + (size_t)row_begin * A_PARTS * depth,
                       weight + (size_t)column_begin * PARTS * padded_depth, m - row_begin, depth,
                       padded_depth};
    const place at = {tile_row, tile_column, lane, exchange};
#pragma unroll
    for (int i = 0; i < FM; i++)
#pragma unroll
        for (int j = 0; j < FN; j++) acc[i][j] = (mma_c)(0.0f);
    add_steps(acc, a_tile, b_tile, in, at, local_id, PART_BEGIN, PART_END);
#ifdef MATRIX_UNIT_FLUSHES
    const size_t columns = (size_t)((n + GEMM_PANEL - 1) / GEMM_PANEL * GEMM_PANEL);
    global const float *scales = (global const float *)(weight + columns * padded_depth);
    scale_sums(acc, scales + column_begin + tile_column, lane);
#endif
    const epilogue e = EPILOGUE_OF_ARGUMENTS;
    finish_fragments(out + PART * m * n, acc, e, row_begin + tile_row, m,
                     column_begin + tile_column, lane);
}
