/* softmax(Q K^T / sqrt(d)) V in one pass (flash attention). The scores of BQ queries and BK keys
 * become weights in registers or local memory and are never written to global memory (online
 * softmax, Milakov & Gimelshein 2018; tiles, Dao et al. 2022).
 *
 * Floor: 4 T^2 d FLOP per head.
 * D: head width. BQ, BK: queries and keys of a work-group's tile.
 * RQ, RK: queries and keys of a work-item's scores.
 * VEC: channels that are read and summed at once. DC: channels of keys that are staged at a time.
 * SQ: queries are read from global memory (0), staged whole (1) or staged with the keys (2).
 * SK: keys are staged. VC: keys whose values are staged at a time; 0: values are not staged.
 * WIDE: a score is summed in the lanes of a vector. HALF: staged numbers are rounded to fp16.
 * SG: the WK work-items that share queries are a sub-group of SG_SIZE. Sub-group functions reduce
 * and broadcast their weights. */

#define WQ (BQ / RQ) /* rows of the grid of work-items */
#define WK (BK / RK) /* columns of the grid of work-items */
#define GROUP (WQ * WK)
#define DV ((D + VEC - 1) / VEC) /* vectors of a head */
#define DI ((DV + WK - 1) / WK)  /* vectors that a work-item sums */
#define CV (DC / VEC < DV ? DC / VEC : DV)
#define PITCH_K ((CV + 1) * VEC) /* one vector of padding against bank conflicts */
#define PITCH_Q (SQ == 1 ? (DV + 1) * VEC : PITCH_K)
#define PITCH_P (BK + 4)
#define ALONE (WK == 1) /* a work-item has all keys of a tile and shares no weights */
#define LOWEST -1e30f   /* finite, so that no difference of two is NaN */

/* PASSES: the work-items of a grid row are one sub-group. Without a required sub-group size the
 * compiler may have chosen another size. */
#if SG
#if SUBGROUPS_REQUIRED
#define PASSES true
#else
#define PASSES (get_max_sub_group_size() == SG_SIZE)
#endif
#define HIGHEST(x) sub_group_reduce_max(x)
#define ALL_OF(x) sub_group_reduce_add(x)
#define OF_LANE(x, item) sub_group_broadcast(x, (uint)(item))
#else
#define PASSES false
#define HIGHEST(x) (x)
#define ALL_OF(x) (x)
#define OF_LANE(x, item) (x)
#endif
#define LOCAL_BARRIER(needed)                                                                      \
    if (needed) barrier(CLK_LOCAL_MEM_FENCE)

#if HALF
#define TILE ushort
#define AS_HALF(p) ((local half *)(p))
#if VEC == 1
#define TILE_LOAD_V(p) vload_half(0, AS_HALF(p))
#define TILE_STORE_V(v, p) vstore_half(v, 0, AS_HALF(p))
#elif VEC == 4
#define TILE_LOAD_V(p) vload_half4(0, AS_HALF(p))
#define TILE_STORE_V(v, p) vstore_half4(v, 0, AS_HALF(p))
#elif VEC == 8
#define TILE_LOAD_V(p) vload_half8(0, AS_HALF(p))
#define TILE_STORE_V(v, p) vstore_half8(v, 0, AS_HALF(p))
#else
#define TILE_LOAD_V(p) vload_half16(0, AS_HALF(p))
#define TILE_STORE_V(v, p) vstore_half16(v, 0, AS_HALF(p))
#endif
#else
#define TILE float
#define TILE_LOAD_V(p) VLOAD(p)
#define TILE_STORE_V(v, p) VSTORE(v, p)
#endif

/* Clamps to the range of fp16 with HALF. NaN stays NaN. */
INLINE V fit(V x)
{
#if HALF
    return fabs(x) < (V)(INFINITY) ? clamp(x, (V)(-65504.0f), (V)(65504.0f)) : x;
#else
    return x;
#endif
}

/* Vector `at` of a row of D channels. Channels beyond D are 0. */
INLINE V row_vector(global const float *row, int at)
{
#if D % VEC != 0
    if (at == DV - 1) {
        float lane[VEC];
#pragma unroll
        for (int j = 0; j < VEC; j++) lane[j] = at * VEC + j < D ? row[at * VEC + j] : 0.0f;
        return VLOAD(lane);
    }
#endif
    return VLOAD(row + at * VEC);
}

INLINE void store_vector(global float *row, int at, V x)
{
#if D % VEC != 0
    if (at == DV - 1) {
        float lane[VEC];
        VSTORE(x, lane);
#pragma unroll
        for (int j = 0; j < VEC; j++)
            if (at * VEC + j < D) row[at * VEC + j] = lane[j];
        return;
    }
#endif
    VSTORE(x, row + at * VEC);
}

/* Stages `vectors` vectors, beginning with vector `first`, of each row of a tile. Rows from `real`
 * on are 0. */
INLINE void stage(local TILE *to, int pitch, global const float *from, int row_pitch, int rows,
                  int real, int first, int vectors)
{
    for (int i = (int)get_local_id(0); i < rows * vectors; i += GROUP) {
        int row = i / vectors, at = i % vectors;
        if (first + at >= DV) continue;
        V x = row < real ? row_vector(from + (size_t)row * row_pitch, first + at) : (V)(0.0f);
        TILE_STORE_V(fit(x), to + row * pitch + at * VEC);
    }
}

INLINE float lane_sum(V x)
{
    float lane[VEC], sum = 0.0f;
    VSTORE(x, lane);
#pragma unroll
    for (int j = 0; j < VEC; j++) sum += lane[j];
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

/* out [N*T][H*D]. q, k and v begin at 0, H*D and 2*H*D in the rows of qkv [N*T][3*H*D]; each is
 * head-major. factor: log2(e) / sqrt(d), since the weights are powers of two. One work-group = BQ
 * queries of one head. */
#if SG
SUBGROUP_SIZE(SG_SIZE)
#endif
kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
attention(global float *out, global const float *qkv, int tokens, int heads, float factor)
{
#if ALONE
    float weights[RQ * PITCH_P];
#define WEIGHTS(i) (weights + (i)*PITCH_P)
#elif SG && SUBGROUPS_REQUIRED
    local float *weights = 0; /* not used: weights are broadcast */
#define WEIGHTS(i) weights
#else
    local float weights[BQ * PITCH_P];
#define WEIGHTS(i) (weights + (mine + (i)) * PITCH_P)
#endif
    bool passes = PASSES, shares = !passes && !ALONE;
#if SQ
    local TILE q_tile[BQ * PITCH_Q];
#endif
#if SK || VC
    local TILE kv_tile[SK * BK * PITCH_K > VC * DV * VEC ? SK * BK * PITCH_K : VC * DV * VEC];
#endif
    int me = (int)get_local_id(0), mine = me / WK * RQ, column = me % WK;
    int h = GROUP_ID(1, 1), n = GROUP_ID(2, 1);
    int first = GROUP_ID(0, GROUP) * BQ, pitch = 3 * heads * D;
    global const float *q = qkv + (size_t)n * tokens * pitch + h * D;
    global const float *k = q + heads * D, *v = k + heads * D;

    V sum[RQ][DI];
    float top[RQ], total[RQ]; /* total: over this work-item's keys */
#pragma unroll
    for (int i = 0; i < RQ; i++) {
#pragma unroll
        for (int j = 0; j < DI; j++) sum[i][j] = 0.0f;
        top[i] = LOWEST;
        total[i] = 0.0f;
    }
#if SQ == 1
    stage(q_tile, PITCH_Q, q + (size_t)first * pitch, pitch, BQ, tokens - first, 0, DV);
#endif
    for (int block = 0; block < tokens; block += BK) {
        SCORE score[RQ][RK];
#pragma unroll
        for (int i = 0; i < RQ; i++)
#pragma unroll
            for (int j = 0; j < RK; j++) score[i][j] = 0.0f;
        for (int c = 0; c < DV; c += CV) {
            LOCAL_BARRIER(SQ || SK || VC || shares);
#if SQ == 2
            stage(q_tile, PITCH_Q, q + (size_t)first * pitch, pitch, BQ, tokens - first, c, CV);
#endif
#if SK
            stage(kv_tile, PITCH_K, k + (size_t)block * pitch, pitch, BK, tokens - block, c, CV);
#endif
#if SK || SQ == 2
            barrier(CLK_LOCAL_MEM_FENCE);
#endif
            int some = min(CV, DV - c);
#if !SQ || !SK
#pragma unroll 1 /* some compilers load ahead until registers run out */
#endif
            for (int at = 0; at < some; at++) {
                V key[RK];
#pragma unroll
                for (int j = 0; j < RK; j++)
#if SK
                    key[j] = TILE_LOAD_V(kv_tile + (j * WK + column) * PITCH_K + at * VEC);
#else
                    key[j] = fit(row_vector(
                        k + (size_t)min(block + j * WK + column, tokens - 1) * pitch, c + at));
#endif
#pragma unroll
                for (int i = 0; i < RQ; i++) {
#if SQ == 1
                    V query = TILE_LOAD_V(q_tile + (mine + i) * PITCH_Q + (c + at) * VEC);
#elif SQ
                    V query = TILE_LOAD_V(q_tile + (mine + i) * PITCH_Q + at * VEC);
#else
                        V query = fit(row_vector(
                            q + (size_t)min(first + mine + i, tokens - 1) * pitch, c + at));
#endif
#pragma unroll
                    for (int j = 0; j < RK; j++) score[i][j] = DOT(query, key[j], score[i][j]);
                }
            }
        }

        /* The highest score of each query: over this work-item's keys, then over its row of the
         * grid. */
        float s[RQ][RK], highest[RQ];
#pragma unroll
        for (int i = 0; i < RQ; i++) {
            float high = LOWEST;
#pragma unroll
            for (int j = 0; j < RK; j++) {
                bool real = block + j * WK + column < tokens;
                s[i][j] = real ? SCORE_SUM(score[i][j]) * factor : LOWEST;
                high = fmax(high, s[i][j]);
            }
            highest[i] = high;
            if (!passes) WEIGHTS(i)[column] = high;
        }
        LOCAL_BARRIER(shares);
        float shrink[RQ];
#pragma unroll
        for (int i = 0; i < RQ; i++) {
            float high = top[i];
            if (passes)
                high = fmax(high, HIGHEST(highest[i]));
            else
                for (int j = 0; j < WK; j++) high = fmax(high, WEIGHTS(i)[j]);
            shrink[i] = exp2(top[i] - high);
            top[i] = high;
        }
        LOCAL_BARRIER(shares);
#pragma unroll
        for (int i = 0; i < RQ; i++) {
            float part = 0.0f;
#pragma unroll
            for (int j = 0; j < RK; j++) {
                s[i][j] = exp2(s[i][j] - top[i]);
                if (!passes) WEIGHTS(i)[j * WK + column] = s[i][j];
                part += s[i][j];
            }
            total[i] = mad(total[i], shrink[i], part);
#pragma unroll
            for (int j = 0; j < DI; j++) sum[i][j] *= shrink[i];
        }

        /* sum += weights x values, four keys at a time. Weights of keys beyond the tokens are 0. */
        int keys = min(BK, tokens - block);
#if VC
        for (int begin = 0; begin < keys; begin += VC) {
            LOCAL_BARRIER(begin || (SK && !shares));
            stage(kv_tile, DV * VEC, v + (size_t)(block + begin) * pitch, pitch, VC,
                  tokens - block - begin, 0, DV);
            barrier(CLK_LOCAL_MEM_FENCE);
            int end = min(begin + VC, keys);
#else
        {
            LOCAL_BARRIER(shares);
            int begin = 0, end = keys;
#endif
#pragma unroll 1
            for (int key = begin; key < end; key += 4) {
                float weight[4][RQ];
#pragma unroll
                for (int i = 0; i < RQ; i++) {
                    if (passes) {
                        float held = s[i][0];
#pragma unroll
                        for (int j = 1; j < RK; j++) held = key / WK == j ? s[i][j] : held;
#pragma unroll
                        for (int e = 0; e < 4; e++) weight[e][i] = OF_LANE(held, key % WK + e);
                    } else {
                        float4 four = vload4(0, WEIGHTS(i) + key);
                        weight[0][i] = four.x;
                        weight[1][i] = four.y;
                        weight[2][i] = four.z;
                        weight[3][i] = four.w;
                    }
                }
#pragma unroll
                for (int e = 0; e < 4; e++)
#pragma unroll
                    for (int j = 0; j < DI; j++) {
                        /* a work-item without a vector of its own repeats the last vector */
                        int at = min(j * WK + column, DV - 1);
#if VC
                        V value = TILE_LOAD_V(kv_tile + ((key + e - begin) * DV + at) * VEC);
#else
                        V value = fit(
                            row_vector(v + (size_t)min(block + key + e, tokens - 1) * pitch, at));
#endif
#pragma unroll
                        for (int i = 0; i < RQ; i++)
                            sum[i][j] = mad((V)(weight[e][i]), value, sum[i][j]);
                    }
            }
        }
    }

    LOCAL_BARRIER(shares);
#pragma unroll
    for (int i = 0; i < RQ; i++)
        if (!passes) WEIGHTS(i)[column] = total[i];
    LOCAL_BARRIER(shares);
#pragma unroll
    for (int i = 0; i < RQ; i++) {
        float all = 0.0f;
        if (passes)
            all = ALL_OF(total[i]);
        else
            for (int j = 0; j < WK; j++) all += WEIGHTS(i)[j];
        int row = first + mine + i;
        global float *to = out + ((size_t)n * tokens + row) * heads * D + h * D;
#pragma unroll
        for (int j = 0; j < DI; j++)
            if (row < tokens && j * WK + column < DV)
                store_vector(to, j * WK + column, sum[i][j] / all);
    }
}
