/* softmax(Q K^T / sqrt(d)) V on matrix tiles (prelude.clh). Inputs and weights are bf16, scores and
 * sums fp32.
 *
 * A work-group packs BK keys and values of one head at a time, once for all its queries. Online
 * softmax joins the blocks (Milakov & Gimelshein 2018). The scores and weights of a tile of 32
 * queries, [32][BK], stay in the L2 cache.
 * Floor: 4 T^2 d FLOP per head, d padded to 32, on the matrix unit, and T^2 exponentials, which
 * take about as long.
 *
 * D: head width. BK: keys of a block, a multiple of 32. */

enum {
    STEPS = (D + 31) / 32, /* steps of 32 channels */
    ROWS = 32,             /* queries of a tile, keys of a step */
    STEP = ROWS * 32,      /* values of 32 rows x 32 channels (or keys): two matrix tiles */
    WIDTH = STEPS * 32,
    KEYS_AT = 0,                /* offset in floats in a work-group's scratch: packed keys */
    VALUES_AT = BK * WIDTH / 2, /* packed values */
    WEIGHTS_AT = VALUES_AT + BK * WIDTH / 2,
    SCORES_AT = WEIGHTS_AT + ROWS * BK / 2,
    TILES_AT = SCORES_AT + ROWS * BK,  /* tiles of queries */
    SUMS_AT = ROWS * WIDTH / 2,        /* in a tile, behind the packed queries: sums [32][WIDTH] */
    STATE_AT = SUMS_AT + ROWS * WIDTH, /* maxima and totals */
    TILE_SIZE = STATE_AT + 2 * ROWS,
};

/* Compiler barrier: earlier stores reach memory before matrix tiles are loaded. */
#define COMPILER_BARRIER() __asm__ volatile("" ::: "memory")

/* Channels c to c + 15 of a row. Channels beyond D are 0. */
INLINE float16 channels(global const float *row, int c)
{
#if D % 16 == 8
    if (c + 8 == D) return (float16)(vload8(0, row + c), (float8)(0.0f));
#endif
    return load_some(row + c, D - c);
}

/* to [STEPS][2][16 rows][32] = factor * 32 rows, `stride` apart. Row count - 1 also fills the rows
 * beyond. */
INLINE void pack_queries(global ushort *to, global const float *from, int stride, int count,
                         float factor)
{
    for (int i = 0; i < ROWS; i++) {
        global const float *row = from + (size_t)min(i, count - 1) * stride;
        for (int c = 0; c < WIDTH; c += 16)
            *(global ushort16_any *)(to + c / 32 * STEP + i * 32 + c % 32) =
                to_bf16(channels(row, c) * factor);
    }
}

/* to [ceil(count / 32)][STEPS][2][16 pairs][16 keys][2] from rows of keys. Keys beyond `count` are
 * 0. */
INLINE void pack_keys(global ushort *to, global const float *from, int stride, int count)
{
    for (int key = 0; key < count; key += 16)
        for (int s = 0; s < STEPS; s++) {
            float16 t[16]; /* 16 pairs each */
#pragma unroll
            for (int i = 0; i < 16; i++) {
                global const float *row = from + (size_t)min(key + i, count - 1) * stride;
                ushort16 low = to_bf16(channels(row, 32 * s));
                ushort16 high = to_bf16(channels(row, 32 * s + 16));
                t[i].lo = as_float8(low);
                t[i].hi = as_float8(high);
            }
            transpose(t);
            global ushort *tile = to + ((key / 32 * STEPS + s) * 2 + key / 16 % 2) * 512;
#pragma unroll
            for (int i = 0; i < 16; i++) *(global float16_unaligned *)(tile + i * 32) = t[i];
        }
}

/* to [STEPS][BK / 32][2][16 pairs of keys][16 channels][2] from rows of values. Keys beyond `count`
 * are 0. */
INLINE void pack_values(global ushort *to, global const float *from, int stride, int count)
{
    for (int pair = 0; pair < (count + 31) / 32 * 16; pair++) {
        global const float *first = from + (size_t)(2 * pair) * stride, *second = first + stride;
        for (int c = 0; c < WIDTH; c += 16) {
            uint16 x = 0, y = 0;
            if (2 * pair < count) x = convert_uint16(to_bf16(channels(first, c)));
            if (2 * pair + 1 < count) y = convert_uint16(to_bf16(channels(second, c)));
            global ushort *tile = to + ((c / 32 * (BK / 32) + pair / 16) * 2 + c / 16 % 2) * 512;
            *(global float16_unaligned *)(tile + pair % 16 * 32) = as_float16(x | y << 16);
        }
    }
}

INLINE float highest(float16 x)
{
    float8 y = fmax(x.lo, x.hi);
    float4 z = fmax(y.lo, y.hi);
    return fmax(fmax(z.x, z.y), fmax(z.z, z.w));
}

INLINE float total_of(float16 x)
{
    float8 y = x.lo + x.hi;
    float4 z = y.lo + y.hi;
    return (z.x + z.y) + (z.z + z.w);
}

/* scores [32][BK] = queries x keys */
INLINE void score(global float *scores, global const ushort *q, global const ushort *keys,
                  int count)
{
    for (int key = 0; key < count; key += 32, keys += STEPS * STEP) {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
        for (int s = 0; s < STEPS; s++) {
            global const ushort *a = q + s * STEP, *b = keys + s * STEP;
            TILE_MMAS(a, 64, 1024, b);
        }
        TILE_STORE(0, scores + key, 4 * BK);
        TILE_STORE(1, scores + key + 16, 4 * BK);
        TILE_STORE(2, scores + 16 * BK + key, 4 * BK);
        TILE_STORE(3, scores + 16 * BK + key + 16, 4 * BK);
    }
}

/* weights [keys / 32][2][16 rows][32] in bf16 from the scores of one query; 0 for keys beyond
 * `count`. Updates the query's state and rescales its sums. */
INLINE void weigh(global ushort *weights, global const float *scores, global float *state,
                  global float *sums, int count, bool fresh)
{
    float16 top = -INFINITY, total = 0.0f;
    int whole = count / 16 * 16;
    for (int k = 0; k < whole; k += 16) {
        float16 x = *(global const float16 *)(scores + k);
        top = x > top ? x : top;
    }
    float high = fresh ? -INFINITY : state[0];
    for (int k = whole; k < count; k++) high = scores[k] > high ? scores[k] : high;
    float16 high_v = fmax(high, highest(top));
    for (int k = 0; k < (count + 31) / 32 * 32; k += 16) {
        float16 x = exp2v(*(global const float16 *)(scores + k) - high_v);
        if (k + 16 > count) x = V_IOTA < count - k ? x : (float16)(0.0f);
        total += x;
        *(global ushort16_any *)(weights + k / 32 * STEP + k % 32) = to_bf16(x);
    }
    if (!fresh) {
        float16 shrink = exp2v((float16)(state[0]) - high_v);
        total.s0 += state[ROWS] * shrink.s0;
        for (int c = 0; c < WIDTH; c += 16) *(global float16 *)(sums + c) *= shrink;
    }
    state[0] = high_v.s0;
    state[ROWS] = total_of(total);
}

/* sums [32][WIDTH] (+)= weights x values */
INLINE void add_values(global float *sums, global const ushort *weights,
                       global const ushort *values, int count, bool fresh)
{
    for (int s = 0; s < STEPS; s++, sums += 32, values += BK / 32 * STEP) {
        if (fresh) {
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
            global const ushort *a = weights + k * STEP, *b = values + k * STEP;
            TILE_MMAS(a, 64, 1024, b);
        }
        TILE_STORE(0, sums, 4 * WIDTH);
        TILE_STORE(1, sums + 16, 4 * WIDTH);
        TILE_STORE(2, sums + 16 * WIDTH, 4 * WIDTH);
        TILE_STORE(3, sums + 16 * WIDTH + 16, 4 * WIDTH);
    }
}

/* One work-group = one work-item = `tiles` tiles of 32 queries of one head. out [N*T][H*D]; qkv
 * [N*T][3*H*D] = q | k | v. scratch: TILES_AT + tiles * TILE_SIZE floats per work-group. factor:
 * log2(e) / sqrt(d), since the weights are powers of two. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_matrix(global float *out, global const float *qkv, global float *scratch, int tokens,
                 int heads, int tiles, float factor)
{
    int h = GROUP_ID(1, 1), n = GROUP_ID(2, 1);
    int split = GROUP_ID(0, 1), first = split * tiles * ROWS, stride = 3 * heads * D;
    int splits = ((tokens + ROWS - 1) / ROWS + tiles - 1) / tiles;
    size_t group = ((size_t)n * heads + h) * splits + split;
    scratch += group * (TILES_AT + (size_t)tiles * TILE_SIZE);
    qkv += (size_t)n * tokens * stride + h * D;
    out += (size_t)n * tokens * heads * D + h * D;
    tiles = min(tiles, (tokens - first + ROWS - 1) / ROWS);
    global ushort *keys = (global ushort *)(scratch + KEYS_AT);
    global ushort *values = (global ushort *)(scratch + VALUES_AT);
    global ushort *weights = (global ushort *)(scratch + WEIGHTS_AT);
    global float *scores = scratch + SCORES_AT;
    TILES_BEGIN();
    for (int block = 0; block < tokens; block += BK) {
        int count = min(BK, tokens - block);
        global const float *from = qkv + (size_t)block * stride + heads * D;
        pack_keys(keys, from, stride, count);
        pack_values(values, from + heads * D, stride, count);
        for (int t = 0; t < tiles; t++) {
            global float *tile = scratch + TILES_AT + (size_t)t * TILE_SIZE;
            int query = first + t * ROWS;
            if (block == 0)
                pack_queries((global ushort *)tile, qkv + (size_t)query * stride, stride,
                             tokens - query, factor);
            COMPILER_BARRIER();
            score(scores, (global const ushort *)tile, keys, count);
            for (int i = 0; i < ROWS; i++)
                weigh(weights + i * 32, scores + i * BK, tile + STATE_AT + i,
                      tile + SUMS_AT + i * WIDTH, count, block == 0);
            COMPILER_BARRIER();
            add_values(tile + SUMS_AT, weights, values, count, block == 0);
        }
    }
    TILES_END();
    for (int t = 0; t < tiles; t++) {
        global const float *tile = scratch + TILES_AT + (size_t)t * TILE_SIZE;
        int query = first + t * ROWS;
        for (int i = 0; i < ROWS && query + i < tokens; i++) {
            float inverse = 1.0f / tile[STATE_AT + ROWS + i];
            for (int c = 0; c < D; c += 16)
                store_some(out + (size_t)(query + i) * heads * D + c,
                           *(global const float16 *)(tile + SUMS_AT + i * WIDTH + c) * inverse,
                           D - c);
        }
    }
}
