/* softmax(Q K^T / sqrt(d)) V in one pass (flash attention, with tiles in fragments, Dao 2023) on
 * matrix units (mma.clh). Factors have 16 bits. Sums and softmax are fp32. One work-group = BQ
 * queries of one head; it takes BK keys at a time. Floor: 4 T^2 d FLOP per head.
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
 * D: head width. WQ: queries of a sub-group. UC: sub-groups that share queries.
 * DC: channels of keys or values that are in local memory at a time, a "part".
 * QR: queries stay in registers. AHEAD: the next part is prefetched while this part is
 * multiplied. */

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
#define CD (DC < DP ? DC : DP)               /* channels of a part of the keys; CV: of the values */
#define PARTS ((DP + CD - 1) / CD)           /* parts of the channels */
#define CV (((PARTS == 1 ? D : CD) + UC * FRAG_K - 1) / (UC * FRAG_K) * UC * FRAG_K)
#define WHOLE (PARTS * CD == D && CV <= CD) /* one part holds all channels */
#define FQ (WQ / FRAG_Q)                    /* a sub-group's fragments of queries */
#define FK (BK / (UC * FRAG_K))             /* a sub-group's fragments of keys */
#define FC (CV / (UC * FRAG_K))             /* a sub-group's fragments of channels in a part */
#define SCORE_STEPS (CD / MMA_K)            /* MMA steps of a part of the keys */
#define VALUE_STEPS (BK / MMA_K)            /* MMA steps of the values */
#define PARTIALS (QUERY_LANES * UC)         /* lanes that have scores of one query */

/* Row pitches in local memory, in 16-bit numbers. The 8 numbers of padding let the rows of a
 * fragment begin in different banks. */
#define PITCH_K (CD + 8)
#define PITCH_V (BK + 8)
#define PITCH_Q (PARTS * CD + 8)
#define BUFFER (BK * PITCH_K > CV * PITCH_V ? BK * PITCH_K : CV * PITCH_V)
#if QR /* queries are loaded before the first keys and share their memory */
#define QUERIES_AT 0
#define TILES (BQ * PITCH_Q > 2 * BUFFER ? BQ * PITCH_Q : 2 * BUFFER)
#else
#define QUERIES_AT (2 * BUFFER)
#define TILES (2 * BUFFER + BQ * PITCH_Q)
#endif

/* DIRECT: each lane has computed exactly the p that the next MMA needs in this lane. */
#if UC == 1 && !defined MATRIX_UNIT_WMMA
#define DIRECT 1
#define PROBABILITIES 1
#else
#define DIRECT 0
#define PROBABILITIES (BQ * PITCH_V)
#endif

#define LOADS(tasks) (((tasks) + WORK_ITEMS - 1) / WORK_ITEMS)
#define HAS_TASK(v, tasks) ((tasks) % WORK_ITEMS == 0 || (int)(v) < (tasks))
#define TASKS_K (BK * CD / 4)
#define TASKS_V (BK / 2 * CV / 4)
#define IN_FLIGHT (LOADS(TASKS_K) > 2 * LOADS(TASKS_V) ? LOADS(TASKS_K) : 2 * LOADS(TASKS_V))
#define LOWEST -1e30f /* finite, so that no difference of two is NaN */
#define LIFT 14.0f    /* p is up to 2^14, so that fewer p underflow in fp16 */

/* ---- staging in local memory ---- */

/* Loads four channels of a row. Channels beyond D are 0. */
INLINE float4 load_four(global const float *row, int channel)
{
#if D % 4 == 0
    return WHOLE || channel < D ? *(global const float4 *)(row + channel) : (float4)(0.0f);
#else
    return (float4)(channel < D ? row[channel] : 0.0f, channel + 1 < D ? row[channel + 1] : 0.0f,
                    channel + 2 < D ? row[channel + 2] : 0.0f,
                    channel + 3 < D ? row[channel + 3] : 0.0f);
#endif
}

/* Rows behind the last one of q, k and v are read as the last row; p of such keys is 0. */
INLINE void stage_queries(local ushort *tile, global const float *q, int pitch, int rows,
                          uint local_id)
{
    const uint width = PARTS * CD / 4;
    for (uint v = local_id; v < BQ * width; v += WORK_ITEMS) {
        int row = v / width, channel = v % width * 4;
        float4 query = load_four(q + min(row, rows - 1) * pitch, channel);
        mma_round4(tile + row * PITCH_Q + channel, query);
    }
}

/* The row and the column of a work-item's load, in a tile of `rows` rows x `width` columns.
 * LINE_VECTORS neighbouring work-items read vectors of one row, so that reads are coalesced; the
 * next ones read the row below. All work-items together cover SWEEP rows at a time. Sizes are
 * powers of two, so an address is the sum of a part that depends on the work-item and a constant
 * that depends on the load. */
#define LINE_VECTORS(width) ((width) % 16 == 0 ? 4 : 2)
#define SWEEP(width) (WORK_ITEMS / LINE_VECTORS(width))
#define SWEEPS(width, rows) ((rows) > SWEEP(width) ? (rows) / SWEEP(width) : 1)
#define LINES(width, rows) (SWEEP(width) > (rows) ? SWEEP(width) / (rows) : 1)
#define ROW_OF(local_id, load, width, rows)                                                        \
    ((local_id) / LINE_VECTORS(width) % (rows) + (load) % SWEEPS(width, rows) * SWEEP(width))
#define COLUMN_OF(local_id, load, width, rows)                                                     \
    ((((local_id) / (LINE_VECTORS(width) * (rows)) +                                               \
       (load) / SWEEPS(width, rows) * LINES(width, rows)) *                                        \
          LINE_VECTORS(width) +                                                                    \
      (local_id) % LINE_VECTORS(width)) *                                                          \
     4)

INLINE void fetch_keys(float4 in_flight[IN_FLIGHT], global const float *k, int pitch, int rows,
                       int part, uint local_id)
{
#pragma unroll
    for (int load = 0; load < LOADS(TASKS_K); load++) {
        int row = min((int)ROW_OF(local_id, load, CD, BK), rows - 1);
        int channel = part * CD + COLUMN_OF(local_id, load, CD, BK);
        if (HAS_TASK(local_id + load * WORK_ITEMS, TASKS_K))
            in_flight[load] = load_four(k + row * pitch, channel);
    }
}

INLINE void stage_keys(local ushort *tile, float4 in_flight[IN_FLIGHT], uint local_id)
{
#pragma unroll
    for (int load = 0; load < LOADS(TASKS_K); load++) {
        int row = ROW_OF(local_id, load, CD, BK), channel = COLUMN_OF(local_id, load, CD, BK);
        if (HAS_TASK(local_id + load * WORK_ITEMS, TASKS_K))
            mma_round4(tile + LOCAL_ROW(row) * PITCH_K + channel, in_flight[load]);
    }
}

/* One load = four channels of two neighbouring keys. */
INLINE void fetch_values(float4 in_flight[IN_FLIGHT], global const float *values, int pitch,
                         int rows, int part, uint local_id)
{
#pragma unroll
    for (int load = 0; load < LOADS(TASKS_V); load++) {
        int row = ROW_OF(local_id, load, CV, BK / 2) * 2;
        int channel = part * CD + COLUMN_OF(local_id, load, CV, BK / 2);
#pragma unroll
        for (int e = 0; e < 2; e++)
            if (HAS_TASK(local_id + load * WORK_ITEMS, TASKS_V))
                in_flight[2 * load + e] =
                    load_four(values + min(row + e, rows - 1) * pitch, channel);
    }
}

/* Stores values transposed: [channel][key]. */
INLINE void stage_values(local ushort *tile, float4 in_flight[IN_FLIGHT], uint local_id)
{
#pragma unroll
    for (int load = 0; load < LOADS(TASKS_V); load++) {
        if (!HAS_TASK(local_id + load * WORK_ITEMS, TASKS_V)) continue;
        int channel = COLUMN_OF(local_id, load, CV, BK / 2), next_channel = LOCAL_ROW(1) * PITCH_V;
        float4 first = in_flight[2 * load], second = in_flight[2 * load + 1];
        local ushort *dst =
            tile + LOCAL_ROW(channel) * PITCH_V + ROW_OF(local_id, load, CV, BK / 2) * 2;
        mma_round2(dst, (float2)(first.x, second.x));
        mma_round2(dst + next_channel, (float2)(first.y, second.y));
        mma_round2(dst + 2 * next_channel, (float2)(first.z, second.z));
        mma_round2(dst + 3 * next_channel, (float2)(first.w, second.w));
    }
}

/* ---- MMAs ---- */

INLINE void clear_scores(mma_c score[FQ][FK])
{
#pragma unroll
    for (int i = 0; i < FQ; i++)
#pragma unroll
        for (int j = 0; j < FK; j++) score[i][j] = (mma_c)(0.0f);
}

/* score += queries x keys, for the channels of a part. keys, queries: local memory from the
 * sub-group's first row on. queries, fragments: from the part's first step on. */
INLINE void accumulate_scores(mma_c score[FQ][FK], local const uint *queries,
                              query_fragment fragments[FQ][SCORE_STEPS], local const uint *keys,
                              int lane, MMA_EXCHANGE exchange)
{
#pragma unroll
    for (int step = 0; step < SCORE_STEPS; step++) {
        query_fragment query[FQ];
#pragma unroll
        for (int i = 0; i < FQ; i++)
#if QR
            query[i] = fragments[i][step];
#else
            load_query_fragment(&query[i],
                                queries + i * FRAG_Q * (PITCH_Q / 2) + step * (MMA_K / 2),
                                PITCH_Q / 2, lane);
#endif
#pragma unroll
        for (int j = 0; j < FK; j++) {
            key_fragment key;
            load_key_fragment(&key, keys + j * FRAG_K * (PITCH_K / 2) + step * (MMA_K / 2),
                              PITCH_K / 2, lane);
#pragma unroll
            for (int i = 0; i < FQ; i++) {
                multiply(&score[i][j], query[i], key, exchange);
                MMA_PIN(score[i][j]);
            }
        }
    }
}

/* queries: local memory from the sub-group's first query on. */
INLINE void load_query_fragments(query_fragment fragments[QR ? PARTS : 1][FQ][SCORE_STEPS],
                                 local const uint *queries, int lane)
{
#pragma unroll
    for (int part = 0; part < (QR ? PARTS : 1); part++)
#pragma unroll
        for (int i = 0; i < FQ; i++)
#pragma unroll
            for (int step = 0; step < SCORE_STEPS; step++)
                load_query_fragment(&fragments[part][i][step],
                                    queries + i * FRAG_Q * (PITCH_Q / 2) +
                                        (part * SCORE_STEPS + step) * (MMA_K / 2),
                                    PITCH_Q / 2, lane);
}

/* Rounds p of MMA_K keys to a factor of the next MMA. */
#if DIRECT
INLINE uint2 pack4(const float *p)
{
    return (uint2)(mma_pack(p[0], p[1]), mma_pack(p[2], p[3]));
}

INLINE void probability_fragment(query_fragment *fragment, float p[][MMA_C])
{
#if defined MATRIX_UNIT_MMA
    uint2 a = pack4(p[0]), b = pack4(p[1]);
    *fragment = (uint4)(a.x, a.y, b.x, b.y);
#elif defined MATRIX_UNIT_MFMA
    *fragment = pack4(p[0]);
#elif defined MATRIX_UNIT_WMMA2
    uint2 a = pack4(p[0]), b = pack4(p[0] + 4);
    *fragment = (uint4)(a.x, a.y, b.x, b.y);
#else
    uint2 a = pack4(p[0]), b = pack4(p[0] + 4), c = pack4(p[1]), e = pack4(p[1] + 4);
    *fragment = (uint8)(a.x, a.y, b.x, b.y, c.x, c.y, e.x, e.y);
#endif
}
#endif

/* Gives p to the next MMA: as fragments in registers (DIRECT), or in local memory [query][key],
 * where dst is the sub-group's first query and key. */
INLINE void pass_probabilities(query_fragment fragments[VALUE_STEPS][FQ], local ushort *dst,
                               float p[FQ][FK][MMA_C], int lane)
{
#pragma unroll
    for (int i = 0; i < FQ; i++) {
#if DIRECT
#pragma unroll
        for (int step = 0; step < VALUE_STEPS; step++)
            probability_fragment(&fragments[step][i], p[i] + step * (MMA_K / FRAG_K));
#else
#pragma unroll
        for (int j = 0; j < FK; j++)
#pragma unroll
            for (int c = 0; c < MMA_C; c += RUN) {
                local ushort *position =
                    dst + (i * FRAG_Q + QUERY(lane, c)) * PITCH_V + j * FRAG_K + KEY(lane, c);
#if RUN == 2
                mma_round2(position, vload2(0, p[i][j] + c));
#else
                mma_round4(position, vload4(0, p[i][j] + c));
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
                              query_fragment fragments[VALUE_STEPS][FQ], local const uint *values,
                              int lane, MMA_EXCHANGE exchange)
{
#pragma unroll
    for (int i = 0; i < FQ; i++)
#pragma unroll
        for (int j = 0; j < FC; j++) scale(&acc[i][j], rescale[i]);
#pragma unroll
    for (int step = 0; step < VALUE_STEPS; step++) {
        query_fragment p[FQ];
#pragma unroll
        for (int i = 0; i < FQ; i++)
#if DIRECT
            p[i] = fragments[step][i];
#else
            load_query_fragment(&p[i],
                                probabilities + i * FRAG_Q * (PITCH_V / 2) + step * (MMA_K / 2),
                                PITCH_V / 2, lane);
#endif
#pragma unroll
        for (int j = 0; j < FC; j++) {
            key_fragment value;
            load_key_fragment(&value, values + j * FRAG_K * (PITCH_V / 2) + step * (MMA_K / 2),
                              PITCH_V / 2, lane);
#pragma unroll
            for (int i = 0; i < FQ; i++) {
                multiply(&acc[i][j], p[i], value, exchange);
                MMA_PIN(acc[i][j]);
            }
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

/* out: from the sub-group's first query on, of which `rows` exist. */
INLINE void store_fragment(global float *out, int pitch, mma_c acc, int rows, int query,
                           int channel, int lane)
{
    float values[MMA_C];
    mma_values(values, acc);
#pragma unroll
    for (int c = 0; c < MMA_C; c += RUN) {
        int row = query + QUERY(lane, c), column = channel + KEY(lane, c);
        global float *dst = out + (size_t)row * pitch + column;
        if (row >= rows) continue;
#if D % RUN == 0 && RUN == 2
        if (WHOLE || column < D) *(global float2 *)dst = vload2(0, values + c);
#elif D % RUN == 0
        if (WHOLE || column < D) *(global float4 *)dst = vload4(0, values + c);
#else
#pragma unroll
        for (int e = 0; e < RUN; e++)
            if (column + e < D) dst[e] = values[c + e];
#endif
    }
}

/* ---- the kernel ---- */

/* out: from the sub-group's first query and the head's first channel on; `rows` queries exist.
 * row_sum: over all lanes that share a query. */
INLINE void store_sums(global float *out, int pitch, mma_c acc[PARTS][FQ][FC],
                       float row_sum[FQ][LANE_QUERIES], int rows, int split, int lane)
{
#pragma unroll
    for (int i = 0; i < FQ; i++) {
        float factors[LANE_QUERIES];
#pragma unroll
        for (int query = 0; query < LANE_QUERIES; query++)
            factors[query] = 1.0f / row_sum[i][query];
#pragma unroll
        for (int part = 0; part < PARTS; part++)
#pragma unroll
            for (int j = 0; j < FC; j++) {
                scale(&acc[part][i][j], factors);
                store_fragment(out, pitch, acc[part][i][j], rows, i * FRAG_Q,
                               part * CD + (split * FC + j) * FRAG_K, lane);
            }
    }
}

INLINE void clear_state(mma_c acc[PARTS][FQ][FC], float row_max[FQ][LANE_QUERIES],
                        float row_sum[FQ][LANE_QUERIES])
{
#pragma unroll
    for (int i = 0; i < FQ; i++) {
#pragma unroll
        for (int part = 0; part < PARTS; part++)
#pragma unroll
            for (int j = 0; j < FC; j++) acc[part][i][j] = (mma_c)(0.0f);
#pragma unroll
        for (int query = 0; query < LANE_QUERIES; query++) {
            row_max[i][query] = LOWEST;
            row_sum[i][query] = 0.0f;
        }
    }
}

/* out [N*T][H*D]. q, k and v begin at 0, H*D and 2*H*D in the rows of qkv [N*T][3*H*D]; each is
 * head-major. factor: log2(e) / sqrt(d), since p is a power of two. Range in work-groups:
 * [ceil(T / BQ)][H][N].
 *
 * Parts of keys, then of values, are staged in two buffers in turn (double-buffered). When a
 * work-item passes the barrier behind a part, all work-items have finished reading the other
 * buffer. */
MMA_KERNEL kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1))) void
attention_mma(global float *out, global const float *qkv, int tokens, int heads, float factor)
{
    local ushort tiles[TILES] __attribute__((aligned(16)));
    local ushort all_probabilities[PROBABILITIES] __attribute__((aligned(16)));
    local float all_partials[PARTIALS > 1 ? BQ * PARTIALS : 1];
    MMA_DECLARE(exchange, WORK_ITEMS)
    uint local_id = (uint)get_local_id(0), sub_group = local_id / MMA_LANES;
    int lane = local_id % MMA_LANES, split = sub_group % UC;
    int tile_row = sub_group / UC * WQ; /* the sub-group's first query in the tile */
    int h = GROUP_ID(1, 1), n = GROUP_ID(2, 1);
    int query_begin = GROUP_ID(0, WORK_ITEMS) * BQ, pitch = 3 * heads * D;
    global const float *q = qkv + (size_t)n * tokens * pitch + h * D;
    global const float *k = q + heads * D, *v = k + heads * D;
    local const uint *queries = (local const uint *)(tiles + QUERIES_AT + tile_row * PITCH_Q);
    local ushort *probabilities = all_probabilities + (DIRECT ? 0 : tile_row * PITCH_V);
    local float *partials = all_partials + (PARTIALS > 1 ? tile_row * PARTIALS : 0);

    query_fragment query_fragments[QR ? PARTS : 1][FQ][SCORE_STEPS];
    mma_c acc[PARTS][FQ][FC];
    float row_max[FQ][LANE_QUERIES], row_sum[FQ][LANE_QUERIES]; /* row_sum: over this lane's keys */
    float4 in_flight[IN_FLIGHT];
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
        query_fragment p_fragments[VALUE_STEPS][FQ];
        clear_scores(score);
#if QR
#pragma unroll
#endif
        for (int part = 0; part < PARTS; part++) {
            local ushort *stage = tiles + part % 2 * BUFFER;
            if (!AHEAD) fetch_keys(in_flight, k, pitch, keys_left, part, local_id);
            stage_keys(stage, in_flight, local_id);
            barrier(CLK_LOCAL_MEM_FENCE);
            if (AHEAD && part + 1 < PARTS)
                fetch_keys(in_flight, k, pitch, keys_left, part + 1, local_id);
            if (AHEAD && part + 1 == PARTS)
                fetch_values(in_flight, v, pitch, keys_left, 0, local_id);
            accumulate_scores(score, queries + part * (CD / 2), query_fragments[QR ? part : 0],
                              (local const uint *)(stage + split * FK * FRAG_K * PITCH_K), lane,
                              exchange);
        }
        k += (size_t)BK * pitch;
        find_maxima(maximum, p, score, keys_left - split * FK * FRAG_K, lane);
        store_partials(partials, maximum, split, lane);
#pragma unroll
        for (int part = 0; part < PARTS; part++) {
            local ushort *stage = tiles + (PARTS + part) % 2 * BUFFER;
            if (!AHEAD) fetch_values(in_flight, v, pitch, keys_left, part, local_id);
            stage_values(stage, in_flight, local_id);
            barrier(CLK_LOCAL_MEM_FENCE);
            if (AHEAD && part + 1 < PARTS)
                fetch_values(in_flight, v, pitch, keys_left, part + 1, local_id);
            if (AHEAD && part + 1 == PARTS && keys_left > BK)
                fetch_keys(in_flight, k, pitch, keys_left - BK, 0, local_id);
            if (part == 0) {
                compute_probabilities(p, rescale, row_max, row_sum, maximum, partials, factor,
                                      lane);
                pass_probabilities(p_fragments, probabilities + split * FK * FRAG_K, p, lane);
                if (!DIRECT) barrier(CLK_LOCAL_MEM_FENCE);
            }
            accumulate_values(acc[part], rescale, (local const uint *)probabilities, p_fragments,
                              (local const uint *)(stage + split * FC * FRAG_K * PITCH_V), lane,
                              exchange);
        }
        v += (size_t)BK * pitch;
    }

    barrier(CLK_LOCAL_MEM_FENCE); /* all work-items have read the maxima */
    store_partials(partials, row_sum, split, lane);
    barrier(CLK_LOCAL_MEM_FENCE);
    sum_partials(row_sum, partials, lane);
    store_sums(out + ((size_t)n * tokens + query_begin + tile_row) * heads * D + h * D, heads * D,
               acc, row_sum, tokens - query_begin - tile_row, split, lane);
}
