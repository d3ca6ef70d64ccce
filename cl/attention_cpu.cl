/* softmax(Q K^T / sqrt(d)) V for CPUs. Lanes are queries, so nothing is reduced across lanes.
 * Scores are stored transposed, keys x queries: each key or value is a scalar that multiplies whole
 * vectors, and maxima and sums run down columns. Only queries and results are transposed. Keys come
 * in blocks of BK, which online softmax joins (Milakov & Gimelshein 2018). A work-group copies each
 * block to contiguous memory once, for all its queries.
 *
 * Floor: 4 T^2 d FLOP per head.
 * D: head width. VEC: see the prelude. QV: vectors of queries of a register tile.
 * KR: keys of a tile of scores. DR: channels of a tile of results. BK: a multiple of KR.
 * KR, DR and QV do not change the order of additions.
 * BF16: queries, keys, values and weights are rounded to bf16 and stored in pairs, of channels for
 * the scores and of keys for the results. One instruction multiplies both numbers of a pair and
 * adds both products. */

#define NQ (QV * VEC)               /* queries of a tile */
#define DP ((D + DR - 1) / DR * DR) /* padded head width */

#ifdef BF16
#define PAIR 2
typedef int element;
#define VE int16
typedef int VE_ANY __attribute__((ext_vector_type(16), aligned(4)));
#define MULTIPLY(x, y, sum) dot_pairs(x, y, sum)
#else
#define PAIR 1
typedef float element;
#define VE V
#define VE_ANY unaligned_v
#define MULTIPLY(x, y, sum) mad(x, y, sum)
#endif
#define DE ((D + PAIR - 1) / PAIR)                /* elements of a query or key */
#define KEYS_E(keys) (((keys) + PAIR - 1) / PAIR) /* elements of this many keys */

/* A compiler may split vload16 and vstore16. This type moves an unaligned vector in one access. */
typedef V unaligned_v __attribute__((aligned(4)));
#define LOAD(p) (*(global const unaligned_v *)(p))
#define STORE(v, p) (*(global unaligned_v *)(p) = (v))
#define LOAD_E(p) (*(global const VE_ANY *)(p))
#define STORE_E(v, p) (*(global VE_ANY *)(p) = (v))

/* Offsets in the scratch memory of a work-group, and the size of the state of a query tile. */
#define VALUES_AT (BK * DE)
#define SCORES_AT (VALUES_AT + KEYS_E(BK) * DP)
#define TILES_AT (SCORES_AT + BK * NQ)
#define TILE_SIZE ((DE + DP + 2) * NQ) /* Q^T, sums^T, maxima, sums of weights */

#ifdef BF16
INLINE int16 pairs_of(float16 first, float16 second)
{
    return convert_int16(to_bf16(first)) | convert_int16(to_bf16(second)) << 16;
}

INLINE int pair_of(float first, float second)
{
    return pairs_of((float16)(first), (float16)(second)).s0;
}
#endif

/* to [DE][NQ] = factor * queries from `first` on. The last query fills the places beyond it. */
INLINE void gather_queries(global element *to, global const float *q, int stride, int first,
                           int tokens, float factor)
{
#if D >= VEC && D % PAIR == 0
    for (int j = 0; j < QV; j++)
        for (int c = 0; c < D; c += VEC) {
            int at = min(c, D - VEC);
            V t[VEC];
#pragma unroll
            for (int i = 0; i < VEC; i++)
                t[i] = LOAD(q + (size_t)min(first + j * VEC + i, tokens - 1) * stride + at);
            transpose(t);
#pragma unroll
            for (int i = 0; i < VEC; i += PAIR)
#ifdef BF16
                STORE_E(pairs_of(t[i] * factor, t[i + 1] * factor),
                        to + (at + i) / 2 * NQ + j * VEC);
#else
                STORE(t[i] * factor, to + (at + i) * NQ + j * VEC);
#endif
        }
#else
    for (int i = 0; i < NQ; i++) {
        global const float *row = q + (size_t)min(first + i, tokens - 1) * stride;
        for (int c = 0; c < D; c += PAIR)
#ifdef BF16
            to[c / 2 * NQ + i] = pair_of(factor * row[c], c + 1 < D ? factor * row[c + 1] : 0.0f);
#else
            to[c * NQ + i] = factor * row[c];
#endif
    }
#endif
}

/* out rows from `first` on = sums^T [D][NQ] / totals [NQ] */
INLINE void scatter_results(global float *out, global const float *sums, global const float *totals,
                            int stride, int first, int tokens)
{
#if D >= VEC
    for (int j = 0; j < QV; j++) {
        V inverse = 1.0f / LOAD(totals + j * VEC);
        for (int c = 0; c < D; c += VEC) {
            int at = min(c, D - VEC);
            V t[VEC];
#pragma unroll
            for (int i = 0; i < VEC; i++) t[i] = LOAD(sums + (at + i) * NQ + j * VEC) * inverse;
            transpose(t);
#pragma unroll
            for (int i = 0; i < VEC; i++)
                if (first + j * VEC + i < tokens)
                    STORE(t[i], out + (size_t)(first + j * VEC + i) * stride + at);
        }
    }
#else
    for (int i = 0; i < NQ && first + i < tokens; i++)
        for (int c = 0; c < D; c++)
            out[(size_t)(first + i) * stride + c] = sums[c * NQ + i] / totals[i];
#endif
}

#ifdef BF16

/* to [padded][DE], pairs of channels. Row count - 1 also fills the rows up to `padded`. */
INLINE void gather_keys(global int *to, global const float *from, int stride, int count, int padded)
{
    for (int k = 0; k < padded; k++, to += DE) {
        global const float *row = from + (size_t)min(k, count - 1) * stride;
        int c = 0;
        for (; c + 16 <= D; c += 16)
            *(global ushort16_any *)(to + c / 2) =
                to_bf16(*(global const float16_unaligned *)(row + c));
        for (; c < D; c += 2) to[c / 2] = pair_of(row[c], c + 1 < D ? row[c + 1] : 0.0f);
    }
}

/* to [KEYS_E(count)][DP], pairs of keys. Keys beyond `count` are 0. */
INLINE void gather_values(global int *to, global const float *from, int stride, int count)
{
    for (int k = 0; k < count; k += 2, to += DP, from += 2 * stride) {
        global const float *next = from + (k + 1 < count ? stride : 0);
        int c = 0;
        for (; c + 16 <= D; c += 16) {
            float16 second = *(global const float16_unaligned *)(next + c);
            if (k + 1 == count) second = 0.0f;
            STORE_E(pairs_of(*(global const float16_unaligned *)(from + c), second), to + c);
        }
        for (; c < D; c++) to[c] = pair_of(from[c], k + 1 < count ? next[c] : 0.0f);
        for (; c < DP; c++) to[c] = 0;
    }
}

#else

/* Copies rows of D floats, `stride` apart, to rows `pitch` apart. Row count - 1 also fills the rows
 * up to `padded`. */
INLINE void gather_rows(global float *to, global const float *from, int stride, int pitch,
                        int count, int padded)
{
    for (int k = 0; k < padded; k++, to += pitch) {
        global const float *row = from + (size_t)min(k, count - 1) * stride;
#if D >= VEC
#pragma unroll
        for (int c = 0; c < D; c += VEC) {
            int at = min(c, D - VEC);
            STORE(LOAD(row + at), to + at);
        }
#else
        for (int c = 0; c < D; c++) to[c] = row[c];
#endif
        for (int c = D; c < pitch; c++) to[c] = 0.0f;
    }
}

INLINE void gather_keys(global float *to, global const float *from, int stride, int count,
                        int padded)
{
    gather_rows(to, from, stride, D, count, padded);
}

INLINE void gather_values(global float *to, global const float *from, int stride, int count)
{
    gather_rows(to, from, stride, DP, count, count);
}
#endif

/* s = scores of all keys of a block (rounded up to tiles), keys x queries. top = the maximum of
 * each query. */
INLINE void score(global float *s, V *top, global const element *k, global const element *q,
                  int keys)
{
    for (int first = 0; first < keys; first += KR, k += KR * DE, s += KR * NQ) {
        V sum[KR][QV];
#pragma unroll
        for (int i = 0; i < KR; i++)
#pragma unroll
            for (int j = 0; j < QV; j++) sum[i][j] = 0.0f;
        for (int c = 0; c < DE; c++) {
            VE x[QV];
#pragma unroll
            for (int j = 0; j < QV; j++) x[j] = LOAD_E(q + c * NQ + j * VEC);
#pragma unroll
            for (int i = 0; i < KR; i++) {
                VE y = k[i * DE + c];
#pragma unroll
                for (int j = 0; j < QV; j++) sum[i][j] = MULTIPLY(y, x[j], sum[i][j]);
            }
        }
#pragma unroll
        for (int i = 0; i < KR; i++)
#pragma unroll
            for (int j = 0; j < QV; j++) {
                STORE(sum[i][j], s + i * NQ + j * VEC);
                top[j] = sum[i][j] > top[j] ? sum[i][j] : top[j];
            }
    }
}

/* Replaces scores by weights; with BF16 by pairs [KEYS_E(keys)][NQ]. *total grows by the sums of
 * the weights. */
INLINE void weigh(global float *s, V *total, const V *top, int keys)
{
    for (int k = 0; k < keys; k += PAIR)
#pragma unroll
        for (int j = 0; j < QV; j++) {
            global float *at = s + k * NQ + j * VEC;
            V e = exp2v(LOAD(at) - top[j]);
            total[j] += e;
#ifdef BF16
            V f = 0.0f;
            if (k + 1 < keys) f = exp2v(LOAD(at + NQ) - top[j]);
            total[j] += f;
            STORE_E(pairs_of(e, f), (global int *)s + k / 2 * NQ + j * VEC);
#else
            STORE(e, at);
#endif
        }
}

/* sums^T [DP][NQ] = sums^T * factor + V^T x weights */
INLINE void add_values(global float *sums, global const element *v, global const element *s,
                       const V *factor, int keys, bool fresh)
{
    for (int c = 0; c < DP; c += DR, v += DR, sums += DR * NQ) {
        V sum[DR][QV];
#pragma unroll
        for (int i = 0; i < DR; i++)
#pragma unroll
            for (int j = 0; j < QV; j++)
                sum[i][j] = fresh ? (V)(0.0f) : LOAD(sums + i * NQ + j * VEC) * factor[j];
        for (int k = 0; k < KEYS_E(keys); k++) {
            VE x[QV];
#pragma unroll
            for (int j = 0; j < QV; j++) x[j] = LOAD_E(s + k * NQ + j * VEC);
#pragma unroll
            for (int i = 0; i < DR; i++) {
                VE y = v[k * DP + i];
#pragma unroll
                for (int j = 0; j < QV; j++) sum[i][j] = MULTIPLY(y, x[j], sum[i][j]);
            }
        }
#pragma unroll
        for (int i = 0; i < DR; i++)
#pragma unroll
            for (int j = 0; j < QV; j++) STORE(sum[i][j], sums + i * NQ + j * VEC);
    }
}

/* One work-group = one work-item = `tiles` tiles of NQ queries of one head. out [N*T][H*D]; qkv
 * [N*T][3*H*D] = q | k | v. scratch: TILES_AT + tiles * TILE_SIZE floats per work-group. factor:
 * log2(e) / sqrt(d), since the weights are powers of two. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_cpu(global float *out, global const float *qkv, global float *scratch, int tokens,
              int heads, int tiles, float factor)
{
    int h = GROUP_ID(1, 1), n = GROUP_ID(2, 1);
    int split = GROUP_ID(0, 1), first = split * tiles * NQ, stride = 3 * heads * D;
    int splits = ((tokens + NQ - 1) / NQ + tiles - 1) / tiles;
    size_t group = ((size_t)n * heads + h) * splits + split;
    scratch += group * (TILES_AT + (size_t)tiles * TILE_SIZE);
    qkv += (size_t)n * tokens * stride + h * D;
    out += (size_t)n * tokens * heads * D + h * D;
    tiles = min(tiles, (tokens - first + NQ - 1) / NQ);
    for (int block = 0; block < tokens; block += BK) {
        int keys = min(BK, tokens - block);
        global const float *from = qkv + (size_t)block * stride + heads * D;
        global element *of_keys = (global element *)scratch, *of_values = of_keys + VALUES_AT;
        gather_keys(of_keys, from, stride, keys, (keys + KR - 1) / KR * KR);
        gather_values(of_values, from + heads * D, stride, keys);
        global float *q = scratch + TILES_AT, *s = scratch + SCORES_AT;
        for (int t = 0; t < tiles; t++, q += TILE_SIZE) {
            global element *of_queries = (global element *)q;
            global float *sums = q + DE * NQ, *tops = sums + DP * NQ, *totals = tops + NQ;
            V top[QV], total[QV], shrink[QV];
            if (block == 0) gather_queries(of_queries, qkv, stride, first + t * NQ, tokens, factor);
#pragma unroll
            for (int j = 0; j < QV; j++) top[j] = block ? LOAD(tops + j * VEC) : (V)(-INFINITY);
            score(s, top, of_keys, of_queries, keys);
#pragma unroll
            for (int j = 0; j < QV; j++) {
                shrink[j] = block ? exp2v(LOAD(tops + j * VEC) - top[j]) : (V)(0.0f);
                total[j] = block ? LOAD(totals + j * VEC) * shrink[j] : (V)(0.0f);
                STORE(top[j], tops + j * VEC);
            }
            weigh(s, total, top, keys);
#pragma unroll
            for (int j = 0; j < QV; j++) STORE(total[j], totals + j * VEC);
            add_values(sums, of_values, (global const element *)s, shrink, keys, block == 0);
            if (block + BK >= tokens)
                scatter_results(out, sums, totals, heads * D, first + t * NQ, tokens);
        }
    }
}
