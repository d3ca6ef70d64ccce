/* softmax(Q K^T / sqrt(d)) V on AMX tiles (prelude.clh). Inputs and probabilities are bf16, scores
 * and sums fp32. One work-group = one work-item = some tiles of 32 queries of one head. Floor: 4
 * T^2 d FLOP per head, d padded to 32, on the matrix unit, and T^2 exponentials, which take about
 * as long.
 *
 * A work-group packs BK keys and values at a time, once for all its tiles. Online softmax joins the
 * blocks of keys (attention.cl names its variables). The scores and probabilities of a tile,
 * [32][BK], stay in the L2 cache.
 *
 * D: head width. BK: keys of a block, a multiple of 32. */

enum {
    STEPS = (D + 31) / 32,   /* steps of 32 channels */
    ROWS = 32,               /* queries of a tile, keys of a step */
    STEP_VALUES = ROWS * 32, /* values of 32 rows x 32 channels (or keys): two AMX tiles */
    WIDTH = STEPS * 32,      /* padded head width */
    KEYS_AT = 0,             /* offsets in a work-group's scratch memory, in floats: keys, packed */
    VALUES_AT = BK * WIDTH / 2, /* values, packed */
    PROBABILITIES_AT = VALUES_AT + BK * WIDTH / 2,
    SCORES_AT = PROBABILITIES_AT + ROWS * BK / 2,
    TILES_AT = SCORES_AT + ROWS * BK,  /* tiles of queries: first the queries, packed */
    SUMS_AT = ROWS * WIDTH / 2,        /* in a tile: acc [32][WIDTH] */
    STATE_AT = SUMS_AT + ROWS * WIDTH, /* in a tile: row_max [32], row_sum [32] */
    TILE_SIZE = STATE_AT + 2 * ROWS,
};

/* A barrier for the compiler: earlier stores reach memory before tiles are loaded. */
#define COMPILER_BARRIER() __asm__ volatile("" ::: "memory")

/* Channels c to c + 15 of a row. Channels beyond D are 0. */
INLINE float16 load_channels(global const float *row, int c)
{
#if D % 16 == 8
    if (c + 8 == D) return (float16)(vload8(0, row + c), (float8)(0.0f));
#endif
    return load_some(row + c, D - c);
}

/* packed [STEPS][2][16 rows][32] = factor * 32 rows, `stride` apart. Rows from `count` on repeat
 * the last one. */
INLINE void pack_queries(global ushort *packed, global const float *src, int stride, int count,
                         float factor)
{
    for (int i = 0; i < ROWS; i++) {
        global const float *row = src + (size_t)min(i, count - 1) * stride;
        for (int c = 0; c < WIDTH; c += 16)
            *(global ushort16_unaligned *)(packed + c / 32 * STEP_VALUES + i * 32 + c % 32) =
                to_bf16(load_channels(row, c) * factor);
    }
}

/* packed [ceil(count / 32)][STEPS][2][16 pairs][16 keys][2] = rows of keys. Keys from `count` on
 * repeat the last one. */
INLINE void pack_keys(global ushort *packed, global const float *src, int stride, int count)
{
    for (int key = 0; key < count; key += 16)
        for (int s = 0; s < STEPS; s++) {
            float16 t[16]; /* 16 pairs each */
#pragma unroll
            for (int i = 0; i < 16; i++) {
                global const float *row = src + (size_t)min(key + i, count - 1) * stride;
                ushort16 low = to_bf16(load_channels(row, 32 * s));
                ushort16 high = to_bf16(load_channels(row, 32 * s + 16));
                t[i].lo = as_float8(low);
                t[i].hi = as_float8(high);
            }
            transpose(t);
            global ushort *tile = packed + ((key / 32 * STEPS + s) * 2 + key / 16 % 2) * 512;
#pragma unroll
            for (int i = 0; i < 16; i++) *(global float16_unaligned *)(tile + i * 32) = t[i];
        }
}

/* packed [STEPS][BK / 32][2][16 pairs of keys][16 channels][2] = rows of values. Keys from `count`
 * on are 0. */
INLINE void pack_values(global ushort *packed, global const float *src, int stride, int count)
{
    for (int pair = 0; pair < (count + 31) / 32 * 16; pair++) {
        global const float *first = src + (size_t)(2 * pair) * stride, *second = first + stride;
        for (int c = 0; c < WIDTH; c += 16) {
            uint16 x = 0, y = 0;
            if (2 * pair < count) x = convert_uint16(to_bf16(load_channels(first, c)));
            if (2 * pair + 1 < count) y = convert_uint16(to_bf16(load_channels(second, c)));
            global ushort *tile =
                packed + ((c / 32 * (BK / 32) + pair / 16) * 2 + c / 16 % 2) * 512;
            *(global float16_unaligned *)(tile + pair % 16 * 32) = as_float16(x | y << 16);
        }
    }
}

INLINE float lane_max(float16 x)
{
    float8 y = fmax(x.lo, x.hi);
    float4 z = fmax(y.lo, y.hi);
    return fmax(fmax(z.x, z.y), fmax(z.z, z.w));
}

INLINE float lane_sum(float16 x)
{
    float8 y = x.lo + x.hi;
    float4 z = y.lo + y.hi;
    return (z.x + z.y) + (z.z + z.w);
}

/* scores [32][BK] = queries x keys */
INLINE void compute_scores(global float *scores, global const ushort *q, global const ushort *keys,
                           int count)
{
    for (int key = 0; key < count; key += 32, keys += STEPS * STEP_VALUES) {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
        for (int s = 0; s < STEPS; s++) {
            global const ushort *a = q + s * STEP_VALUES, *b = keys + s * STEP_VALUES;
            TILE_MMAS(a, 64, 1024, b);
        }
        TILE_STORE(0, scores + key, 4 * BK);
        TILE_STORE(1, scores + key + 16, 4 * BK);
        TILE_STORE(2, scores + 16 * BK + key, 4 * BK);
        TILE_STORE(3, scores + 16 * BK + key + 16, 4 * BK);
    }
}

/* p of one query in bf16 from its scores; 0 for keys from `count` on. probabilities: from the
 * query's row on, in [keys / 32][2][16 rows][32]. Updates the query's state and rescales its
 * sums. */
INLINE void compute_probabilities(global ushort *probabilities, global const float *scores,
                                  global float *state, global float *sums, int count,
                                  bool first_block)
{
    float16 maxima = -INFINITY, sums_of_p = 0.0f;
    int whole = count / 16 * 16;
    for (int k = 0; k < whole; k += 16) {
        float16 x = *(global const float16 *)(scores + k);
        maxima = x > maxima ? x : maxima;
    }
    float row_max = first_block ? -INFINITY : state[0];
    for (int k = whole; k < count; k++) row_max = scores[k] > row_max ? scores[k] : row_max;
    float16 row_max_v = fmax(row_max, lane_max(maxima));
    for (int k = 0; k < (count + 31) / 32 * 32; k += 16) {
        float16 x = exp2v(*(global const float16 *)(scores + k) - row_max_v);
        if (k + 16 > count) x = V_IOTA < count - k ? x : (float16)(0.0f);
        sums_of_p += x;
        *(global ushort16_unaligned *)(probabilities + k / 32 * STEP_VALUES + k % 32) = to_bf16(x);
    }
    if (!first_block) {
        float16 rescale = exp2v((float16)(state[0]) - row_max_v);
        sums_of_p.s0 += state[ROWS] * rescale.s0;
        for (int c = 0; c < WIDTH; c += 16) *(global float16 *)(sums + c) *= rescale;
    }
    state[0] = row_max_v.s0;
    state[ROWS] = lane_sum(sums_of_p);
}

/* sums [32][WIDTH] = p x values; added to the earlier sums unless this is the first block */
INLINE void accumulate_values(global float *sums, global const ushort *probabilities,
                              global const ushort *values, int count, bool first_block)
{
    for (int s = 0; s < STEPS; s++, sums += 32, values += BK / 32 * STEP_VALUES) {
        if (first_block) {
            TILE_ZERO(0);
            TILE_ZERO(1);
            TILE_ZERO(2);
            TILE_ZERO(3);
        } else {
            TILE_RELOAD(0, sums, 4 * WIDTH);
            TILE_RELOAD(1, sums + 16, 4 * WIDTH);
            TILE_RELOAD(2, sums + 16 * WIDTH, 4 * WIDTH);
            TILE_RELOAD(3, sums + 16 * WIDTH + 16, 4 * WIDTH);
        }
        for (int k = 0; k < (count + 31) / 32; k++) {
            global const ushort *a = probabilities + k * STEP_VALUES, *b = values + k * STEP_VALUES;
            TILE_MMAS(a, 64, 1024, b);
        }
        TILE_STORE(0, sums, 4 * WIDTH);
        TILE_STORE(1, sums + 16, 4 * WIDTH);
        TILE_STORE(2, sums + 16 * WIDTH, 4 * WIDTH);
        TILE_STORE(3, sums + 16 * WIDTH + 16, 4 * WIDTH);
    }
}

/* out [N*T][H*D]; qkv [N*T][3*H*D] = q | k | v. One work-group has `tiles` tiles, and TILES_AT +
 * tiles * TILE_SIZE floats of scratch. factor: log2(e) / sqrt(d), since p is a power of two. Range:
 * [ceil(ceil(T / 32) / tiles)][H][N]. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_matrix(global float *out, global const float *qkv, global float *scratch, int tokens,
                 int heads, int tiles, float factor)
{
    int h = GROUP_ID(1, 1), n = GROUP_ID(2, 1);
    int split = GROUP_ID(0, 1), query_begin = split * tiles * ROWS, stride = 3 * heads * D;
    int splits = ((tokens + ROWS - 1) / ROWS + tiles - 1) / tiles;
    size_t group = ((size_t)n * heads + h) * splits + split;
    scratch += group * (TILES_AT + (size_t)tiles * TILE_SIZE);
    qkv += (size_t)n * tokens * stride + h * D;
    out += (size_t)n * tokens * heads * D + h * D;
    tiles = min(tiles, (tokens - query_begin + ROWS - 1) / ROWS);
    global ushort *keys = (global ushort *)(scratch + KEYS_AT);
    global ushort *values = (global ushort *)(scratch + VALUES_AT);
    global ushort *probabilities = (global ushort *)(scratch + PROBABILITIES_AT);
    global float *scores = scratch + SCORES_AT;
    TILES_BEGIN();
    for (int key_begin = 0; key_begin < tokens; key_begin += BK) {
        int count = min(BK, tokens - key_begin);
        global const float *src = qkv + (size_t)key_begin * stride + heads * D;
        pack_keys(keys, src, stride, count);
        pack_values(values, src + heads * D, stride, count);
        for (int t = 0; t < tiles; t++) {
            global float *tile = scratch + TILES_AT + (size_t)t * TILE_SIZE;
            int query = query_begin + t * ROWS;
            if (key_begin == 0)
                pack_queries((global ushort *)tile, qkv + (size_t)query * stride, stride,
                             tokens - query, factor);
            COMPILER_BARRIER();
            compute_scores(scores, (global const ushort *)tile, keys, count);
            for (int i = 0; i < ROWS; i++)
                compute_probabilities(probabilities + i * 32, scores + i * BK, tile + STATE_AT + i,
                                      tile + SUMS_AT + i * WIDTH, count, key_begin == 0);
            COMPILER_BARRIER();
            accumulate_values(tile + SUMS_AT, probabilities, values, count, key_begin == 0);
        }
    }
    TILES_END();
    for (int t = 0; t < tiles; t++) {
        global const float *tile = scratch + TILES_AT + (size_t)t * TILE_SIZE;
        int query = query_begin + t * ROWS;
        for (int i = 0; i < ROWS && query + i < tokens; i++) {
            float inverse = 1.0f / tile[STATE_AT + ROWS + i];
            for (int c = 0; c < D; c += 16)
                store_some(out + (size_t)(query + i) * heads * D + c,
                           *(global const float16 *)(tile + SUMS_AT + i * WIDTH + c) * inverse,
                           D - c);
        }
    }
}
