/* softmax(Q K^T / sqrt(d)) V in one pass (flash attention, Dao et al. 2022). One work-group = BQ
 * queries of one head; it takes BK keys at a time. Scores and probabilities stay in registers or
 * local memory. Floor: 4 T^2 d FLOP per head.
 *
 *             BK keys             Work-items form a grid of WQ rows x WK columns, each with RQ x RK
 *          +---+---+---+          scores. The work-items of a grid row have the same RQ queries.
 *  BQ      |   |   |   |          They reduce row_max and row_sum, and share the probabilities.
 *  queries +---+---+---+
 *          |   |   |   |          Work-item (row, column) has keys j WK + column, and then vectors
 *          +---+---+---+          j WK + column of the result.
 *
 * Online softmax (Milakov & Gimelshein 2018) joins the blocks of keys. For each query:
 *     row_max: the highest score so far         p = 2^(score - row_max)
 *     row_sum: the sum of p so far              acc: the sum of p times value so far
 * A new row_max multiplies row_sum and acc by rescale = 2^(old - new). The result is acc / row_sum,
 * so p / row_sum is the probability that softmax gives a key.
 *
 * D: head width. BQ, BK: queries and keys of a work-group's tile.
 * RQ, RK: queries and keys of a work-item's scores.
 * VEC: channels that are read and summed at once. DC: channels of keys that are staged at a time.
 * SQ: queries are read from global memory (0), staged whole (1) or staged with the keys (2).
 * SK: keys are staged. VC: keys whose values are staged at a time; 0: values are not staged.
 * WIDE: the lanes of a vector sum a score. HALF: staged numbers are rounded to fp16.
 * SG: a grid row is a sub-group of SG_SIZE. Sub-group functions reduce row_max and row_sum, and
 * broadcast the probabilities. Otherwise both pass through local memory.
 * WRITES_FACTORS: out is stored as factors (factors.clh), if D is a multiple of 8. */

#define WQ (BQ / RQ) /* rows of the grid of work-items */
#define WK (BK / RK) /* columns of the grid of work-items */
#define WORK_ITEMS (WQ * WK)
#define DV ((D + VEC - 1) / VEC)           /* vectors of a head */
#define DI ((DV + WK - 1) / WK)            /* vectors of the result that a work-item sums */
#define CV (DC / VEC < DV ? DC / VEC : DV) /* vectors that are staged at a time */
#define PITCH_K ((CV + 1) * VEC)           /* one vector of padding against bank conflicts */
#define PITCH_Q (SQ == 1 ? (DV + 1) * VEC : PITCH_K)
#define PITCH_P (BK + 4)
#define PRIVATE_ROWS (WK == 1) /* a work-item has all keys of its queries and shares nothing */
#define LOWEST -1e30f          /* finite, so that no difference of two is NaN */

/* ROW_IS_SUBGROUP: the work-items of a grid row are one sub-group. Without a required sub-group
 * size the compiler may have chosen another size. */
#if SG
#if SUBGROUPS_REQUIRED
#define ROW_IS_SUBGROUP true
#else
#define ROW_IS_SUBGROUP (get_max_sub_group_size() == SG_SIZE)
#endif
#define SUBGROUP_MAX(x) sub_group_reduce_max(x)
#define SUBGROUP_SUM(x) sub_group_reduce_add(x)
#define SUBGROUP_BROADCAST(x, lane) sub_group_broadcast(x, (uint)(lane))
#else
#define ROW_IS_SUBGROUP false
#define SUBGROUP_MAX(x) (x)
#define SUBGROUP_SUM(x) (x)
#define SUBGROUP_BROADCAST(x, lane) (x)
#endif
#define LOCAL_BARRIER(needed)                                                                      \
    if (needed) barrier(CLK_LOCAL_MEM_FENCE)

#if HALF
#define STAGED ushort
#define AS_HALF(p) ((local half *)(p))
#if VEC == 1
#define STAGED_LOAD(p) vload_half(0, AS_HALF(p))
#define STAGED_STORE(v, p) vstore_half(v, 0, AS_HALF(p))
#elif VEC == 4
#define STAGED_LOAD(p) vload_half4(0, AS_HALF(p))
#define STAGED_STORE(v, p) vstore_half4(v, 0, AS_HALF(p))
#elif VEC == 8
#define STAGED_LOAD(p) vload_half8(0, AS_HALF(p))
#define STAGED_STORE(v, p) vstore_half8(v, 0, AS_HALF(p))
#else
#define STAGED_LOAD(p) vload_half16(0, AS_HALF(p))
#define STAGED_STORE(v, p) vstore_half16(v, 0, AS_HALF(p))
#endif
#else
#define STAGED float
#if VEC <= 4
#define STAGED_LOAD(p) (*(local const V *)(p))
#define STAGED_STORE(v, p) (*(local V *)(p) = (v))
#else
#define STAGED_LOAD(p) VLOAD(p)
#define STAGED_STORE(v, p) VSTORE(v, p)
#endif
#endif
/* Rows begin at multiples of D, so their vectors are aligned. Without that knowledge some compilers
 * load each float by itself. */
#if D % VEC == 0 && VEC <= 4
#define ROW_LOAD(p) (*(global const V *)(p))
#define ROW_STORE(v, p) (*(global V *)(p) = (v))
#else
#define ROW_LOAD(p) VLOAD(p)
#define ROW_STORE(v, p) VSTORE(v, p)
#endif

/* With HALF, clamps to the range of fp16. NaN stays NaN. */
INLINE V saturate(V x)
{
#if HALF
    return fabs(x) < (V)(INFINITY) ? clamp(x, (V)(-65504.0f), (V)(65504.0f)) : x;
#else
    return x;
#endif
}

/* Loads a vector of a row of D channels. Channels beyond D are 0. */
INLINE V row_vector(global const float *row, int vector)
{
#if D % VEC != 0
    if (vector == DV - 1) {
        float lanes[VEC];
#pragma unroll
        for (int j = 0; j < VEC; j++)
            lanes[j] = vector * VEC + j < D ? row[vector * VEC + j] : 0.0f;
        return VLOAD(lanes);
    }
#endif
    return ROW_LOAD(row + vector * VEC);
}

/* width: channels of all heads. */
#if WRITES_FACTORS
#include "factors.clh"
#define OUT_PARTS FACTOR_PARTS
INLINE void store_vector(global ushort *row, int width, int vector, V x)
{
#if VEC == 1
    write_factors1(row, width, vector, x);
#elif VEC == 4
    write_factors4(row, width, vector * VEC, x);
#else
    float lanes[VEC];
    VSTORE(x, lanes);
#pragma unroll
    for (int j = 0; j < VEC; j += 4)
        if (vector * VEC + j < D)
            write_factors4(row, width, vector * VEC + j, vload4(0, lanes + j));
#endif
}
#else
#define OUT_PARTS 1
INLINE void store_vector(global float *row, int width, int vector, V x)
{
    (void)width;
#if D % VEC != 0
    if (vector == DV - 1) {
        float lanes[VEC];
        VSTORE(x, lanes);
#pragma unroll
        for (int j = 0; j < VEC; j++)
            if (vector * VEC + j < D) row[vector * VEC + j] = lanes[j];
        return;
    }
#endif
    ROW_STORE(x, row + vector * VEC);
}
#endif

/* Stages `vectors` vectors, from first_vector on, of each row of a tile. Rows from valid_rows on
 * are 0. */
INLINE void stage(local STAGED *dst, int pitch, global const float *src, int row_pitch, int rows,
                  int valid_rows, int first_vector, int vectors)
{
    for (int i = (int)get_local_id(0); i < rows * vectors; i += WORK_ITEMS) {
        int row = i / vectors, vector = i % vectors;
        if (first_vector + vector >= DV) continue;
        V x = row < valid_rows ? row_vector(src + (size_t)row * row_pitch, first_vector + vector)
                               : (V)(0.0f);
        STAGED_STORE(saturate(x), dst + row * pitch + vector * VEC);
    }
}

INLINE float lane_sum(V x)
{
    float lanes[VEC], sum = 0.0f;
    VSTORE(x, lanes);
#pragma unroll
    for (int j = 0; j < VEC; j++) sum += lanes[j];
    return sum;
}

#if WIDE
#define SCORE V
#define DOT(a, b, sum) mad(a, b, sum)
#define SCORE_SUM(x) lane_sum(x)
#elif VEC == 1
#define SCORE float
#define DOT(a, b, sum) mad(a, b, sum)
#define SCORE_SUM(x) (x)
#else
#define SCORE float
#define DOT(a, b, sum)                                                                             \
    mad((a).w, (b).w, mad((a).z, (b).z, mad((a).y, (b).y, mad((a).x, (b).x, sum))))
#define SCORE_SUM(x) (x)
#endif

#if WRITES_FACTORS
#define OUTPUT ushort
#else
#define OUTPUT float
#endif
/* out [N*T][H*D], or [N*T][FACTOR_PARTS][H*D]. q, k and v begin at 0, H*D and 2*H*D in the rows of
 * qkv [N*T][3*H*D]; each is head-major. factor: log2(e) / sqrt(d), since p is a power of two. Range
 * in work-groups: [ceil(T / BQ)][H][N]. */
#if SG
SUBGROUP_SIZE(SG_SIZE)
#endif
kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1))) void
attention(global OUTPUT *out, global const float *qkv, int tokens, int heads, float factor)
{
#if PRIVATE_ROWS
    float probabilities[RQ * PITCH_P];
#define PROBABILITIES(i) (probabilities + (i)*PITCH_P)
#define QUAD_LOAD(p) vload4(0, p)
#elif SG && SUBGROUPS_REQUIRED
    local float *probabilities = 0; /* not used: sub-groups broadcast */
#define PROBABILITIES(i) probabilities
#define QUAD_LOAD(p) (*(local const float4 *)(p))
#else
    local float probabilities[BQ * PITCH_P] __attribute__((aligned(16)));
#define PROBABILITIES(i) (probabilities + (tile_row + (i)) * PITCH_P)
#define QUAD_LOAD(p) (*(local const float4 *)(p))
#endif
    bool in_subgroup = ROW_IS_SUBGROUP, through_local = !in_subgroup && !PRIVATE_ROWS;
#if SQ
    local STAGED q_tile[BQ * PITCH_Q] __attribute__((aligned(16)));
#endif
#if SK || VC
    local STAGED kv_tile[SK * BK * PITCH_K > VC * DV * VEC ? SK * BK * PITCH_K : VC * DV * VEC]
        __attribute__((aligned(16)));
#endif
    int local_id = (int)get_local_id(0), tile_row = local_id / WK * RQ, tile_column = local_id % WK;
    int h = GROUP_ID(1, 1), n = GROUP_ID(2, 1);
    int query_begin = GROUP_ID(0, WORK_ITEMS) * BQ, pitch = 3 * heads * D;
    global const float *q = qkv + (size_t)n * tokens * pitch + h * D;
    global const float *k = q + heads * D, *v = k + heads * D;

    V acc[RQ][DI];
    float row_max[RQ], row_sum[RQ]; /* row_sum: over this work-item's keys only */
#pragma unroll
    for (int i = 0; i < RQ; i++) {
#pragma unroll
        for (int j = 0; j < DI; j++) acc[i][j] = 0.0f;
        row_max[i] = LOWEST;
        row_sum[i] = 0.0f;
    }
#if SQ == 1
    stage(q_tile, PITCH_Q, q + (size_t)query_begin * pitch, pitch, BQ, tokens - query_begin, 0, DV);
#endif
    for (int block_begin = 0; block_begin < tokens; block_begin += BK) {
        SCORE score[RQ][RK];
#pragma unroll
        for (int i = 0; i < RQ; i++)
#pragma unroll
            for (int j = 0; j < RK; j++) score[i][j] = 0.0f;
        for (int c = 0; c < DV; c += CV) {
            LOCAL_BARRIER(SQ || SK || VC || through_local);
#if SQ == 2
            stage(q_tile, PITCH_Q, q + (size_t)query_begin * pitch, pitch, BQ, tokens - query_begin,
                  c, CV);
#endif
#if SK
            stage(kv_tile, PITCH_K, k + (size_t)block_begin * pitch, pitch, BK,
                  tokens - block_begin, c, CV);
#endif
#if SK || SQ == 2
            barrier(CLK_LOCAL_MEM_FENCE);
#endif
            int vectors = min(CV, DV - c);
#if !SQ || !SK
#pragma unroll 1 /* some compilers hoist loads until registers run out */
#endif
            for (int vector = 0; vector < vectors; vector++) {
                V key[RK];
#pragma unroll
                for (int j = 0; j < RK; j++)
#if SK
                    key[j] = STAGED_LOAD(kv_tile + (j * WK + tile_column) * PITCH_K + vector * VEC);
#else
                    key[j] = saturate(row_vector(
                        k + (size_t)min(block_begin + j * WK + tile_column, tokens - 1) * pitch,
                        c + vector));
#endif
#pragma unroll
                for (int i = 0; i < RQ; i++) {
#if SQ == 1
                    V query = STAGED_LOAD(q_tile + (tile_row + i) * PITCH_Q + (c + vector) * VEC);
#elif SQ
                    V query = STAGED_LOAD(q_tile + (tile_row + i) * PITCH_Q + vector * VEC);
#else
                        V query = saturate(row_vector(
                            q + (size_t)min(query_begin + tile_row + i, tokens - 1) * pitch,
                            c + vector));
#endif
#pragma unroll
                    for (int j = 0; j < RK; j++) score[i][j] = DOT(query, key[j], score[i][j]);
                }
            }
        }

        /* the maximum over this work-item's keys, then over its grid row; p: first scaled scores */
        float p[RQ][RK], tile_max[RQ];
#pragma unroll
        for (int i = 0; i < RQ; i++) {
            float maximum = LOWEST;
#pragma unroll
            for (int j = 0; j < RK; j++) {
                bool valid = block_begin + j * WK + tile_column < tokens;
                p[i][j] = valid ? SCORE_SUM(score[i][j]) * factor : LOWEST;
                maximum = fmax(maximum, p[i][j]);
            }
            tile_max[i] = maximum;
            if (!in_subgroup) PROBABILITIES(i)[tile_column] = maximum;
        }
        LOCAL_BARRIER(through_local);
        float rescale[RQ];
#pragma unroll
        for (int i = 0; i < RQ; i++) {
            float maximum = row_max[i];
            if (in_subgroup)
                maximum = fmax(maximum, SUBGROUP_MAX(tile_max[i]));
            else
                for (int j = 0; j < WK; j++) maximum = fmax(maximum, PROBABILITIES(i)[j]);
            rescale[i] = exp2(row_max[i] - maximum);
            row_max[i] = maximum;
        }
        LOCAL_BARRIER(through_local);
#pragma unroll
        for (int i = 0; i < RQ; i++) {
            float tile_sum = 0.0f;
#pragma unroll
            for (int j = 0; j < RK; j++) {
                p[i][j] = exp2(p[i][j] - row_max[i]);
                if (!in_subgroup) PROBABILITIES(i)[j * WK + tile_column] = p[i][j];
                tile_sum += p[i][j];
            }
            row_sum[i] = mad(row_sum[i], rescale[i], tile_sum);
#pragma unroll
            for (int j = 0; j < DI; j++) acc[i][j] *= rescale[i];
        }

        /* acc += p x values, four keys at a time; p is 0 for keys beyond the tokens */
        int keys = min(BK, tokens - block_begin);
#if VC
        for (int key_begin = 0; key_begin < keys; key_begin += VC) {
            LOCAL_BARRIER(key_begin || (SK && !through_local));
            stage(kv_tile, DV * VEC, v + (size_t)(block_begin + key_begin) * pitch, pitch, VC,
                  tokens - block_begin - key_begin, 0, DV);
            barrier(CLK_LOCAL_MEM_FENCE);
            int key_end = min(key_begin + VC, keys);
#else
        {
            LOCAL_BARRIER(through_local);
            int key_begin = 0, key_end = keys;
#endif
#pragma unroll 1
            for (int key = key_begin; key < key_end; key += 4) {
                float probability[4][RQ];
#pragma unroll
                for (int i = 0; i < RQ; i++) {
                    if (in_subgroup) {
                        float own = p[i][0];
#pragma unroll
                        for (int j = 1; j < RK; j++) own = key / WK == j ? p[i][j] : own;
#pragma unroll
                        for (int e = 0; e < 4; e++)
                            probability[e][i] = SUBGROUP_BROADCAST(own, key % WK + e);
                    } else {
                        float4 key_quad = QUAD_LOAD(PROBABILITIES(i) + key);
                        probability[0][i] = key_quad.x;
                        probability[1][i] = key_quad.y;
                        probability[2][i] = key_quad.z;
                        probability[3][i] = key_quad.w;
                    }
                }
#pragma unroll
                for (int e = 0; e < 4; e++)
#pragma unroll
                    for (int j = 0; j < DI; j++) {
                        /* a work-item without a vector of its own repeats the last vector */
                        int vector = min(j * WK + tile_column, DV - 1);
#if VC
                        V value =
                            STAGED_LOAD(kv_tile + ((key + e - key_begin) * DV + vector) * VEC);
#else
                        V value = saturate(row_vector(
                            v + (size_t)min(block_begin + key + e, tokens - 1) * pitch, vector));
#endif
#pragma unroll
                        for (int i = 0; i < RQ; i++)
                            acc[i][j] = mad((V)(probability[e][i]), value, acc[i][j]);
                    }
            }
        }
    }

    LOCAL_BARRIER(through_local);
#pragma unroll
    for (int i = 0; i < RQ; i++)
        if (!in_subgroup) PROBABILITIES(i)[tile_column] = row_sum[i];
    LOCAL_BARRIER(through_local);
#pragma unroll
    for (int i = 0; i < RQ; i++) {
        float denominator = 0.0f;
        if (in_subgroup)
            denominator = SUBGROUP_SUM(row_sum[i]);
        else
            for (int j = 0; j < WK; j++) denominator += PROBABILITIES(i)[j];
        int query_row = query_begin + tile_row + i;
        global OUTPUT *dst = out + ((size_t)n * tokens + query_row) * OUT_PARTS * heads * D + h * D;
#pragma unroll
        for (int j = 0; j < DI; j++)
            if (query_row < tokens && j * WK + tile_column < DV)
                store_vector(dst, heads * D, j * WK + tile_column, acc[i][j] / denominator);
    }
}
