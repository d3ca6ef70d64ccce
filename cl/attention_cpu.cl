/* softmax(Q K^T / sqrt(d)) V for CPUs. One work-group = one work-item = some tiles of NQ queries of
 * one head. Floor: 4 T^2 d FLOP per head.
 *
 *                     NQ = QV * VEC queries, one lane each
 *                    +-----------------------------+
 *     BK keys        | scores, then p: [keys][NQ]  |   a key, or a value, is a scalar that
 *                    +-----------------------------+   multiplies vectors of queries
 *     row_max, row_sum [NQ], acc^T [channels][NQ]      maxima and sums run down columns
 *
 * So nothing is reduced across lanes; only queries and results are transposed. Online softmax joins
 * the blocks of keys (attention.cl names its variables). A work-group copies each block of keys and
 * values to contiguous memory once, for all its tiles.
 *
 * D: head width. VEC: see the prelude. QV: vectors of queries of a tile.
 * KR: keys of a register tile of scores. DR: channels of a register tile of results. BK: a multiple
 * of KR. KR, DR and QV do not change the order of additions.
 * BF16: queries, keys, values and p are rounded to bf16 and stored in pairs: of channels for the
 * scores, of keys for the results. One instruction multiplies both numbers of a pair and adds both
 * products. */

#define NQ (QV * VEC)               /* queries of a tile */
#define DP ((D + DR - 1) / DR * DR) /* padded head width */

/* element: a number, or a pair with BF16. VE: a vector of elements. */
#ifdef BF16
#define PAIR 2
typedef int element;
#define VE int16
typedef int VE_UNALIGNED __attribute__((ext_vector_type(16), aligned(4)));
#define MULTIPLY(x, y, sum) dot_pairs(x, y, sum)
#else
#define PAIR 1
typedef float element;
#define VE V
#define VE_UNALIGNED unaligned_v
#define MULTIPLY(x, y, sum) mad(x, y, sum)
#endif
#define DE ((D + PAIR - 1) / PAIR)                /* elements of a query or key */
#define KEYS_E(keys) (((keys) + PAIR - 1) / PAIR) /* elements of this many keys */

/* This type loads and stores an unaligned vector in one access. A compiler may split vload16. */
typedef V unaligned_v __attribute__((aligned(4)));
#define LOAD(p) (*(global const unaligned_v *)(p))
#define STORE(v, p) (*(global unaligned_v *)(p) = (v))
#define LOAD_E(p) (*(global const VE_UNALIGNED *)(p))
#define STORE_E(v, p) (*(global VE_UNALIGNED *)(p) = (v))

/* Offsets in the scratch memory of a work-group: keys at 0, values, scores, then the tiles of
 * queries. A tile is Q^T [DE][NQ], acc^T [DP][NQ], row_max [NQ], row_sum [NQ]. */
#define VALUES_AT (BK * DE)
#define SCORES_AT (VALUES_AT + KEYS_E(BK) * DP)
#define TILES_AT (SCORES_AT + BK * NQ)
#define TILE_SIZE ((DE + DP + 2) * NQ)

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

/* dst [DE][NQ] = factor * queries from `first` on, transposed. The last query is repeated. */
INLINE void gather_queries(global element *dst, global const float *q, int stride, int first,
                           int tokens, float factor)
{
#if D >= VEC && D % PAIR == 0
    for (int j = 0; j < QV; j++)
        for (int c = 0; c < D; c += VEC) {
            int channel = min(c, D - VEC);
            V t[VEC];
#pragma unroll
            for (int i = 0; i < VEC; i++)
                t[i] = LOAD(q + (size_t)min(first + j * VEC + i, tokens - 1) * stride + channel);
            transpose(t);
#pragma unroll
            for (int i = 0; i < VEC; i += PAIR)
#ifdef BF16
                STORE_E(pairs_of(t[i] * factor, t[i + 1] * factor),
                        dst + (channel + i) / 2 * NQ + j * VEC);
#else
                STORE(t[i] * factor, dst + (channel + i) * NQ + j * VEC);
#endif
        }
#else
    for (int i = 0; i < NQ; i++) {
        global const float *row = q + (size_t)min(first + i, tokens - 1) * stride;
        for (int c = 0; c < D; c += PAIR)
#ifdef BF16
            dst[c / 2 * NQ + i] = pair_of(factor * row[c], c + 1 < D ? factor * row[c + 1] : 0.0f);
#else
            dst[c * NQ + i] = factor * row[c];
#endif
    }
#endif
}

/* out rows from `first` on = acc^T [D][NQ] / row_sums [NQ] */
INLINE void scatter_results(global float *out, global const float *sums,
                            global const float *row_sums, int stride, int first, int tokens)
{
#if D >= VEC
    for (int j = 0; j < QV; j++) {
        V inverse = 1.0f / LOAD(row_sums + j * VEC);
        for (int c = 0; c < D; c += VEC) {
            int channel = min(c, D - VEC);
            V t[VEC];
#pragma unroll
            for (int i = 0; i < VEC; i++)
                t[i] = LOAD(sums + (channel + i) * NQ + j * VEC) * inverse;
            transpose(t);
#pragma unroll
            for (int i = 0; i < VEC; i++)
                if (first + j * VEC + i < tokens)
                    STORE(t[i], out + (size_t)(first + j * VEC + i) * stride + channel);
        }
    }
#else
    for (int i = 0; i < NQ && first + i < tokens; i++)
        for (int c = 0; c < D; c++)
            out[(size_t)(first + i) * stride + c] = sums[c * NQ + i] / row_sums[i];
#endif
}

#ifdef BF16

/* dst [padded][DE] = pairs of channels. Rows from `count` on repeat the last one. */
INLINE void gather_keys(global int *dst, global const float *src, int stride, int count, int padded)
{
    for (int k = 0; k < padded; k++, dst += DE) {
        global const float *row = src + (size_t)min(k, count - 1) * stride;
        int c = 0;
        for (; c + 16 <= D; c += 16)
            *(global ushort16_unaligned *)(dst + c / 2) =
                to_bf16(*(global const float16_unaligned *)(row + c));
        for (; c < D; c += 2) dst[c / 2] = pair_of(row[c], c + 1 < D ? row[c + 1] : 0.0f);
    }
}

/* dst [KEYS_E(count)][DP] = pairs of keys. Keys from `count` on are 0. */
INLINE void gather_values(global int *dst, global const float *src, int stride, int count)
{
    for (int k = 0; k < count; k += 2, dst += DP, src += 2 * stride) {
        global const float *next = src + (k + 1 < count ? stride : 0);
        int c = 0;
        for (; c + 16 <= D; c += 16) {
            float16 second = *(global const float16_unaligned *)(next + c);
            if (k + 1 == count) second = 0.0f;
            STORE_E(pairs_of(*(global const float16_unaligned *)(src + c), second), dst + c);
        }
        for (; c < D; c++) dst[c] = pair_of(src[c], k + 1 < count ? next[c] : 0.0f);
        for (; c < DP; c++) dst[c] = 0;
    }
}

#else

/* Copies rows of D floats, `stride` apart, to rows `pitch` apart. Rows from `count` to `padded`
 * repeat the last one. */
INLINE void gather_rows(global float *dst, global const float *src, int stride, int pitch,
                        int count, int padded)
{
    for (int k = 0; k < padded; k++, dst += pitch) {
        global const float *row = src + (size_t)min(k, count - 1) * stride;
#if D >= VEC
#pragma unroll
        for (int c = 0; c < D; c += VEC) {
            int channel = min(c, D - VEC);
            STORE(LOAD(row + channel), dst + channel);
        }
#else
        for (int c = 0; c < D; c++) dst[c] = row[c];
#endif
        for (int c = D; c < pitch; c++) dst[c] = 0.0f;
    }
}

INLINE void gather_keys(global float *dst, global const float *src, int stride, int count,
                        int padded)
{
    gather_rows(dst, src, stride, D, count, padded);
}

INLINE void gather_values(global float *dst, global const float *src, int stride, int count)
{
    gather_rows(dst, src, stride, DP, count, count);
}
#endif

/* scores [keys][NQ] of a block, keys rounded up to KR. Updates row_max. */
INLINE void compute_scores(global float *scores, V *row_max, global const element *k,
                           global const element *q, int keys)
{
    for (int first = 0; first < keys; first += KR, k += KR * DE, scores += KR * NQ) {
        V acc[KR][QV];
#pragma unroll
        for (int i = 0; i < KR; i++)
#pragma unroll
            for (int j = 0; j < QV; j++) acc[i][j] = 0.0f;
        for (int c = 0; c < DE; c++) {
            VE q_values[QV];
#pragma unroll
            for (int j = 0; j < QV; j++) q_values[j] = LOAD_E(q + c * NQ + j * VEC);
#pragma unroll
            for (int i = 0; i < KR; i++) {
                VE k_value = k[i * DE + c];
#pragma unroll
                for (int j = 0; j < QV; j++) acc[i][j] = MULTIPLY(k_value, q_values[j], acc[i][j]);
            }
        }
#pragma unroll
        for (int i = 0; i < KR; i++)
#pragma unroll
            for (int j = 0; j < QV; j++) {
                STORE(acc[i][j], scores + i * NQ + j * VEC);
                row_max[j] = acc[i][j] > row_max[j] ? acc[i][j] : row_max[j];
            }
    }
}

/* Replaces scores by p; with BF16 by pairs [KEYS_E(keys)][NQ]. Adds p to row_sum. */
INLINE void compute_probabilities(global float *scores, V *row_sum, const V *row_max, int keys)
{
    for (int k = 0; k < keys; k += PAIR)
#pragma unroll
        for (int j = 0; j < QV; j++) {
            global float *score = scores + k * NQ + j * VEC;
            V p = exp2v(LOAD(score) - row_max[j]);
            row_sum[j] += p;
#ifdef BF16
            V p_next = 0.0f;
            if (k + 1 < keys) p_next = exp2v(LOAD(score + NQ) - row_max[j]);
            row_sum[j] += p_next;
            STORE_E(pairs_of(p, p_next), (global int *)scores + k / 2 * NQ + j * VEC);
#else
            STORE(p, score);
#endif
        }
}

/* sums [DP][NQ], which is acc^T, = sums * rescale + V^T x p */
INLINE void accumulate_values(global float *sums, global const element *v,
                              global const element *probabilities, const V *rescale, int keys,
                              bool first_block)
{
    for (int c = 0; c < DP; c += DR, v += DR, sums += DR * NQ) {
        V acc[DR][QV];
#pragma unroll
        for (int i = 0; i < DR; i++)
#pragma unroll
            for (int j = 0; j < QV; j++)
                acc[i][j] = first_block ? (V)(0.0f) : LOAD(sums + i * NQ + j * VEC) * rescale[j];
        for (int k = 0; k < KEYS_E(keys); k++) {
            VE p_values[QV];
#pragma unroll
            for (int j = 0; j < QV; j++) p_values[j] = LOAD_E(probabilities + k * NQ + j * VEC);
#pragma unroll
            for (int i = 0; i < DR; i++) {
                VE v_value = v[k * DP + i];
#pragma unroll
                for (int j = 0; j < QV; j++) acc[i][j] = MULTIPLY(v_value, p_values[j], acc[i][j]);
            }
        }
#pragma unroll
        for (int i = 0; i < DR; i++)
#pragma unroll
            for (int j = 0; j < QV; j++) STORE(acc[i][j], sums + i * NQ + j * VEC);
    }
}

/* out [N*T][H*D]; qkv [N*T][3*H*D] = q | k | v. One work-group has `tiles` tiles, and TILES_AT +
 * tiles * TILE_SIZE floats of scratch. factor: log2(e) / sqrt(d), since p is a power of two. Range:
 * [ceil(ceil(T / NQ) / tiles)][H][N]. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_cpu(global float *out, global const float *qkv, global float *scratch, int tokens,
              int heads, int tiles, float factor)
{
    int h = GROUP_ID(1, 1), n = GROUP_ID(2, 1);
    int split = GROUP_ID(0, 1), query_begin = split * tiles * NQ, stride = 3 * heads * D;
    int splits = ((tokens + NQ - 1) / NQ + tiles - 1) / tiles;
    size_t group = ((size_t)n * heads + h) * splits + split;
    scratch += group * (TILES_AT + (size_t)tiles * TILE_SIZE);
    qkv += (size_t)n * tokens * stride + h * D;
    out += (size_t)n * tokens * heads * D + h * D;
    tiles = min(tiles, (tokens - query_begin + NQ - 1) / NQ);
    for (int key_begin = 0; key_begin < tokens; key_begin += BK) {
        int keys = min(BK, tokens - key_begin);
        global const float *src = qkv + (size_t)key_begin * stride + heads * D;
        global element *packed_keys = (global element *)scratch;
        global element *packed_values = packed_keys + VALUES_AT;
        gather_keys(packed_keys, src, stride, keys, (keys + KR - 1) / KR * KR);
        gather_values(packed_values, src + heads * D, stride, keys);
        global float *tile = scratch + TILES_AT, *scores = scratch + SCORES_AT;
        for (int t = 0; t < tiles; t++, tile += TILE_SIZE) {
            global element *packed_queries = (global element *)tile;
            global float *sums = tile + DE * NQ;
            global float *stored_max = sums + DP * NQ, *stored_sum = stored_max + NQ;
            V row_max[QV], row_sum[QV], rescale[QV];
            if (key_begin == 0)
                gather_queries(packed_queries, qkv, stride, query_begin + t * NQ, tokens, factor);
#pragma unroll
            for (int j = 0; j < QV; j++)
                row_max[j] = key_begin ? LOAD(stored_max + j * VEC) : (V)(-INFINITY);
            compute_scores(scores, row_max, packed_keys, packed_queries, keys);
#pragma unroll
            for (int j = 0; j < QV; j++) {
                rescale[j] = key_begin ? exp2v(LOAD(stored_max + j * VEC) - row_max[j]) : (V)(0.0f);
                row_sum[j] = key_begin ? LOAD(stored_sum + j * VEC) * rescale[j] : (V)(0.0f);
                STORE(row_max[j], stored_max + j * VEC);
            }
            compute_probabilities(scores, row_sum, row_max, keys);
#pragma unroll
            for (int j = 0; j < QV; j++) STORE(row_sum[j], stored_sum + j * VEC);
            accumulate_values(sums, packed_values, (global const element *)scores, rescale, keys,
                              key_begin == 0);
            if (key_begin + BK >= tokens)
                scatter_results(out, sums, stored_sum, heads * D, query_begin + t * NQ, tokens);
        }
    }
}
