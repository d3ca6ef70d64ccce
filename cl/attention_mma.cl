/* softmax(Q K^T / sqrt(d)) V in one pass (flash attention, with tiles in fragments, Dao 2023) on
 * matrix units (mma.clh). Factors have 16 bits (factors.clh). Sums and softmax are fp32. One
 * work-group = BQ queries of one head; it takes BK keys at a time. Floor: 4 T^2 d FLOP per head of
 * the matrix unit; three times that with FACTOR_PARTS 2.
 *
 *                 BK keys               channels, DC at a time
 *             +------+------+          +------+------+
 *          WQ |  s0  |  s1  |  p       |  s0  |  s1  |     UC = 2: sub-groups s0 and s1 share WQ
 *             +------+------+  ->   x  +------+------+     queries; each has a part of the keys
 *          WQ |  s2  |  s3  |          |  s2  |  s3  |     for the scores and of the channels
 *             +------+------+          +------+------+     for the results
 *              Q K^T in fragments       acc in fragments
 *
 * Scores stay in registers. The probabilities p pass through local memory only if the next MMA
 * needs them in other lanes. Online softmax joins the blocks of keys (attention.cl names its
 * variables).
 *
 * FACTOR_PARTS: 2 for bf16x3: q, k, v and p are sums of a high and a low bf16, and each product is
 * three: low high + high low + high high. Without the low part of p the error would be that of
 * bf16.
 *
 *     local memory, 16-bit numbers: queries and keys [row][PITCH], values [channel][PITCH_V]
 *     a row: channels or keys, high parts | the same, low parts (FACTOR_PARTS 2) | 8 of padding
 *
 * D: head width. WQ: queries of a sub-group. UC: sub-groups that share queries.
 * DC: channels of keys or values that are in local memory at a time, a "chunk".
 * QR: queries stay in registers. AHEAD: the next chunk is prefetched while this chunk is
 * multiplied.
 * READS_FACTORS: qkv holds factors. WRITES_FACTORS: out does. Both need D % 8 == 0. */

#include "mma.clh"

/* The queries are factor a or b of an MMA, whichever gives a lane many keys of few queries. Then
 * few lanes share a query's maximum, and p lies where the next MMA needs it.
 * FRAG_Q: queries of a fragment. FRAG_K: keys or channels of a fragment.
 * QUERY, KEY: the query and the key of a lane's value i.
 * LANE_QUERIES: queries that a lane has values of. LANE_QUERY(i): which of them value i belongs to.
 * QUERY_LANES: lanes that have values of one query. QUERY_LANE: a lane's index among them.
 * RUN: consecutive keys in a lane's values.
 * LOCAL_ROW(x): the row in local memory of key or channel x. */
#if defined MATRIX_UNIT_MMA
#define FRAG_Q MMA_M
#define FRAG_K MMA_N
#define QUERY(lane, i) MMA_ROW(lane, i)
#define KEY(lane, i) MMA_COLUMN(lane, i)
#define LANE_QUERIES 2
#define LANE_QUERY(i) ((i) / 2)
#define QUERY_LANES 4
#define QUERY_LANE(lane) ((lane) % 4)
#define RUN 2
typedef mma_a query_fragment;
typedef mma_b key_fragment;
#define load_query_fragment mma_load_a
#define load_key_fragment mma_load_b
#define multiply(sum, query, key, exchange) mma_multiply(sum, query, key, exchange)
#else
#define FRAG_Q MMA_N
#define FRAG_K MMA_M
#define QUERY(lane, i) MMA_COLUMN(lane, i)
#define LANE_QUERIES 1
#define LANE_QUERY(i) 0
#define QUERY_LANES (MMA_LANES / MMA_N)
#define QUERY_LANE(lane) ((lane) / MMA_N)
#define RUN 4
typedef mma_b query_fragment;
typedef mma_a key_fragment;
#define load_query_fragment mma_load_b
#define load_key_fragment mma_load_a
#define multiply(sum, query, key, exchange) mma_multiply(sum, key, query, exchange)
#endif
#if defined MATRIX_UNIT_WMMA /* a lane's rows are two apart */
#define KEY(lane, i) ((lane) / 16 * 8 + (i))
#define LOCAL_ROW(x) ((x) / 16 * 16 + (x) % 8 * 2 + (x) / 8 % 2)
#else
#if !defined MATRIX_UNIT_MMA
#define KEY(lane, i) MMA_ROW(lane, i)
#endif
#define LOCAL_ROW(x) (x)
#endif

#define WORK_ITEMS (MMA_LANES * (BQ / WQ) * UC)
#define DP ((D + MMA_K - 1) / MMA_K * MMA_K) /* padded head width */
#define CD (DC < DP ? DC : DP)      /* channels of a chunk of the keys; CV: of the values */
#define CHUNKS ((DP + CD - 1) / CD) /* chunks of the channels */
#define CV (((CHUNKS == 1 ? D : CD) + UC * FRAG_K - 1) / (UC * FRAG_K) * UC * FRAG_K)
#define WHOLE (CHUNKS * CD == D && CV <= CD) /* one chunk holds all channels */
#define FQ (WQ / FRAG_Q)                     /* a sub-group's fragments of queries */
#define FK (BK / (UC * FRAG_K))              /* a sub-group's fragments of keys */
#define FC (CV / (UC * FRAG_K))              /* a sub-group's fragments of channels in a chunk */
#define SCORE_STEPS (CD / MMA_K)             /* MMA steps of a chunk of the keys */
#define VALUE_STEPS (BK / MMA_K)             /* MMA steps of the values */
#define PARTIALS (QUERY_LANES * UC)          /* lanes that have scores of one query */

/* Tiles in local memory, in 16-bit numbers: keys, values, queries, and p, whose pitch is that of
 * values. PITCH_*: from a row to the next. *_AT(x): where step x of a row is. */
#define PITCH_K MMA_PITCH(FACTOR_PARTS *CD)
#define PITCH_V MMA_PITCH(FACTOR_PARTS *BK)
#define PITCH_Q MMA_PITCH(FACTOR_PARTS *CHUNKS *CD)
#define K_AT(x) MMA_STEP(x, BK)
#define V_AT(x) MMA_STEP(x, CV)
#define Q_AT(x) MMA_STEP(x, BQ)
#define TILE_K MMA_TILE(BK, FACTOR_PARTS *CD)
#define TILE_V MMA_TILE(CV, FACTOR_PARTS *BK)
#define TILE_Q MMA_TILE(BQ, FACTOR_PARTS *CHUNKS *CD)
#define BUFFER (TILE_K > TILE_V ? TILE_K : TILE_V)
#if QR /* queries are loaded before the first keys and share their memory */
#define QUERIES_AT 0
#define TILES (TILE_Q > 2 * BUFFER ? TILE_Q : 2 * BUFFER)
#else
#define QUERIES_AT (2 * BUFFER)
#define TILES (2 * BUFFER + TILE_Q)
#endif

/* DIRECT: each lane has computed exactly the p that the next MMA needs in this lane. */
#if UC == 1 && !defined MATRIX_UNIT_WMMA
#define DIRECT 1
#define PROBABILITIES 1
#else
#define DIRECT 0
#define PROBABILITIES MMA_TILE(BQ, FACTOR_PARTS *BK)
#endif

#define LOWEST -1e30f /* finite, so that no difference of two is NaN */
#define LIFT 14.0f    /* p is up to 2^14, so that fewer p underflow in fp16 */

#include "attention_tiles.clh"

/* ---- MMAs ---- */

INLINE void clear_scores(mma_c score[FQ][FK])
{
#pragma unroll
    for (int i = 0; i < FQ; i++)
#pragma unroll
        for (int j = 0; j < FK; j++) score[i][j] = (mma_c)(0.0f);
}

/* Loads the parts of a factor; `low` words lie between them. */
#define load_parts(load, fragment, tile, low, words, lane)                                         \
    _Pragma("unroll") for (int part = 0; part < FACTOR_PARTS; part++)                              \
        load(&(fragment)[part], (tile) + part * (low), words, lane)

#define copy_parts(to, from)                                                                       \
    _Pragma("unroll") for (int part = 0; part < FACTOR_PARTS; part++)(to)[part] = (from)[part]

/* sum += query x key. Of bf16x3, the small products are added first. */
INLINE void multiply_parts(mma_c *sum, query_fragment query[FACTOR_PARTS],
                           key_fragment key[FACTOR_PARTS], MMA_EXCHANGE exchange)
{
#pragma unroll
    for (int p = 2 * FACTOR_PARTS - 2; p >= 0; p--)
        multiply(sum, query[p / 2], key[p % 2], exchange);
    MMA_PIN(*sum);
}

/* score += queries x keys, for the channels of a chunk. keys, queries: local memory from the
 * sub-group's first row on. queries, fragments: from the chunk's first step on. */
INLINE void accumulate_scores(mma_c score[FQ][FK], local const uint *queries,
                              query_fragment fragments[FQ][SCORE_STEPS][FACTOR_PARTS],
                              local const uint *keys, int lane, MMA_EXCHANGE exchange)
{
#pragma unroll
    for (int step = 0; step < SCORE_STEPS; step++) {
        query_fragment query[FQ][FACTOR_PARTS];
#pragma unroll
        for (int i = 0; i < FQ; i++)
#if QR
            copy_parts(query[i], fragments[i][step]);
#else
            load_parts(load_query_fragment, query[i],
                       queries + i * FRAG_Q * (PITCH_Q / 2) + Q_AT(step * MMA_K) / 2,
                       Q_AT(CHUNKS * CD) / 2, PITCH_Q / 2, lane);
#endif
#pragma unroll
        for (int j = 0; j < FK; j++) {
            key_fragment key[FACTOR_PARTS];
            load_parts(load_key_fragment, key,
                       keys + j * FRAG_K * (PITCH_K / 2) + K_AT(step * MMA_K) / 2, K_AT(CD) / 2,
                       PITCH_K / 2, lane);
#pragma unroll
            for (int i = 0; i < FQ; i++) multiply_parts(&score[i][j], query[i], key, exchange);
        }
    }
}

/* queries: local memory from the sub-group's first query on. */
INLINE void
load_query_fragments(query_fragment fragments[QR ? CHUNKS : 1][FQ][SCORE_STEPS][FACTOR_PARTS],
                     local const uint *queries, int lane)
{
#pragma unroll
    for (int chunk = 0; chunk < (QR ? CHUNKS : 1); chunk++)
#pragma unroll
        for (int i = 0; i < FQ; i++)
#pragma unroll
            for (int step = 0; step < SCORE_STEPS; step++)
                load_parts(load_query_fragment, fragments[chunk][i][step],
                           queries + i * FRAG_Q * (PITCH_Q / 2) +
                               Q_AT((chunk * SCORE_STEPS + step) * MMA_K) / 2,
                           Q_AT(CHUNKS * CD) / 2, PITCH_Q / 2, lane);
}

/* Rounds p of MMA_K keys to a factor of the next MMA. */
#if DIRECT
#define QUADS ((int)sizeof(query_fragment) / 8) /* fours of numbers in a fragment */

INLINE void probability_fragment(query_fragment fragment[FACTOR_PARTS], float p[][MMA_C])
{
    uint2 parts[FACTOR_PARTS][QUADS];
#pragma unroll
    for (int quad = 0; quad < QUADS; quad++) {
        const float *four = p[quad * 4 / MMA_C] + quad * 4 % MMA_C;
        parts[0][quad] = (uint2)(mma_pack(four[0], four[1]), mma_pack(four[2], four[3]));
#if FACTOR_PARTS == 2
        parts[1][quad] = mma_pack4_low(vload4(0, four), parts[0][quad]);
#endif
    }
/* from numbers, since an emulator fails at a vector of vectors */
#define QUAD(quad) parts[part][quad].x, parts[part][quad].y
#pragma unroll
    for (int part = 0; part < FACTOR_PARTS; part++)
#if defined MATRIX_UNIT_MFMA
        fragment[part] = (uint2)(QUAD(0));
#elif defined MATRIX_UNIT_MMA || defined MATRIX_UNIT_WMMA2
        fragment[part] = (uint4)(QUAD(0), QUAD(1));
#else
        fragment[part] = (uint8)(QUAD(0), QUAD(1), QUAD(2), QUAD(3));
#endif
}
#endif

/* Gives p to the next MMA: as fragments in registers (DIRECT), or in local memory [query][key],
 * where dst is the sub-group's first query; first_key: its first key. */
INLINE void pass_probabilities(query_fragment fragments[VALUE_STEPS][FQ][FACTOR_PARTS],
                               local ushort *dst, int first_key, float p[FQ][FK][MMA_C], int lane)
{
#pragma unroll
    for (int i = 0; i < FQ; i++) {
#if DIRECT
#pragma unroll
        for (int step = 0; step < VALUE_STEPS; step++)
            probability_fragment(fragments[step][i], p[i] + step * (MMA_K / FRAG_K));
#else
#pragma unroll
        for (int j = 0; j < FK; j++)
#pragma unroll
            for (int c = 0; c < MMA_C; c += RUN) {
                local ushort *position = dst + (i * FRAG_Q + QUERY(lane, c)) * PITCH_V +
                                         Q_AT(first_key + j * FRAG_K + KEY(lane, c));
#if RUN == 2
                stage2(position, Q_AT(BK), vload2(0, p[i][j] + c));
#else
                stage4(position, Q_AT(BK), vload4(0, p[i][j] + c));
#endif
            }
#endif
    }
}

/* Multiplies the accumulators of each query by its factor. */
INLINE void scale(mma_c *acc, float factors[LANE_QUERIES])
{
#if LANE_QUERIES == 1
    *acc *= factors[0];
#else
    *acc *= (float4)(factors[0], factors[0], factors[1], factors[1]);
#endif
}

/* acc = acc * rescale + p x values. values: from the sub-group's first channel on. p is in
 * fragments (DIRECT), or in probabilities from the sub-group's first query on. */
INLINE void accumulate_values(mma_c acc[FQ][FC], float rescale[FQ][LANE_QUERIES],
                              local const uint *probabilities,
                              query_fragment fragments[VALUE_STEPS][FQ][FACTOR_PARTS],
                              local const uint *values, int lane, MMA_EXCHANGE exchange)
{
#pragma unroll
    for (int i = 0; i < FQ; i++)
#pragma unroll
        for (int j = 0; j < FC; j++) scale(&acc[i][j], rescale[i]);
#pragma unroll
    for (int step = 0; step < VALUE_STEPS; step++) {
        query_fragment p[FQ][FACTOR_PARTS];
#pragma unroll
        for (int i = 0; i < FQ; i++)
#if DIRECT
            copy_parts(p[i], fragments[step][i]);
#else
            load_parts(load_query_fragment, p[i],
                       probabilities + i * FRAG_Q * (PITCH_V / 2) + Q_AT(step * MMA_K) / 2,
                       Q_AT(BK) / 2, PITCH_V / 2, lane);
#endif
#pragma unroll
        for (int j = 0; j < FC; j++) {
            key_fragment value[FACTOR_PARTS];
            load_parts(load_key_fragment, value,
                       values + j * FRAG_K * (PITCH_V / 2) + V_AT(step * MMA_K) / 2, V_AT(BK) / 2,
                       PITCH_V / 2, lane);
#pragma unroll
            for (int i = 0; i < FQ; i++) multiply_parts(&acc[i][j], p[i], value, exchange);
        }
    }
}

/* ---- softmax ---- */

/* p = the scores of the sub-group's keys, of which keys_left exist. maximum = the highest score of
 * each of the lane's queries. */
INLINE void find_maxima(float maximum[FQ][LANE_QUERIES], float p[FQ][FK][MMA_C],
                        mma_c score[FQ][FK], int keys_left, int lane)
{
#pragma unroll
    for (int i = 0; i < FQ; i++) {
#pragma unroll
        for (int j = 0; j < FK; j++) {
            mma_values(p[i][j], score[i][j]);
#pragma unroll
            for (int c = 0; c < MMA_C; c++)
                if (keys_left < FK * FRAG_K && j * FRAG_K + KEY(lane, c) >= keys_left)
                    p[i][j][c] = LOWEST;
        }
#pragma unroll
        for (int query = 0; query < LANE_QUERIES; query++) maximum[i][query] = LOWEST;
#pragma unroll
        for (int j = 0; j < FK; j++)
#pragma unroll
            for (int c = 0; c < MMA_C; c++)
                maximum[i][LANE_QUERY(c)] = fmax(maximum[i][LANE_QUERY(c)], p[i][j][c]);
    }
}

/* 2^x by the device's approximation, which is exact enough for a p that is rounded to 16 bits. */
INLINE float fast_exp2(float x)
{
#if defined MATRIX_UNIT_EMULATED
    return exp2(x);
#elif defined MATRIX_UNIT_MMA
    float power;
    __asm__("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
#else
    return native_exp2(x);
#endif
}

/* Lanes share a query's maximum, and at the end its sum, through local memory: PARTIALS elements
 * for each query, from the sub-group's first query on. */
#define PARTIAL_INDEX(i, query) (((i)*FRAG_Q + QUERY(lane, (query)*RUN)) * PARTIALS)

INLINE void store_partials(local float *partials, float values[FQ][LANE_QUERIES], int split,
                           int lane)
{
#if PARTIALS > 1
#pragma unroll
    for (int i = 0; i < FQ; i++)
#pragma unroll
        for (int query = 0; query < LANE_QUERIES; query++)
            partials[PARTIAL_INDEX(i, query) + split * QUERY_LANES + QUERY_LANE(lane)] =
                values[i][query];
#endif
}

/* Replaces scores by p. Updates row_max, and row_sum over this lane's keys. rescale = the factor
 * for the accumulators and sums of earlier keys. */
INLINE void compute_probabilities(float p[FQ][FK][MMA_C], float rescale[FQ][LANE_QUERIES],
                                  float row_max[FQ][LANE_QUERIES], float row_sum[FQ][LANE_QUERIES],
                                  float maximum[FQ][LANE_QUERIES], local const float *partials,
                                  float factor, int lane)
{
#pragma unroll
    for (int i = 0; i < FQ; i++) {
#pragma unroll
        for (int query = 0; query < LANE_QUERIES; query++) {
            float new_max = maximum[i][query];
#if PARTIALS > 1
#pragma unroll
            for (int partial = 0; partial < PARTIALS; partial++)
                new_max = fmax(new_max, partials[PARTIAL_INDEX(i, query) + partial]);
#endif
            new_max = fmax(row_max[i][query], new_max * factor);
            rescale[i][query] = fast_exp2(row_max[i][query] - new_max);
            row_max[i][query] = new_max;
            row_sum[i][query] *= rescale[i][query];
        }
#pragma unroll
        for (int j = 0; j < FK; j++)
#pragma unroll
            for (int c = 0; c < MMA_C; c++) {
                float probability =
                    fast_exp2(mad(p[i][j][c], factor, LIFT - row_max[i][LANE_QUERY(c)]));
                row_sum[i][LANE_QUERY(c)] += probability;
                p[i][j][c] = probability;
            }
    }
}

INLINE void sum_partials(float row_sum[FQ][LANE_QUERIES], local const float *partials, int lane)
{
#if PARTIALS > 1
#pragma unroll
    for (int i = 0; i < FQ; i++)
#pragma unroll
        for (int query = 0; query < LANE_QUERIES; query++) {
            row_sum[i][query] = 0.0f;
#pragma unroll
            for (int partial = 0; partial < PARTIALS; partial++)
                row_sum[i][query] += partials[PARTIAL_INDEX(i, query) + partial];
        }
#endif
}

/* out: from the sub-group's first query and its first channel on; `rows` queries exist. */
INLINE void store_fragment(global OUTPUT *out, int width, mma_c acc, int rows, int query,
                           int channel, int lane)
{
    float values[MMA_C];
    mma_values(values, acc);
#pragma unroll
    for (int c = 0; c < MMA_C; c += RUN) {
        int row = query + QUERY(lane, c), column = channel + KEY(lane, c);
        if (row >= rows) continue;
#if WRITES_FACTORS
        global ushort *dst = out + (size_t)row * FACTOR_PARTS * width;
        if (WHOLE || column < D) STORE_RUN(dst, width, column, values + c);
#else
        global float *dst = out + (size_t)row * width + column;
#if D % RUN == 0 && RUN == 2
        if (WHOLE || column < D) *(global float2 *)dst = vload2(0, values + c);
#elif D % RUN == 0
        if (WHOLE || column < D) *(global float4 *)dst = vload4(0, values + c);
#else
#pragma unroll
        for (int e = 0; e < RUN; e++)
            if (column + e < D) dst[e] = values[c + e];
#endif
#endif
    }
}

/* ---- the kernel ---- */

/* out: from the sub-group's first query and the head's first channel on; `rows` queries exist.
 * row_sum: over all lanes that share a query. */
INLINE void store_sums(global OUTPUT *out, int width, mma_c acc[CHUNKS][FQ][FC],
                       float row_sum[FQ][LANE_QUERIES], int rows, int split, int lane)
{
#pragma unroll
    for (int i = 0; i < FQ; i++) {
        float factors[LANE_QUERIES];
#pragma unroll
        for (int query = 0; query < LANE_QUERIES; query++)
            factors[query] = 1.0f / row_sum[i][query];
#pragma unroll
        for (int chunk = 0; chunk < CHUNKS; chunk++)
#pragma unroll
            for (int j = 0; j < FC; j++) {
                scale(&acc[chunk][i][j], factors);
                store_fragment(out, width, acc[chunk][i][j], rows, i * FRAG_Q,
                               chunk * CD + (split * FC + j) * FRAG_K, lane);
            }
    }
}

INLINE void clear_state(mma_c acc[CHUNKS][FQ][FC], float row_max[FQ][LANE_QUERIES],
                        float row_sum[FQ][LANE_QUERIES])
{
#pragma unroll
    for (int i = 0; i < FQ; i++) {
#pragma unroll
        for (int chunk = 0; chunk < CHUNKS; chunk++)
#pragma unroll
            for (int j = 0; j < FC; j++) acc[chunk][i][j] = (mma_c)(0.0f);
#pragma unroll
        for (int query = 0; query < LANE_QUERIES; query++) {
            row_max[i][query] = LOWEST;
            row_sum[i][query] = 0.0f;
        }
    }
}

/* out [N*T][H*D]. q, k and v begin at 0, H*D and 2*H*D in the rows of qkv [N*T][3*H*D]; each is
 * head-major. As factors they are [N*T][FACTOR_PARTS][H*D] and [N*T][FACTOR_PARTS][3*H*D]. factor:
 * log2(e) / sqrt(d), since p is a power of two. Range in work-groups: [ceil(T / BQ)][H][N].
 *
 * Chunks of keys, then of values, are staged in two buffers in turn (double-buffered). When a
 * work-item passes the barrier behind a chunk, all work-items have finished reading the other
 * buffer. */
MMA_KERNEL kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1))) void
attention_mma(global OUTPUT *out, global const INPUT *qkv, int tokens, int heads, float factor)
{
    local ushort tiles[TILES] __attribute__((aligned(32)));
    local ushort all_probabilities[PROBABILITIES] __attribute__((aligned(16)));
    local float all_partials[PARTIALS > 1 ? BQ * PARTIALS : 1];
    MMA_DECLARE(exchange, WORK_ITEMS)
    uint local_id = (uint)get_local_id(0), sub_group = MMA_SUB_GROUP(local_id);
    int lane = local_id % MMA_LANES, split = sub_group % UC;
    int tile_row = sub_group / UC * WQ; /* the sub-group's first query in the tile */
    int h = GROUP_ID(1, 1), n = GROUP_ID(2, 1);
    int query_begin = GROUP_ID(0, WORK_ITEMS) * BQ, width = heads * D;
    const int pitch = (READS_FACTORS ? FACTOR_PARTS : 1) * 3 * width;
    global const INPUT *q = qkv + (size_t)n * tokens * pitch + h * D;
    global const INPUT *k = q + width, *v = k + width;
    local const uint *queries = (local const uint *)(tiles + QUERIES_AT + tile_row * PITCH_Q);
    local ushort *probabilities = all_probabilities + (DIRECT ? 0 : tile_row * PITCH_V);
    local float *partials = all_partials + (PARTIALS > 1 ? tile_row * PARTIALS : 0);

    query_fragment query_fragments[QR ? CHUNKS : 1][FQ][SCORE_STEPS][FACTOR_PARTS];
    mma_c acc[CHUNKS][FQ][FC];
    float row_max[FQ][LANE_QUERIES], row_sum[FQ][LANE_QUERIES]; /* row_sum: over this lane's keys */
    loaded in_flight[IN_FLIGHT];
    clear_state(acc, row_max, row_sum);
    if (AHEAD) fetch_keys(in_flight, k, pitch, tokens, 0, local_id);
    stage_queries(tiles + QUERIES_AT, q + (size_t)query_begin * pitch, pitch, tokens - query_begin,
                  local_id);
#if QR
    barrier(CLK_LOCAL_MEM_FENCE);
    load_query_fragments(query_fragments, queries, lane);
    barrier(CLK_LOCAL_MEM_FENCE);
#endif
    for (int keys_left = tokens; keys_left > 0; keys_left -= BK) {
        mma_c score[FQ][FK];
        float p[FQ][FK][MMA_C], maximum[FQ][LANE_QUERIES], rescale[FQ][LANE_QUERIES];
        query_fragment p_fragments[VALUE_STEPS][FQ][FACTOR_PARTS];
        clear_scores(score);
#if QR
#pragma unroll
#endif
        for (int chunk = 0; chunk < CHUNKS; chunk++) {
            local ushort *stage = tiles + chunk % 2 * BUFFER;
            if (!AHEAD) fetch_keys(in_flight, k, pitch, keys_left, chunk, local_id);
            stage_keys(stage, in_flight, local_id);
            barrier(CLK_LOCAL_MEM_FENCE);
            if (AHEAD && chunk + 1 < CHUNKS)
                fetch_keys(in_flight, k, pitch, keys_left, chunk + 1, local_id);
            if (AHEAD && chunk + 1 == CHUNKS)
                fetch_values(in_flight, v, pitch, keys_left, 0, local_id);
            accumulate_scores(
                score, queries + Q_AT(chunk * CD) / 2, query_fragments[QR ? chunk : 0],
                (local const uint *)(stage + split * FK * FRAG_K * PITCH_K), lane, exchange);
        }
        k += (size_t)BK * pitch;
        find_maxima(maximum, p, score, keys_left - split * FK * FRAG_K, lane);
        store_partials(partials, maximum, split, lane);
#pragma unroll
        for (int chunk = 0; chunk < CHUNKS; chunk++) {
            local ushort *stage = tiles + (CHUNKS + chunk) % 2 * BUFFER;
            if (!AHEAD) fetch_values(in_flight, v, pitch, keys_left, chunk, local_id);
            stage_values(stage, in_flight, local_id);
            barrier(CLK_LOCAL_MEM_FENCE);
            if (AHEAD && chunk + 1 < CHUNKS)
                fetch_values(in_flight, v, pitch, keys_left, chunk + 1, local_id);
            if (AHEAD && chunk + 1 == CHUNKS && keys_left > BK)
                fetch_keys(in_flight, k, pitch, keys_left - BK, 0, local_id);
            if (chunk == 0) {
                compute_probabilities(p, rescale, row_max, row_sum, maximum, partials, factor,
                                      lane);
                pass_probabilities(p_fragments, probabilities, split * FK * FRAG_K, p, lane);
                if (!DIRECT) barrier(CLK_LOCAL_MEM_FENCE);
            }
            accumulate_values(acc[chunk], rescale, (local const uint *)probabilities, p_fragments,
                              (local const uint *)(stage + split * FC * FRAG_K * PITCH_V), lane,
                              exchange);
        }
        v += (size_t)BK * pitch;
    }

    barrier(CLK_LOCAL_MEM_FENCE); /* all work-items have read the maxima */
    store_partials(partials, row_sum, split, lane);
    barrier(CLK_LOCAL_MEM_FENCE);
    sum_partials(row_sum, partials, lane);
    out += ((size_t)n * tokens + query_begin + tile_row) * (WRITES_FACTORS ? FACTOR_PARTS : 1) *
               width +
           h * D;
    store_sums(out, width, acc, row_sum, tokens - query_begin - tile_row, split, lane);
}
