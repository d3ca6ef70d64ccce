/* softmax(Q K^T / sqrt(d)) V in one pass (flash attention) on matrix units (mma.clh). Factors have
 * 16 bits. Sums and softmax are fp32. Scores stay in registers; weights pass through local memory
 * only if the next MMA needs them in other lanes (online softmax, Milakov & Gimelshein 2018; tiles
 * in fragments, Dao 2023).
 *
 * Floor: 4 T^2 d FLOP per head.
 * D: head width. A work-group has BQ queries of one head and takes BK keys at a time.
 * WQ: queries of a matrix unit. UC: matrix units that have the same queries; each takes a part of
 * the keys for the scores and a part of the channels for the results.
 * DC: channels of keys or values that are in local memory at a time.
 * QR: queries stay in registers. AHEAD: the next part is prefetched while this part is
 * multiplied. */

#include "mma.clh"

/* The factor that holds the queries is chosen so that a lane has many keys of few queries: few
 * lanes then share a query's maximum, and weights lie where the next MMA needs them.
 * UQ: queries of a fragment. UK: keys or channels of a fragment.
 * QUERY, KEY: the query and the key of a lane's value i.
 * OWN: queries that a lane has values of. OWN_OF(i): the index of value i's query among them.
 * WAYS: lanes that have values of one query. WAY: a lane's index among them.
 * RUN: consecutive keys in a lane's values.
 * PLACE(x): the row in local memory of key or channel x. */
#if defined MATRIX_UNIT_MMA
#define UQ MMA_M
#define UK MMA_N
#define QUERY(lane, i) MMA_ROW(lane, i)
#define KEY(lane, i) MMA_COLUMN(lane, i)
#define OWN 2
#define OWN_OF(i) ((i) / 2)
#define WAYS 4
#define WAY(lane) ((lane) % 4)
#define RUN 2
typedef mma_a query_factor;
typedef mma_b key_factor;
#define load_query mma_load_a
#define load_key mma_load_b
#define multiply(sum, query, key, exchange) mma_multiply(sum, query, key, exchange)
#else
#define UQ MMA_N
#define UK MMA_M
#define QUERY(lane, i) MMA_COLUMN(lane, i)
#define OWN 1
#define OWN_OF(i) 0
#define WAYS (MMA_LANES / MMA_N)
#define WAY(lane) ((lane) / MMA_N)
#define RUN 4
typedef mma_b query_factor;
typedef mma_a key_factor;
#define load_query mma_load_b
#define load_key mma_load_a
#define multiply(sum, query, key, exchange) mma_multiply(sum, key, query, exchange)
#endif
#if defined MATRIX_UNIT_WMMA /* a lane's rows are two apart */
#define KEY(lane, i) ((lane) / 16 * 8 + (i))
#define PLACE(x) ((x) / 16 * 16 + (x) % 8 * 2 + (x) / 8 % 2)
#else
#if !defined MATRIX_UNIT_MMA
#define KEY(lane, i) MMA_ROW(lane, i)
#endif
#define PLACE(x) (x)
#endif

#define WORK_ITEMS (MMA_LANES * (BQ / WQ) * UC)
#define DP ((D + MMA_K - 1) / MMA_K * MMA_K)
#define CD (DC < DP ? DC : DP)     /* channels of a part of the keys; CV: of the values */
#define PARTS ((DP + CD - 1) / CD) /* parts of the keys' channels */
#define CV (((PARTS == 1 ? D : CD) + UC * UK - 1) / (UC * UK) * UC * UK)
#define WHOLE (PARTS * CD == D && CV <= CD) /* one part holds all channels */
#define FQ (WQ / UQ)
#define FK (BK / (UC * UK)) /* fragments of keys of a matrix unit */
#define FC (CV / (UC * UK)) /* fragments of channels in a part */
#define FD (CD / MMA_K)     /* MMA steps of a part of the keys */
#define FP (BK / MMA_K)     /* MMA steps of the values */
#define SHARERS (WAYS * UC) /* lanes that have scores of one query */

/* Row pitches in local memory, in 16-bit numbers. The 8 numbers of padding let the rows of a
 * fragment begin in different banks. */
#define ROW_K (CD + 8)
#define ROW_V (BK + 8)
#define ROW_Q (PARTS * CD + 8)
#define BUFFER (BK * ROW_K > CV * ROW_V ? BK * ROW_K : CV * ROW_V)
#if QR /* queries are loaded before the first keys and share their memory */
#define Q_AT 0
#define TILES (BQ * ROW_Q > 2 * BUFFER ? BQ * ROW_Q : 2 * BUFFER)
#else
#define Q_AT (2 * BUFFER)
#define TILES (2 * BUFFER + BQ * ROW_Q)
#endif

/* DIRECT: a lane computed the very weights that the next MMA needs in that lane. */
#if UC == 1 && !defined MATRIX_UNIT_WMMA
#define DIRECT 1
#define WEIGHTS 1
#else
#define DIRECT 0
#define WEIGHTS (BQ * ROW_V)
#endif

#define LOADS(tasks) (((tasks) + WORK_ITEMS - 1) / WORK_ITEMS)
#define MINE(v, tasks) ((tasks) % WORK_ITEMS == 0 || (int)(v) < (tasks))
#define TASKS_K (BK * CD / 4)
#define TASKS_V (BK / 2 * CV / 4)
#define IN_FLIGHT (LOADS(TASKS_K) > 2 * LOADS(TASKS_V) ? LOADS(TASKS_K) : 2 * LOADS(TASKS_V))
#define LOWEST -1e30f /* finite, so that no difference of two is NaN */
#define LIFT 14.0f    /* weights up to 2^14: fewer underflow in fp16 */

/* ---- staging in local memory ---- */

/* Four channels from `at` on of a row. Channels beyond D are 0. */
INLINE float4 four(global const float *row, int at)
{
#if D % 4 == 0
    return WHOLE || at < D ? *(global const float4 *)(row + at) : (float4)(0.0f);
#else
    return (float4)(at < D ? row[at] : 0.0f, at + 1 < D ? row[at + 1] : 0.0f,
                    at + 2 < D ? row[at + 2] : 0.0f, at + 3 < D ? row[at + 3] : 0.0f);
#endif
}

/* Rows beyond the last row of q, k and v are read as the last row; those keys get weight 0. */
INLINE void stage_queries(local ushort *tile, global const float *q, int pitch, int rows, uint me)
{
    const uint width = PARTS * CD / 4;
    for (uint v = me; v < BQ * width; v += WORK_ITEMS) {
        int row = v / width, at = v % width * 4;
        float4 x = four(q + min(row, rows - 1) * pitch, at);
        mma_round4(tile + row * ROW_Q + at, x);
    }
}

/* The row and column of a lane's task number l. LINE neighbouring lanes read LINE vectors of one
 * row, so that reads are coalesced; the next lanes read the rows below. All lanes together cover
 * SWEEP rows at a time. Sizes are powers of two, so an address is the sum of a part that depends on
 * the lane and a constant that depends on l. */
#define LINE(width) ((width) % 16 == 0 ? 4 : 2)
#define SWEEP(width) (WORK_ITEMS / LINE(width))
#define SWEEPS(width, rows) ((rows) > SWEEP(width) ? (rows) / SWEEP(width) : 1)
#define LINES(width, rows) (SWEEP(width) > (rows) ? SWEEP(width) / (rows) : 1)
#define ROW_OF(me, l, width, rows)                                                                 \
    ((me) / LINE(width) % (rows) + (l) % SWEEPS(width, rows) * SWEEP(width))
#define COLUMN_OF(me, l, width, rows)                                                              \
    ((((me) / (LINE(width) * (rows)) + (l) / SWEEPS(width, rows) * LINES(width, rows)) *           \
          LINE(width) +                                                                            \
      (me) % LINE(width)) *                                                                        \
     4)

INLINE void fetch_keys(float4 in_flight[IN_FLIGHT], global const float *k, int pitch, int rows,
                       int part, uint me)
{
#pragma unroll
    for (int l = 0; l < LOADS(TASKS_K); l++) {
        int row = min((int)ROW_OF(me, l, CD, BK), rows - 1);
        int at = part * CD + COLUMN_OF(me, l, CD, BK);
        if (MINE(me + l * WORK_ITEMS, TASKS_K)) in_flight[l] = four(k + row * pitch, at);
    }
}

INLINE void keep_keys(local ushort *tile, float4 in_flight[IN_FLIGHT], uint me)
{
#pragma unroll
    for (int l = 0; l < LOADS(TASKS_K); l++) {
        int row = ROW_OF(me, l, CD, BK), at = COLUMN_OF(me, l, CD, BK);
        if (MINE(me + l * WORK_ITEMS, TASKS_K))
            mma_round4(tile + PLACE(row) * ROW_K + at, in_flight[l]);
    }
}

/* One task of values = four channels of two keys. */
INLINE void fetch_values(float4 in_flight[IN_FLIGHT], global const float *values, int pitch,
                         int rows, int part, uint me)
{
#pragma unroll
    for (int l = 0; l < LOADS(TASKS_V); l++) {
        int row = ROW_OF(me, l, CV, BK / 2) * 2;
        int at = part * CD + COLUMN_OF(me, l, CV, BK / 2);
#pragma unroll
        for (int e = 0; e < 2; e++)
            if (MINE(me + l * WORK_ITEMS, TASKS_V))
                in_flight[2 * l + e] = four(values + min(row + e, rows - 1) * pitch, at);
    }
}

/* Stores values transposed: [channel][key]. */
INLINE void keep_values(local ushort *tile, float4 in_flight[IN_FLIGHT], uint me)
{
#pragma unroll
    for (int l = 0; l < LOADS(TASKS_V); l++) {
        if (!MINE(me + l * WORK_ITEMS, TASKS_V)) continue;
        int at = COLUMN_OF(me, l, CV, BK / 2), next = PLACE(1) * ROW_V;
        float4 x = in_flight[2 * l], y = in_flight[2 * l + 1];
        local ushort *to = tile + PLACE(at) * ROW_V + ROW_OF(me, l, CV, BK / 2) * 2;
        mma_round2(to, (float2)(x.x, y.x));
        mma_round2(to + next, (float2)(x.y, y.y));
        mma_round2(to + 2 * next, (float2)(x.z, y.z));
        mma_round2(to + 3 * next, (float2)(x.w, y.w));
    }
}

/* ---- MMAs ---- */

INLINE void begin_scores(mma_c score[FQ][FK])
{
#pragma unroll
    for (int i = 0; i < FQ; i++)
#pragma unroll
        for (int j = 0; j < FK; j++) score[i][j] = (mma_c)(0.0f);
}

/* keys, queries: local memory from the matrix unit's first row on. queries, held: from this part's
 * first step on. */
INLINE void add_scores(mma_c score[FQ][FK], local const uint *queries, query_factor held[FQ][FD],
                       local const uint *keys, int lane, MMA_EXCHANGE exchange)
{
#pragma unroll
    for (int step = 0; step < FD; step++) {
        query_factor x[FQ];
#pragma unroll
        for (int i = 0; i < FQ; i++)
#if QR
            x[i] = held[i][step];
#else
            load_query(&x[i], queries + i * UQ * (ROW_Q / 2) + step * (MMA_K / 2), ROW_Q / 2, lane);
#endif
#pragma unroll
        for (int j = 0; j < FK; j++) {
            key_factor y;
            load_key(&y, keys + j * UK * (ROW_K / 2) + step * (MMA_K / 2), ROW_K / 2, lane);
#pragma unroll
            for (int i = 0; i < FQ; i++) {
                multiply(&score[i][j], x[i], y, exchange);
                MMA_PIN(score[i][j]);
            }
        }
    }
}

/* queries: local memory from the matrix unit's first query on. */
INLINE void hold_queries(query_factor held[QR ? PARTS : 1][FQ][FD], local const uint *queries,
                         int lane)
{
#pragma unroll
    for (int p = 0; p < (QR ? PARTS : 1); p++)
#pragma unroll
        for (int i = 0; i < FQ; i++)
#pragma unroll
            for (int step = 0; step < FD; step++)
                load_query(&held[p][i][step],
                           queries + i * UQ * (ROW_Q / 2) + (p * FD + step) * (MMA_K / 2),
                           ROW_Q / 2, lane);
}

/* Rounds the scores' weights of MMA_K keys to a factor of the next MMA. */
#if DIRECT
INLINE uint2 pack4(const float *x)
{
    return (uint2)(mma_pack(x[0], x[1]), mma_pack(x[2], x[3]));
}

INLINE void weights_factor(query_factor *to, float x[][MMA_C])
{
#if defined MATRIX_UNIT_MMA
    uint2 a = pack4(x[0]), b = pack4(x[1]);
    *to = (uint4)(a.x, a.y, b.x, b.y);
#elif defined MATRIX_UNIT_MFMA
    *to = pack4(x[0]);
#elif defined MATRIX_UNIT_WMMA2
    uint2 a = pack4(x[0]), b = pack4(x[0] + 4);
    *to = (uint4)(a.x, a.y, b.x, b.y);
#else
    uint2 a = pack4(x[0]), b = pack4(x[0] + 4), c = pack4(x[1]), e = pack4(x[1] + 4);
    *to = (uint8)(a.x, a.y, b.x, b.y, c.x, c.y, e.x, e.y);
#endif
}
#endif

/* Gives the weights to the next MMA: as factors in registers (DIRECT), or in local memory
 * [query][key], from the matrix unit's first query and key on. */
INLINE void pass_weights(query_factor held[FP][FQ], local ushort *to, float x[FQ][FK][MMA_C],
                         int lane)
{
#pragma unroll
    for (int i = 0; i < FQ; i++) {
#if DIRECT
#pragma unroll
        for (int step = 0; step < FP; step++)
            weights_factor(&held[step][i], x[i] + step * (MMA_K / UK));
#else
#pragma unroll
        for (int j = 0; j < FK; j++)
#pragma unroll
            for (int c = 0; c < MMA_C; c += RUN) {
                local ushort *at = to + (i * UQ + QUERY(lane, c)) * ROW_V + j * UK + KEY(lane, c);
#if RUN == 2
                mma_round2(at, vload2(0, x[i][j] + c));
#else
                mma_round4(at, vload4(0, x[i][j] + c));
#endif
            }
#endif
    }
}

/* Multiplies the sums of each query by its element of `by`. */
INLINE void scale(mma_c *sum, float by[OWN])
{
#if OWN == 1
    *sum *= by[0];
#else
    *sum *= (float4)(by[0], by[0], by[1], by[1]);
#endif
}

/* sum = sum * shrink + weights x values. values: from the matrix unit's first channel on. weights:
 * from its first query on, used if `held` does not have them. */
INLINE void add_values(mma_c sum[FQ][FC], float shrink[FQ][OWN], local const uint *weights,
                       query_factor held[FP][FQ], local const uint *values, int lane,
                       MMA_EXCHANGE exchange)
{
#pragma unroll
    for (int i = 0; i < FQ; i++)
#pragma unroll
        for (int j = 0; j < FC; j++) scale(&sum[i][j], shrink[i]);
#pragma unroll
    for (int step = 0; step < FP; step++) {
        query_factor x[FQ];
#pragma unroll
        for (int i = 0; i < FQ; i++)
#if DIRECT
            x[i] = held[step][i];
#else
            load_query(&x[i], weights + i * UQ * (ROW_V / 2) + step * (MMA_K / 2), ROW_V / 2, lane);
#endif
#pragma unroll
        for (int j = 0; j < FC; j++) {
            key_factor y;
            load_key(&y, values + j * UK * (ROW_V / 2) + step * (MMA_K / 2), ROW_V / 2, lane);
#pragma unroll
            for (int i = 0; i < FQ; i++) {
                multiply(&sum[i][j], x[i], y, exchange);
                MMA_PIN(sum[i][j]);
            }
        }
    }
}

/* ---- softmax ---- */

/* x = the scores of `left` keys from the matrix unit's first key on. high = the highest score of
 * each query. */
INLINE void find_highest(float high[FQ][OWN], float x[FQ][FK][MMA_C], mma_c score[FQ][FK], int left,
                         int lane)
{
#pragma unroll
    for (int i = 0; i < FQ; i++) {
#pragma unroll
        for (int j = 0; j < FK; j++) {
            mma_values(x[i][j], score[i][j]);
#pragma unroll
            for (int c = 0; c < MMA_C; c++)
                if (left < FK * UK && j * UK + KEY(lane, c) >= left) x[i][j][c] = LOWEST;
        }
#pragma unroll
        for (int o = 0; o < OWN; o++) high[i][o] = LOWEST;
#pragma unroll
        for (int j = 0; j < FK; j++)
#pragma unroll
            for (int c = 0; c < MMA_C; c++)
                high[i][OWN_OF(c)] = fmax(high[i][OWN_OF(c)], x[i][j][c]);
    }
}

/* 2^x for numbers that are rounded to 16 bits afterwards: the device's own exp2 is exact enough. */
INLINE float weight_exp2(float x)
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

/* The SHARERS elements of a query in `shared`, which begins with the matrix unit's first query. */
#define SHARED(i, o) (((i)*UQ + QUERY(lane, (o)*RUN)) * SHARERS)

INLINE void share_values(local float *shared, float x[FQ][OWN], int share, int lane)
{
#if SHARERS > 1
#pragma unroll
    for (int i = 0; i < FQ; i++)
#pragma unroll
        for (int o = 0; o < OWN; o++) shared[SHARED(i, o) + share * WAYS + WAY(lane)] = x[i][o];
#endif
}

/* x = the weights of the scores. Updates top, the score that weights are relative to, and total,
 * the sum of this lane's weights. shrink = the factor for the sums and totals of earlier keys. */
INLINE void weigh(float x[FQ][FK][MMA_C], float shrink[FQ][OWN], float top[FQ][OWN],
                  float total[FQ][OWN], float high[FQ][OWN], local const float *shared,
                  float factor, int lane)
{
#pragma unroll
    for (int i = 0; i < FQ; i++) {
#pragma unroll
        for (int o = 0; o < OWN; o++) {
            float highest = high[i][o];
#if SHARERS > 1
#pragma unroll
            for (int w = 0; w < SHARERS; w++) highest = fmax(highest, shared[SHARED(i, o) + w]);
#endif
            highest = fmax(top[i][o], highest * factor);
            shrink[i][o] = weight_exp2(top[i][o] - highest);
            top[i][o] = highest;
            total[i][o] *= shrink[i][o];
        }
#pragma unroll
        for (int j = 0; j < FK; j++)
#pragma unroll
            for (int c = 0; c < MMA_C; c++) {
                float weight = weight_exp2(mad(x[i][j][c], factor, LIFT - top[i][OWN_OF(c)]));
                total[i][OWN_OF(c)] += weight;
                x[i][j][c] = weight;
            }
    }
}

INLINE void add_totals(float total[FQ][OWN], local const float *shared, int lane)
{
#if SHARERS > 1
#pragma unroll
    for (int i = 0; i < FQ; i++)
#pragma unroll
        for (int o = 0; o < OWN; o++) {
            total[i][o] = 0.0f;
#pragma unroll
            for (int w = 0; w < SHARERS; w++) total[i][o] += shared[SHARED(i, o) + w];
        }
#endif
}

/* out: from the matrix unit's first query on, of which `rows` exist. */
INLINE void store_fragment(global float *out, int pitch, mma_c sum, int rows, int query,
                           int channel, int lane)
{
    float x[MMA_C];
    mma_values(x, sum);
#pragma unroll
    for (int c = 0; c < MMA_C; c += RUN) {
        int row = query + QUERY(lane, c), at = channel + KEY(lane, c);
        global float *to = out + (size_t)row * pitch + at;
        if (row >= rows) continue;
#if D % RUN == 0 && RUN == 2
        if (WHOLE || at < D) *(global float2 *)to = vload2(0, x + c);
#elif D % RUN == 0
        if (WHOLE || at < D) *(global float4 *)to = vload4(0, x + c);
#else
#pragma unroll
        for (int e = 0; e < RUN; e++)
            if (at + e < D) to[e] = x[c + e];
#endif
    }
}

/* ---- the kernel ---- */

/* out: from the matrix unit's first query and its head's first channel on; `rows` queries exist.
 * total: over all lanes that share a query. */
INLINE void store_sums(global float *out, int pitch, mma_c sum[PARTS][FQ][FC], float total[FQ][OWN],
                       int rows, int share, int lane)
{
#pragma unroll
    for (int i = 0; i < FQ; i++) {
        float by[OWN];
#pragma unroll
        for (int o = 0; o < OWN; o++) by[o] = 1.0f / total[i][o];
#pragma unroll
        for (int p = 0; p < PARTS; p++)
#pragma unroll
            for (int j = 0; j < FC; j++) {
                scale(&sum[p][i][j], by);
                store_fragment(out, pitch, sum[p][i][j], rows, i * UQ,
                               p * CD + (share * FC + j) * UK, lane);
            }
    }
}

INLINE void begin_sums(mma_c sum[PARTS][FQ][FC], float top[FQ][OWN], float total[FQ][OWN])
{
#pragma unroll
    for (int i = 0; i < FQ; i++) {
#pragma unroll
        for (int p = 0; p < PARTS; p++)
#pragma unroll
            for (int j = 0; j < FC; j++) sum[p][i][j] = (mma_c)(0.0f);
#pragma unroll
        for (int o = 0; o < OWN; o++) {
            top[i][o] = LOWEST;
            total[i][o] = 0.0f;
        }
    }
}

/* out [N*T][H*D]. q, k and v begin at 0, H*D and 2*H*D in the rows of qkv [N*T][3*H*D]; each is
 * head-major. factor: log2(e) / sqrt(d), since the weights are powers of two. One work-group = BQ
 * queries of one head.
 *
 * Parts of keys, then of values, are staged in two buffers in turn (double-buffered). The barrier
 * after a part is stored also means that all work-items have finished with the other buffer. */
MMA_KERNEL kernel __attribute__((reqd_work_group_size(WORK_ITEMS, 1, 1))) void
attention_mma(global float *out, global const float *qkv, int tokens, int heads, float factor)
{
    local ushort tiles[TILES] __attribute__((aligned(16)));
    local ushort all_weights[WEIGHTS] __attribute__((aligned(16)));
    local float all_shared[SHARERS > 1 ? BQ * SHARERS : 1];
    MMA_DECLARE(exchange, WORK_ITEMS)
    uint me = (uint)get_local_id(0), unit = me / MMA_LANES;
    int lane = me % MMA_LANES, share = unit % UC;
    int first = unit / UC * WQ; /* the matrix unit's first query in the tile */
    int h = GROUP_ID(1, 1), n = GROUP_ID(2, 1);
    int begin = GROUP_ID(0, WORK_ITEMS) * BQ, pitch = 3 * heads * D;
    global const float *q = qkv + (size_t)n * tokens * pitch + h * D;
    global const float *k = q + heads * D, *v = k + heads * D;
    local const uint *queries = (local const uint *)(tiles + Q_AT + first * ROW_Q);
    local ushort *weights = all_weights + (DIRECT ? 0 : first * ROW_V);
    local float *shared = all_shared + (SHARERS > 1 ? first * SHARERS : 0);

    query_factor held[QR ? PARTS : 1][FQ][FD];
    mma_c sum[PARTS][FQ][FC];
    float top[FQ][OWN], total[FQ][OWN]; /* total: over this lane's keys */
    float4 in_flight[IN_FLIGHT];
    begin_sums(sum, top, total);
    if (AHEAD) fetch_keys(in_flight, k, pitch, tokens, 0, me);
    stage_queries(tiles + Q_AT, q + (size_t)begin * pitch, pitch, tokens - begin, me);
#if QR
    barrier(CLK_LOCAL_MEM_FENCE);
    hold_queries(held, queries, lane);
    barrier(CLK_LOCAL_MEM_FENCE);
#endif
    for (int left = tokens; left > 0; left -= BK) {
        mma_c score[FQ][FK];
        float x[FQ][FK][MMA_C], high[FQ][OWN], shrink[FQ][OWN];
        query_factor weight[FP][FQ];
        begin_scores(score);
#if QR
#pragma unroll
#endif
        for (int p = 0; p < PARTS; p++) {
            local ushort *tile = tiles + p % 2 * BUFFER;
            if (!AHEAD) fetch_keys(in_flight, k, pitch, left, p, me);
            keep_keys(tile, in_flight, me);
            barrier(CLK_LOCAL_MEM_FENCE);
            if (AHEAD && p + 1 < PARTS) fetch_keys(in_flight, k, pitch, left, p + 1, me);
            if (AHEAD && p + 1 == PARTS) fetch_values(in_flight, v, pitch, left, 0, me);
            add_scores(score, queries + p * (CD / 2), held[QR ? p : 0],
                       (local const uint *)(tile + share * FK * UK * ROW_K), lane, exchange);
        }
        k += (size_t)BK * pitch;
        find_highest(high, x, score, left - share * FK * UK, lane);
        share_values(shared, high, share, lane);
#pragma unroll
        for (int p = 0; p < PARTS; p++) {
            local ushort *tile = tiles + (PARTS + p) % 2 * BUFFER;
            if (!AHEAD) fetch_values(in_flight, v, pitch, left, p, me);
            keep_values(tile, in_flight, me);
            barrier(CLK_LOCAL_MEM_FENCE);
            if (AHEAD && p + 1 < PARTS) fetch_values(in_flight, v, pitch, left, p + 1, me);
            if (AHEAD && p + 1 == PARTS && left > BK)
                fetch_keys(in_flight, k, pitch, left - BK, 0, me);
            if (p == 0) {
                weigh(x, shrink, top, total, high, shared, factor, lane);
                pass_weights(weight, weights + share * FK * UK, x, lane);
                if (!DIRECT) barrier(CLK_LOCAL_MEM_FENCE);
            }
            add_values(sum[p], shrink, (local const uint *)weights, weight,
                       (local const uint *)(tile + share * FC * UK * ROW_V), lane, exchange);
        }
        v += (size_t)BK * pitch;
    }

    barrier(CLK_LOCAL_MEM_FENCE); /* all lanes have read the maxima */
    share_values(shared, total, share, lane);
    barrier(CLK_LOCAL_MEM_FENCE);
    add_totals(total, shared, lane);
    store_sums(out + ((size_t)n * tokens + begin + first) * heads * D + h * D, heads * D, sum,
               total, tokens - begin - first, share, lane);
}
