/* Products on matrix units, epilogue included: both factors in half, sums in fp32. A work-group
 * makes a tile of MT rows and NT columns in steps of KT, each 32 of its items WM x WN of it.
 * Floor: 2 m n k FLOP.
 *
 * DB: whether the next step's parts are fetched while this one's are multiplied. Of the shape: AV:
 * width of loads from a. TAIL: K is no multiple of KT. WHOLE: n is even. ACTIVATION: 0 none, 1 GELU
 * (tanh form), 2 SiLU. GATE, RESIDUAL: 0 or 1. VEC is 2: what an item has of a row of results. */

#define UNIT 32 /* items that work on one fragment */
#define ITEMS (UNIT * (MT / WM) * (NT / WN))
#define FM (WM / 16)
#define FN (WN / 8)
#define ROW (KT + 8)  /* halves of a local row: a fragment's rows begin in different banks */
#define WORDS (ROW / 2)

#if AV == 4
#define VA float4
#else
#define VA float
#endif

#define A_VECTORS (MT * (KT / AV))
#define B_VECTORS (NT * (KT / 8))
#define A_LOADS ((A_VECTORS + ITEMS - 1) / ITEMS)
#define B_LOADS ((B_VECTORS + ITEMS - 1) / ITEMS)
#define MINE(v, vectors) ((vectors) % ITEMS == 0 || (v) < (vectors))

/* Rows that do not exist are read as the last one; steps that do not exist as 0. */
INLINE void fetch_a(VA part[A_LOADS], global const float *a, int me, int rows, int k,
                    int depth)
{
    #pragma unroll
    for (int l = 0; l < A_LOADS; l++) {
        int v = me + l * ITEMS, row = min(v / (KT / AV), rows - 1), at = k + v % (KT / AV) * AV;
        if (!MINE(v, A_VECTORS)) continue;
        part[l] = TAIL && at >= depth
                      ? (VA)(0.0f)
                      : *(global const VA *)(a + (size_t)row * depth + at);
    }
}

/* Rounded to half: the largest instead of infinity; NaN stays NaN. */
INLINE void keep_a(local ushort *tile, VA part[A_LOADS], int me)
{
    const VA largest = (VA)(65504.0f);
    #pragma unroll
    for (int l = 0; l < A_LOADS; l++) {
        int v = me + l * ITEMS;
        if (!MINE(v, A_VECTORS)) continue;
        local ushort *to = tile + v / (KT / AV) * ROW + v % (KT / AV) * AV;
        VA x = part[l];
        x = x > largest ? largest : x;
        x = x < -largest ? -largest : x;
#if AV == 4
        *(local uint2 *)to = (uint2)(mma_pack(x.x, x.y), mma_pack(x.z, x.w));
#else
        *to = (ushort)mma_pack(x, 0.0f);
#endif
    }
}

INLINE void fetch_b(uint4 part[B_LOADS], global const ushort *w, int me, int k,
                    int padded_depth)
{
    #pragma unroll
    for (int l = 0; l < B_LOADS; l++) {
        int v = me + l * ITEMS;
        if (!MINE(v, B_VECTORS)) continue;
        part[l] = *(global const uint4 *)(w + (size_t)(v / (KT / 8)) * padded_depth + k +
                                          v % (KT / 8) * 8);
    }
}

INLINE void keep_b(local ushort *tile, uint4 part[B_LOADS], int me)
{
    #pragma unroll
    for (int l = 0; l < B_LOADS; l++) {
        int v = me + l * ITEMS;
        if (!MINE(v, B_VECTORS)) continue;
        *(local uint4 *)(tile + v / (KT / 8) * ROW + v % (KT / 8) * 8) = part[l];
    }
}

/* a, b: from the item's first row and column on, see MMA for what it has of a fragment. */
INLINE void accumulate(float sum[FM][FN][4], local const uint *a, local const uint *b,
                       MMA_EXCHANGE exchange)
{
    #pragma unroll
    for (int k = 0; k < KT / 2; k += 8) {
        uint x[FM][4], y[FN][2];
        #pragma unroll
        for (int i = 0; i < FM; i++) {
            local const uint *from = a + i * 16 * WORDS + k;
            x[i][0] = from[0];
            x[i][1] = from[8 * WORDS];
            x[i][2] = from[4];
            x[i][3] = from[8 * WORDS + 4];
        }
        #pragma unroll
        for (int j = 0; j < FN; j++) {
            y[j][0] = b[j * 8 * WORDS + k];
            y[j][1] = b[j * 8 * WORDS + k + 4];
        }
        #pragma unroll
        for (int i = 0; i < FM; i++)
            #pragma unroll
            for (int j = 0; j < FN; j++) MMA(sum[i][j], x[i], y[j], exchange);
    }
}

/* ---- what becomes of finished sums; see epilogue.cl ---- */

typedef struct {
    global const float *bias, *residual, *gate;
    global const int *rows;
    int n, residual_rows, tokens, stride, first_row, rows_at, gate_at;
} epilogue;

INLINE float2 load_pair(global const float *from, int left)
{
    return (float2)(from[0], left > 1 ? from[1] : 0.0f);
}

INLINE void store_pair(float2 v, global float *to, int left)
{
#if WHOLE
    *(global float2 *)to = v;
#else
    to[0] = v.x;
    if (left > 1) to[1] = v.y;
#endif
}

INLINE void finish(global float *out, float2 x, epilogue e, int row, int at)
{
    int left = e.n - at;
    if (left <= 0) return;
    x += load_pair(e.bias + at, left);
#if ACTIVATION == 1
    x = gelu_tanhv(x);
#elif ACTIVATION == 2
    x = siluv(x);
#endif
#if GATE
    x *= load_pair(e.gate + e.gate_at + at + (size_t)(e.first_row +
                   e.rows[e.rows_at + row / e.tokens]) * e.stride, left);
#endif
#if RESIDUAL
    x += load_pair(e.residual + (size_t)(row % e.residual_rows) * e.n + at, left);
#endif
    store_pair(x, out + (size_t)row * e.n + at, left);
}

/* As gemm_gpu's; weight [n padded to 128][padded_depth] of half, zeros in the padding. */
kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
void gemm_mma(global float *out, global const float *a, global const ushort *weight,
              global const float *bias, global const float *residual, global const float *gate,
              global const int *rows, int m, int n, int depth, int padded_depth, int residual_rows,
              int tokens, int stride, int first_row, int rows_at, int gate_at)
{
    local ushort a_tile[(1 + DB) * MT * ROW] __attribute__((aligned(16)));
    local ushort b_tile[(1 + DB) * NT * ROW] __attribute__((aligned(16)));
    MMA_DECLARE(exchange, ITEMS)
    int me = (int)get_local_id(0), unit = me / UNIT, lane = me % UNIT;
    int first = (int)get_group_id(1) * MT, column = (int)get_group_id(0) * NT;
    int row = unit / (NT / WN) * WM, wide = unit % (NT / WN) * WN; /* in the tile */
    int at = lane / 4 * WORDS + lane % 4, stage = 0;
    float sum[FM][FN][4];
    VA a_part[A_LOADS];
    uint4 b_part[B_LOADS];
    a += (size_t)first * depth;
    weight += (size_t)column * padded_depth;
    #pragma unroll
    for (int i = 0; i < FM; i++)
        #pragma unroll
        for (int j = 0; j < FN; j++)
            #pragma unroll
            for (int c = 0; c < 4; c++) sum[i][j][c] = 0.0f;
    fetch_a(a_part, a, me, m - first, 0, depth);
    fetch_b(b_part, weight, me, 0, padded_depth);
    for (int k = 0; k < depth; k += KT) {
        local ushort *a_now = a_tile + stage * MT * ROW, *b_now = b_tile + stage * NT * ROW;
#if !DB
        barrier(CLK_LOCAL_MEM_FENCE); /* nobody reads the step before */
#endif
        keep_a(a_now, a_part, me);
        keep_b(b_now, b_part, me);
        barrier(CLK_LOCAL_MEM_FENCE);
        if (k + KT < depth) {
            fetch_a(a_part, a, me, m - first, k + KT, depth);
            fetch_b(b_part, weight, me, k + KT, padded_depth);
        }
        accumulate(sum, (local const uint *)a_now + row * WORDS + at,
                   (local const uint *)b_now + wide * WORDS + at, exchange);
#if DB
        stage = 1 - stage; /* who is here waits for the others before it writes this one again */
#endif
    }
    epilogue e = {bias, residual, gate, rows, n, residual_rows, tokens, stride, first_row, rows_at,
                  gate_at};
    #pragma unroll
    for (int i = 0; i < FM; i++)
        #pragma unroll
        for (int c = 0; c < 4; c += 2) {
            int r = first + row + i * 16 + lane / 4 + c / 2 * 8;
            if (r >= m) continue;
            #pragma unroll
            for (int j = 0; j < FN; j++)
                finish(out, (float2)(sum[i][j][c], sum[i][j][c + 1]), e, r,
                       column + wide + j * 8 + lane % 4 * 2);
        }
}
