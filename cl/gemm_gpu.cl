/* GEMM for GPUs with a fused epilogue. A work-group computes a tile of MT rows and NT columns in
 * steps of KT. Each step stages its parts of a and of the weights in local memory; each work-item
 * adds to its MR x NR sums. Floor: 2 m n k FLOP.
 *
 * VEC: width of loads. KU: steps of K unrolled.
 * LA, LB: a and the weights are staged in local memory; otherwise every work-item reads them from
 * global memory.
 * DB: double-buffered; the next step is fetched while this step is multiplied.
 * PAD: floats of padding behind each local row of a. a is stored transposed, so padding spreads its
 * columns over the banks.
 * SG: SG_SIZE work-items of a sub-group, neighbours along the columns, each read a part of their
 * common rows and broadcast it.
 * IMAGE: weights are read as an image with VEC = 4 of them per texel. On some devices image reads
 * have their own cache and address units.
 * SPLIT: parts of K that are summed by different work-groups; see gemm_tiles.clh.
 * HALF: weights are stored in 16 bits. a is not rounded and sums are fp32, so nothing overflows.
 *
 * Given by the shape: AV: width of loads from a. TAIL: K is no multiple of KT. WHOLE: rows of out
 * are whole vectors.
 *
 * Within a part of K each sum is one chain of additions, so the tile does not change its bits. */

#define PANEL 128 /* columns of a panel of weights */
#define TX (NT / NR)
#define WORK_ITEMS (TX * (MT / MR))
#define NV (NR / VEC)
#define A_ROW (MT + PAD)
#define A_TILE (KT * A_ROW)
#define B_TILE (KT * NT)
/* a work-item's j-th vector; neighbouring work-items read neighbouring vectors */
#define COLUMN(j) (((j)*TX + tx) * VEC)

/* VEC weights from element `at` on. */
#if IMAGE
#define WEIGHTS read_only image1d_buffer_t
#define WEIGHT_LOAD(w, at) read_imagef(w, (at) / 4)
#elif HALF
#define WEIGHTS global const half *
#if VEC == 4
#define WEIGHT_LOAD(w, at) vloada_half4(0, (w) + (at))
#elif VEC == 2
#define WEIGHT_LOAD(w, at) vloada_half2(0, (w) + (at))
#else
#define WEIGHT_LOAD(w, at) vload_half(at, w)
#endif
#else
#define WEIGHTS global const float *
#define WEIGHT_LOAD(w, at) (*(global const V *)((w) + (at)))
#endif

#include "gemm_tiles.clh"

/* AV steps of one row of a, `pitch` apart. */
#if AV == 1
#define SPREAD(to, pitch, v) (to)[0] = v
#elif AV == 2
#define SPREAD(to, pitch, v) (to)[0] = (v).x, (to)[pitch] = (v).y
#else
#define SPREAD(to, pitch, v)                                                                       \
    (to)[0] = (v).x, (to)[pitch] = (v).y, (to)[2 * (pitch)] = (v).z, (to)[3 * (pitch)] = (v).w
#endif

/* ---- staging in local memory ---- */

#define B_VECTORS (KT * (NT / VEC))
#define B_LOADS LOADS(B_VECTORS)

INLINE void keep_a(local float *tile, VA part[A_LOADS], int me)
{
#pragma unroll
    for (int l = 0; l < A_LOADS; l++) {
        int v = me + l * WORK_ITEMS;
        if (!MINE(v, A_VECTORS)) continue;
        local float *to = tile + v % (KT / AV) * AV * A_ROW + v / (KT / AV);
        SPREAD(to, A_ROW, part[l]);
    }
}

/* Fetches from element `at` on. Weights are padded with zeros, so no bounds are checked. */
INLINE void fetch_b(V part[B_LOADS], WEIGHTS w, int me, int at)
{
#pragma unroll
    for (int l = 0; l < B_LOADS; l++) {
        int v = me + l * WORK_ITEMS;
        if (!MINE(v, B_VECTORS)) continue;
        part[l] = WEIGHT_LOAD(w, at + v / (NT / VEC) * PANEL + v % (NT / VEC) * VEC);
    }
}

INLINE void keep_b(local float *tile, V part[B_LOADS], int me)
{
#pragma unroll
    for (int l = 0; l < B_LOADS; l++) {
        int v = me + l * WORK_ITEMS;
        if (!MINE(v, B_VECTORS)) continue;
        *(local V *)(tile + v / (NT / VEC) * NT + v % (NT / VEC) * VEC) = part[l];
    }
}

/* ---- sums ---- */

/* STEP: steps of K whose values of a are read at once. */
#if LA || SG
#define STEP 1
#else
#define STEP AV
#endif

/* x = MR neighbours in a local row of a. */
#if LA
INLINE void read_rows(float x[MR], local const float *from)
{
#if MR % 4 == 0 && VEC == 4 && PAD % 4 == 0
#pragma unroll
    for (int i = 0; i < MR; i += 4) {
        float4 v = *(local const float4 *)(from + i);
        x[i] = v.x, x[i + 1] = v.y, x[i + 2] = v.z, x[i + 3] = v.w;
    }
#elif MR % 2 == 0 && VEC > 1 && PAD % 2 == 0
#pragma unroll
    for (int i = 0; i < MR; i += 2) {
        float2 v = *(local const float2 *)(from + i);
        x[i] = v.x, x[i + 1] = v.y;
    }
#else
#pragma unroll
    for (int i = 0; i < MR; i++) x[i] = from[i];
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
    int b; /* index of the first weight in [..][PANEL] */
#endif
} factors;

#if LB
#define B_LOAD(w, p) (*(local const V *)(p))
#define B_ROW NT
#else
#define B_LOAD(w, at) WEIGHT_LOAD(w, at)
#define B_ROW PANEL
#endif

#if SG
/* PASSED: steps of K that are spread over a sub-group, one per work-item. */
#if SG_SIZE < KT
#define PASSED SG_SIZE
#else
#define PASSED KT
#endif

/* Without a required sub-group size the compiler may have chosen another size. */
INLINE bool passes(void)
{
#if SUBGROUPS_REQUIRED
    return true;
#else
    return get_max_sub_group_size() == SG_SIZE;
#endif
}

INLINE void hold_rows(float held[MR], factors f, const int at[MR], int k)
{
    int step = k + (int)get_sub_group_local_id() % PASSED;
#pragma unroll
    for (int i = 0; i < MR; i++) held[i] = TAIL && step >= f.depth ? 0.0f : f.a[at[i] + step];
}

/* x = the rows at step k + u, which the work-item u of the sub-group has loaded. */
INLINE void pass_rows(float x[MR], const float held[MR], factors f, const int at[MR], int k, int u)
{
#pragma unroll
    for (int i = 0; i < MR; i++)
        x[i] = passes()                   ? sub_group_broadcast(held[i], (uint)u)
               : TAIL && k + u >= f.depth ? 0.0f
                                          : f.a[at[i] + k + u];
}
#endif

/* at: offsets of the work-item's rows, used if a is not in local memory. */
INLINE void accumulate(V sum[MR][NV], factors f, WEIGHTS w, const int at[MR], int tx, int k)
{
#if SG
    float held[MR];
#endif
    for (int kk = 0; kk < KT; kk += KU) {
#if SG
        if (kk % PASSED == 0) hold_rows(held, f, at, k + kk);
#endif
#pragma unroll
        for (int u = 0; u < KU; u += STEP) {
            float x[STEP * MR];
#if LA
            read_rows(x, f.a + (kk + u) * A_ROW);
#elif SG
            pass_rows(x, held, f, at, k + kk / PASSED * PASSED, kk % PASSED + u);
#else
#pragma unroll
            for (int i = 0; i < MR; i++) {
                VA v =
                    TAIL && k + kk + u >= f.depth ? (VA)(0.0f) : VA_LOAD(f.a + at[i] + k + kk + u);
                SPREAD(x + i, MR, v);
            }
#endif
#pragma unroll
            for (int s = 0; s < STEP; s++) {
                V b[NV];
#pragma unroll
                for (int j = 0; j < NV; j++)
                    b[j] = B_LOAD(w, f.b + (kk + u + s) * B_ROW + COLUMN(j));
#pragma unroll
                for (int i = 0; i < MR; i++)
#pragma unroll
                    for (int j = 0; j < NV; j++)
                        sum[i][j] = mad((V)(x[s * MR + i]), b[j], sum[i][j]);
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
 * [ceil(n / PANEL)][padded_depth][PANEL], padded with zeros. The epilogue's arguments:
 * epilogue.clh. Work-groups: (columns, rows) of tiles, parts of K. */
#if SG
SUBGROUP_SIZE(SG_SIZE)
#endif
kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1))) void
gemm_gpu(global float *out, global const float *a, WEIGHTS weight, EPILOGUE_ARGUMENTS, int m,
         int depth, int padded_depth)
{
    int me = (int)get_local_id(0), tx = me % TX, ty = me / TX;
    int first = GROUP_ID(1, 1) * MT, column = GROUP_ID(0, WORK_ITEMS) * NT;
    const int from = PART_FROM, end = PART_END;
#if IMAGE
    const int at_weight = column / PANEL * PANEL * padded_depth + column % PANEL;
#else
    const int at_weight = 0;
    weight += (size_t)(column / PANEL) * PANEL * padded_depth + column % PANEL;
#endif
    V sum[MR][NV];
    int at[MR];
    factors f;
    a += (size_t)first * depth;
#pragma unroll
    for (int i = 0; i < MR; i++) {
        at[i] = min(ty * MR + i, m - first - 1) * depth;
#pragma unroll
        for (int j = 0; j < NV; j++) sum[i][j] = 0.0f;
    }
#if LA
    local float a_tile[(1 + DB) * A_TILE] __attribute__((aligned(16)));
    VA a_part[A_LOADS];
#define FETCH_A(k) fetch_a(a_part, a, me, m - first, k, depth)
#define KEEP_A(stage) keep_a(a_tile + (stage)*A_TILE, a_part, me)
#define TAKE_A(stage, k) f.a = a_tile + (stage)*A_TILE + ty * MR
#else
#define FETCH_A(k)
#define KEEP_A(stage)
#define TAKE_A(stage, k) f.a = a, f.depth = depth
#endif
#if LB
    local float b_tile[(1 + DB) * B_TILE] __attribute__((aligned(16)));
    V b_part[B_LOADS];
#define FETCH_B(k) fetch_b(b_part, weight, me, at_weight + (k)*PANEL)
#define KEEP_B(stage) keep_b(b_tile + (stage)*B_TILE, b_part, me)
#define TAKE_B(stage, k) f.b = b_tile + (stage)*B_TILE
#else
#define FETCH_B(k)
#define KEEP_B(stage)
#define TAKE_B(stage, k) f.b = at_weight + (k)*PANEL
#endif

#if !LA && !LB
    for (int k = from; k < end; k += KT) {
        TAKE_A(0, k);
        TAKE_B(0, k);
        accumulate(sum, f, weight, at, tx, k);
    }
#elif DB
    int stage = 0;
    FETCH_A(from);
    FETCH_B(from);
    KEEP_A(0);
    KEEP_B(0);
    for (int k = from; k < end; k += KT, stage = 1 - stage) {
        bool more = k + KT < end;
        /* this buffer is complete, and all work-items have finished with the other */
        barrier(CLK_LOCAL_MEM_FENCE);
        if (more) {
            FETCH_A(k + KT);
            FETCH_B(k + KT);
        }
        TAKE_A(stage, k);
        TAKE_B(stage, k);
        accumulate(sum, f, weight, at, tx, k);
        if (more) {
            KEEP_A(1 - stage);
            KEEP_B(1 - stage);
        }
    }
#else
    for (int k = from; k < end; k += KT) {
        FETCH_A(k);
        FETCH_B(k);
        barrier(CLK_LOCAL_MEM_FENCE); /* all work-items have finished with the step before */
        KEEP_A(0);
        KEEP_B(0);
        barrier(CLK_LOCAL_MEM_FENCE);
        TAKE_A(0, k);
        TAKE_B(0, k);
        accumulate(sum, f, weight, at, tx, k);
    }
#endif
    const epilogue e = EPILOGUE_OF_ARGUMENTS;
    finish_rows(out + PART * m * n, sum, e, first + ty * MR, m, column, tx);
}
