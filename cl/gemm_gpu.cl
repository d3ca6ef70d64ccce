/* GEMM for GPUs with a fused epilogue. One work-group = a tile of MT rows x NT columns, in steps of
 * KT. Each step is staged in local memory; each work-item has MR x NR accumulators in registers.
 * Floor: 2 m n k FLOP.
 *
 *                NT               local memory: a [KT][MT + PAD], transposed; b [KT][NT]
 *             +------+
 *          KT |  b   |            work-item (tx, ty), tx below TX = NT / NR:
 *       KT    +------+              rows ty MR to ty MR + MR - 1
 *     +----+  +------+              columns (j TX + tx) VEC to (j TX + tx) VEC + VEC - 1,
 *  MT | a  |  | tile |              j below NR / VEC; so neighbours read neighbouring vectors
 *     +----+  +------+
 *
 * VEC: width of loads. KU: steps of K that are unrolled.
 * LA: a is staged in local memory. LB: the weights are. Otherwise every work-item reads them from
 * global memory.
 * DB: double-buffered: the next step is fetched while this step is multiplied.
 * PAD: floats of padding behind each local row of a. They spread the columns of a over the banks.
 * SG: the SG_SIZE work-items of a sub-group are neighbours along the columns and need the same rows
 * of a. Each reads some steps of these rows and broadcasts them.
 * IMAGE: weights are read as an image with 4 weights (VEC) per texel. On some devices image reads
 * have their own cache and address hardware.
 * SPLIT: parts of K that are summed by different work-groups; see gemm_tiles.clh.
 * HALF: weights are stored in fp16. a is not rounded and sums are fp32, so nothing overflows.
 *
 * Given by the shape: AV: width of loads from a. TAIL: K is no multiple of KT. WHOLE: rows of out
 * are whole vectors.
 *
 * Within a part of K each sum is one chain of additions, so the tile does not change its bits. */

#include "layout.clh"

#define TX (NT / NR)
#define WORK_ITEMS (TX * (MT / MR))
#define NV (NR / VEC)
#define A_ROW (MT + PAD)
#define A_TILE (KT * A_ROW)
#define B_TILE (KT * NT)
/* the tile's column where vector j of this work-item begins */
#define COLUMN(j) (((j)*TX + tx) * VEC)

/* Loads VEC weights from element `index` on. */
#if IMAGE
#define WEIGHTS read_only image1d_buffer_t
#define WEIGHT_LOAD(w, index) read_imagef(w, (index) / 4)
#elif HALF
#define WEIGHTS global const half *
#if VEC == 4
#define WEIGHT_LOAD(w, index) vloada_half4(0, (w) + (index))
#elif VEC == 2
#define WEIGHT_LOAD(w, index) vloada_half2(0, (w) + (index))
#else
#define WEIGHT_LOAD(w, index) vload_half(index, w)
#endif
#else
#define WEIGHTS global const float *
#define WEIGHT_LOAD(w, index) (*(global const V *)((w) + (index)))
#endif

#include "gemm_tiles.clh"

/* Stores the AV values of a vector `pitch` apart. */
#if AV == 1
#define SCATTER(dst, pitch, v) (dst)[0] = v
#elif AV == 2
#define SCATTER(dst, pitch, v) (dst)[0] = (v).x, (dst)[pitch] = (v).y
#else
#define SCATTER(dst, pitch, v)                                                                     \
    (dst)[0] = (v).x, (dst)[pitch] = (v).y, (dst)[2 * (pitch)] = (v).z, (dst)[3 * (pitch)] = (v).w
#endif

/* ---- staging in local memory ---- */

#define B_VECTORS (KT * (NT / VEC))
#define B_LOADS LOADS(B_VECTORS)

INLINE void stage_a(local float *tile, VA in_flight[A_LOADS], int local_id)
{
#pragma unroll
    for (int load = 0; load < A_LOADS; load++) {
        int vector = local_id + load * WORK_ITEMS;
        if (!HAS_VECTOR(vector, A_VECTORS)) continue;
        local float *dst = tile + vector % (KT / AV) * AV * A_ROW + vector / (KT / AV);
        SCATTER(dst, A_ROW, in_flight[load]);
    }
}

/* Fetches a step of the weights from element `index` on. Weights are padded with zeros, so no
 * bounds are checked. */
INLINE void fetch_b(V in_flight[B_LOADS], WEIGHTS w, int local_id, int index)
{
#pragma unroll
    for (int load = 0; load < B_LOADS; load++) {
        int vector = local_id + load * WORK_ITEMS;
        if (!HAS_VECTOR(vector, B_VECTORS)) continue;
        in_flight[load] =
            WEIGHT_LOAD(w, index + vector / (NT / VEC) * GEMM_PANEL + vector % (NT / VEC) * VEC);
    }
}

INLINE void stage_b(local float *tile, V in_flight[B_LOADS], int local_id)
{
#pragma unroll
    for (int load = 0; load < B_LOADS; load++) {
        int vector = local_id + load * WORK_ITEMS;
        if (!HAS_VECTOR(vector, B_VECTORS)) continue;
        *(local V *)(tile + vector / (NT / VEC) * NT + vector % (NT / VEC) * VEC) = in_flight[load];
    }
}

/* ---- sums ---- */

/* Steps of K whose values of a are read at once. */
#if LA || SG
#define A_STEPS 1
#else
#define A_STEPS AV
#endif

/* a_values = MR neighbours in a local row of a. */
#if LA
INLINE void read_rows(float a_values[MR], local const float *src)
{
#if MR % 4 == 0 && VEC == 4 && PAD % 4 == 0
#pragma unroll
    for (int i = 0; i < MR; i += 4) {
        float4 vector = *(local const float4 *)(src + i);
        a_values[i] = vector.x, a_values[i + 1] = vector.y, a_values[i + 2] = vector.z,
        a_values[i + 3] = vector.w;
    }
#elif MR % 2 == 0 && VEC > 1 && PAD % 2 == 0
#pragma unroll
    for (int i = 0; i < MR; i += 2) {
        float2 vector = *(local const float2 *)(src + i);
        a_values[i] = vector.x, a_values[i + 1] = vector.y;
    }
#else
#pragma unroll
    for (int i = 0; i < MR; i++) a_values[i] = src[i];
#endif
}
#endif

/* The two factors of a step of KT. */
typedef struct {
#if LA
    local const float *a; /* [KT][A_ROW], from the work-item's rows on */
#else
    global const float *a; /* the work-group's first row */
    int depth;
#endif
#if LB
    local const float *b; /* [KT][NT] */
#else
    int b; /* index of the first weight in [..][GEMM_PANEL] */
#endif
} factors;

#if LB
#define B_LOAD(w, p) (*(local const V *)(p))
#define B_ROW NT
#else
#define B_LOAD(w, index) WEIGHT_LOAD(w, index)
#define B_ROW GEMM_PANEL
#endif

#if SG
/* Steps of K that are spread over a sub-group, one per lane. */
#if SG_SIZE < KT
#define BROADCAST_STEPS SG_SIZE
#else
#define BROADCAST_STEPS KT
#endif

/* Without a required sub-group size the compiler may have chosen another size. Then no values are
 * broadcast. */
INLINE bool can_broadcast(void)
{
#if SUBGROUPS_REQUIRED
    return true;
#else
    return get_max_sub_group_size() == SG_SIZE;
#endif
}

INLINE void load_lane_rows(float lane_rows[MR], factors f, const int row_offset[MR], int k)
{
    int step = k + (int)get_sub_group_local_id() % BROADCAST_STEPS;
#pragma unroll
    for (int i = 0; i < MR; i++)
        lane_rows[i] = TAIL && step >= f.depth ? 0.0f : f.a[row_offset[i] + step];
}

/* a_values = the rows at step k + u, which lane u has loaded. */
INLINE void broadcast_rows(float a_values[MR], const float lane_rows[MR], factors f,
                           const int row_offset[MR], int k, int u)
{
#pragma unroll
    for (int i = 0; i < MR; i++)
        a_values[i] = can_broadcast()            ? sub_group_broadcast(lane_rows[i], (uint)u)
                      : TAIL && k + u >= f.depth ? 0.0f
                                                 : f.a[row_offset[i] + k + u];
}
#endif

/* row_offset: where the work-item's rows begin in a; used if a is not in local memory. */
INLINE void accumulate(V acc[MR][NV], factors f, WEIGHTS w, const int row_offset[MR], int tx, int k)
{
#if SG
    float lane_rows[MR];
#endif
    for (int step = 0; step < KT; step += KU) {
#if SG
        if (step % BROADCAST_STEPS == 0) load_lane_rows(lane_rows, f, row_offset, k + step);
#endif
#pragma unroll
        for (int u = 0; u < KU; u += A_STEPS) {
            float a_values[A_STEPS * MR];
#if LA
            read_rows(a_values, f.a + (step + u) * A_ROW);
#elif SG
            broadcast_rows(a_values, lane_rows, f, row_offset,
                           k + step / BROADCAST_STEPS * BROADCAST_STEPS,
                           step % BROADCAST_STEPS + u);
#else
#pragma unroll
            for (int i = 0; i < MR; i++) {
                VA a_vector = TAIL && k + step + u >= f.depth
                                  ? (VA)(0.0f)
                                  : VA_LOAD(f.a + row_offset[i] + k + step + u);
                SCATTER(a_values + i, MR, a_vector);
            }
#endif
#pragma unroll
            for (int s = 0; s < A_STEPS; s++) {
                V b[NV];
#pragma unroll
                for (int j = 0; j < NV; j++)
                    b[j] = B_LOAD(w, f.b + (step + u + s) * B_ROW + COLUMN(j));
#pragma unroll
                for (int i = 0; i < MR; i++)
#pragma unroll
                    for (int j = 0; j < NV; j++)
                        acc[i][j] = mad((V)(a_values[s * MR + i]), b[j], acc[i][j]);
            }
        }
    }
}

/* ---- epilogue ---- */

INLINE void finish_rows(global float *out, V sum[MR][NV], epilogue e, int row, int m, int column,
                        int tx)
{
#pragma unroll
    for (int i = 0; i < MR; i++) {
        if (row + i >= m) continue;
        epilogue_row r;
        find_row(&r, e, row + i);
#pragma unroll
        for (int j = 0; j < NV; j++)
            finish(out + (size_t)(row + i) * e.n, r, sum[i][j], e, column + COLUMN(j));
    }
}

/* out [m][n] = [residual +] [gate *] activation(a [m][depth] x weight^T + bias). weight
 * [ceil(n / GEMM_PANEL)][padded_depth][GEMM_PANEL], padded with zeros. The epilogue's arguments:
 * epilogue.clh. Range in work-groups: [ceil(n / NT)][ceil(m / MT)][parts of K]. */
#if SG
SUBGROUP_SIZE(SG_SIZE)
#endif
kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1))) void
gemm_gpu(global float *out, global const float *a, WEIGHTS weight, EPILOGUE_ARGUMENTS, int m,
         int depth, int padded_depth)
{
    int local_id = (int)get_local_id(0), tx = local_id % TX, ty = local_id / TX;
    int row_begin = GROUP_ID(1, 1) * MT, column_begin = GROUP_ID(0, WORK_ITEMS) * NT;
    const int k_begin = PART_BEGIN, k_end = PART_END;
#if IMAGE
    const int weight_begin =
        column_begin / GEMM_PANEL * GEMM_PANEL * padded_depth + column_begin % GEMM_PANEL;
#else
    const int weight_begin = 0;
    weight +=
        (size_t)(column_begin / GEMM_PANEL) * GEMM_PANEL * padded_depth + column_begin % GEMM_PANEL;
#endif
    V acc[MR][NV];
    int row_offset[MR];
    factors f;
    a += (size_t)row_begin * depth;
#pragma unroll
    for (int i = 0; i < MR; i++) {
        row_offset[i] = min(ty * MR + i, m - row_begin - 1) * depth;
#pragma unroll
        for (int j = 0; j < NV; j++) acc[i][j] = 0.0f;
    }
#if LA
    local float a_tile[(1 + DB) * A_TILE] __attribute__((aligned(16)));
    VA a_in_flight[A_LOADS];
#define FETCH_A(k) fetch_a(a_in_flight, a, local_id, m - row_begin, k, depth)
#define STAGE_A(stage) stage_a(a_tile + (stage)*A_TILE, a_in_flight, local_id)
#define USE_A(stage, k) f.a = a_tile + (stage)*A_TILE + ty * MR
#else
#define FETCH_A(k)
#define STAGE_A(stage)
#define USE_A(stage, k) f.a = a, f.depth = depth
#endif
#if LB
    local float b_tile[(1 + DB) * B_TILE] __attribute__((aligned(16)));
    V b_in_flight[B_LOADS];
#define FETCH_B(k) fetch_b(b_in_flight, weight, local_id, weight_begin + (k)*GEMM_PANEL)
#define STAGE_B(stage) stage_b(b_tile + (stage)*B_TILE, b_in_flight, local_id)
#define USE_B(stage, k) f.b = b_tile + (stage)*B_TILE
#else
#define FETCH_B(k)
#define STAGE_B(stage)
#define USE_B(stage, k) f.b = weight_begin + (k)*GEMM_PANEL
#endif

#if !LA && !LB
    for (int k = k_begin; k < k_end; k += KT) {
        USE_A(0, k);
        USE_B(0, k);
        accumulate(acc, f, weight, row_offset, tx, k);
    }
#elif DB
    int stage = 0;
    FETCH_A(k_begin);
    FETCH_B(k_begin);
    STAGE_A(0);
    STAGE_B(0);
    for (int k = k_begin; k < k_end; k += KT, stage = 1 - stage) {
        bool more = k + KT < k_end;
        /* this stage is complete, and all work-items have finished reading the other stage */
        barrier(CLK_LOCAL_MEM_FENCE);
        if (more) {
            FETCH_A(k + KT);
            FETCH_B(k + KT);
        }
        USE_A(stage, k);
        USE_B(stage, k);
        accumulate(acc, f, weight, row_offset, tx, k);
        if (more) {
            STAGE_A(1 - stage);
            STAGE_B(1 - stage);
        }
    }
#else
    for (int k = k_begin; k < k_end; k += KT) {
        FETCH_A(k);
        FETCH_B(k);
        barrier(CLK_LOCAL_MEM_FENCE); /* all work-items have finished reading the last step */
        STAGE_A(0);
        STAGE_B(0);
        barrier(CLK_LOCAL_MEM_FENCE);
        USE_A(0, k);
        USE_B(0, k);
        accumulate(acc, f, weight, row_offset, tx, k);
    }
#endif
    const epilogue e = EPILOGUE_OF_ARGUMENTS;
    finish_rows(out + PART * m * n, acc, e, row_begin + ty * MR, m, column_begin, tx);
}
