/* Products for CPUs, epilogue included. One item owns a block of rows of one panel of NR = NV * VEC
 * columns and works through it in tiles of MR rows, whose sums stay in registers. K is cut into
 * parts of KC, so that the block of rows and the panel's part stay in the second-level cache; sums
 * rest in `out` between parts, so that an element is one chain of K additions, the same bits
 * whatever MR, NV, KC and KU are. Floor: 2 m n k FLOP.
 *
 * ACTIVATION: 0 none, 1 GELU (tanh form), 2 SiLU. GATE, RESIDUAL, PREFETCH: 0 or 1. K: the depth,
 * known to the compiler so that rows are constant distances apart. KU: steps of K unrolled.
 * BF16: inputs are pairs of bfloat16, multiplied and added by one instruction; K counts pairs. */

#ifdef BF16
typedef int element;
#define VE int16
#define VE_LOAD(p) (*(global const VE_ANY *)(p))
#define MULTIPLY(x, b, sum) dot_pairs(x, b, sum)
typedef int VE_ANY __attribute__((ext_vector_type(16), aligned(4)));
#else
typedef float element;
#define VE V
#define VE_LOAD(p) VLOAD(p)
#define MULTIPLY(x, b, sum) mad(x, b, sum)
#endif

#define NR (NV * VEC)
#define LINE 16 /* floats of a cache line */
#define LINES_AHEAD ((KU * MR + LINE - 1) / LINE)

#if PREFETCH /* OpenCL's own prefetch() comes to nothing on some */
#define FETCH_NEAR(p) __builtin_prefetch((const void *)(size_t)(p), 0, 3)
#define FETCH_FAR(p) __builtin_prefetch((const void *)(size_t)(p), 0, 2)
#define FETCH_OUT(p) __builtin_prefetch((const void *)(size_t)(p), 1, 3)
#else
#define FETCH_NEAR(p)
#define FETCH_FAR(p)
#define FETCH_OUT(p)
#endif

inline V activate(V x)
{
#if ACTIVATION == 1
    return gelu_tanhv(x);
#elif ACTIVATION == 2
    return siluv(x);
#else
    return x;
#endif
}

/* A vector near the end of a row: `left` of its elements and what is behind them exist. */
inline void store_part(global float *to, V value, int left)
{
    if (left >= VEC) {
        VSTORE(value, to);
        return;
    }
    float lane[VEC];
    VSTORE(value, lane);
    for (int j = 0; j < left; j++) to[j] = lane[j];
}

inline V load_part(global const float *from, int left)
{
    if (left >= VEC) return VLOAD(from);
    float lane[VEC];
    for (int j = 0; j < VEC; j++) lane[j] = j < left ? from[j] : 0.0f;
    return VLOAD(lane);
}

/* What becomes of finished sums; see epilogue.cl. */
typedef struct {
    global const float *bias, *residual, *gate;
    global const int *rows;
    int n, residual_rows, tokens, stride, first_row, rows_at, gate_at;
} epilogue;

inline void finish(global float *out, V sum[MR][NV], epilogue e, int row, int rows, int column)
{
    for (int i = 0; i < rows; i++, row++) {
        global float *to = out + (size_t)row * e.n + column;
#if GATE
        global const float *gate = e.gate + e.gate_at + column +
            (size_t)(e.first_row + e.rows[e.rows_at + row / e.tokens]) * e.stride;
#endif
#if RESIDUAL
        global const float *residual = e.residual + (size_t)(row % e.residual_rows) * e.n + column;
#endif
        for (int j = 0; j < NV; j++) {
            int left = e.n - column - j * VEC;
            V x = activate(sum[i][j]);
#if GATE
            x *= load_part(gate + j * VEC, left);
#endif
#if RESIDUAL
            x += load_part(residual + j * VEC, left);
#endif
            store_part(to + j * VEC, x, left);
        }
    }
}

inline void store_sums(global float *out, V sum[MR][NV], int n, int row, int rows, int column)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < NV; j++)
            store_part(out + (size_t)(row + i) * n + column + j * VEC, sum[i][j],
                       n - column - j * VEC);
}

inline void load_sums(V sum[MR][NV], global const float *out, int n, int row, int rows, int column)
{
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NV; j++)
            sum[i][j] = load_part(out + (size_t)(row + min(i, rows - 1)) * n + column + j * VEC,
                                  n - column - j * VEC);
}

/* MR rows of a from `row` on, of which `rows` exist, times the part of the panel that begins at w:
 * `depth` steps of K from `begin` on. full: rows is MR, and the compiler sees it. next: what to
 * fetch meanwhile of the panel that follows. */
inline void tile(global float *out, global const element *a, global const element *w,
                 global const element *next, epilogue e, int row, int rows, bool full, int column,
                 int begin, int depth)
{
    V sum[MR][NV], rest[MR][NV];
    int at[MR]; /* rows that do not exist are computed as the last one, and not stored */
    a += (size_t)row * K + begin;
    if (begin > 0) load_sums(rest, out, e.n, row, rows, column);
    #pragma unroll
    for (int i = 0; i < MR; i++) {
        at[i] = (full ? i : min(i, rows - 1)) * K;
        #pragma unroll
        for (int j = 0; j < NV; j++) {
            sum[i][j] = begin > 0 ? rest[i][j] : VLOAD(e.bias + column + j * VEC);
            FETCH_OUT(out + (size_t)(row + i) * e.n + column + j * VEC);
        }
    }
    int k = 0;
    for (; k + KU <= depth; k += KU, a += KU, w += KU * NR, next += LINE) {
        #pragma unroll
        for (int p = 0; p < LINES_AHEAD; p++) /* of the next tile's rows, a line each in turn */
            FETCH_NEAR(a + (MR + (k / KU * LINES_AHEAD + p) % MR) * K);
        FETCH_FAR(next);
        #pragma unroll
        for (int u = 0; u < KU; u++) {
            VE b[NV];
            #pragma unroll
            for (int j = 0; j < NV; j++) b[j] = VE_LOAD(w + u * NR + j * VEC);
            #pragma unroll
            for (int i = 0; i < MR; i++) {
                VE x = a[at[i] + u];
                #pragma unroll
                for (int j = 0; j < NV; j++) sum[i][j] = MULTIPLY(x, b[j], sum[i][j]);
            }
        }
    }
#if K % KU
    for (; k < depth; k++, a++, w += NR)
        #pragma unroll
        for (int i = 0; i < MR; i++) {
            VE x = a[at[i]];
            #pragma unroll
            for (int j = 0; j < NV; j++)
                sum[i][j] = MULTIPLY(x, VE_LOAD(w + j * VEC), sum[i][j]);
        }
#endif
    /* rest, unlike sum, may lie in memory: the loops over it are not unrolled */
    #pragma unroll
    for (int i = 0; i < MR; i++)
        #pragma unroll
        for (int j = 0; j < NV; j++) rest[i][j] = sum[i][j];
    if (begin + depth == K) finish(out, rest, e, row, rows, column);
    else store_sums(out, rest, e.n, row, rows, column);
}

/* out [m][n] = [residual +] [gate *] activation(a [m][K] x weight^T + bias). weight
 * [ceil(n / NR)][K][NR] and bias [ceil(n / NR) * NR], padded with zeros. residual and gate as in
 * epilogue.cl. One work-group = one item = one panel x block_rows rows; the next group has the next
 * panel, so that the rows stay in cache. KC is a multiple of KU, block_rows of MR. */
kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void gemm_cpu(global float *out, global const element *a, global const element *weight,
              global const float *bias, global const float *residual, global const float *gate,
              global const int *rows, int m, int n, int block_rows, int residual_rows, int tokens,
              int stride, int first_row, int rows_at, int gate_at)
{
    int column = (int)get_group_id(0) * NR, first = (int)get_group_id(1) * block_rows;
    int end = min(first + block_rows, m);
    global const element *panel = weight + (size_t)column * K;
    epilogue e = {bias, residual, gate, rows, n, residual_rows, tokens, stride, first_row, rows_at,
                  gate_at};
    for (int k = 0; k < K; k += KC) {
        int depth = min(KC, K - k), row = first;
        global const element *w = panel + (size_t)k * NR, *next = w + (size_t)depth * NR;
        for (; row + MR <= end; row += MR, next += KC / KU * LINE)
            tile(out, a, w, next, e, row, MR, true, column, k, depth);
        if (row < end) tile(out, a, w, next, e, row, end - row, false, column, k, depth);
    }
}

#ifdef BF16
/* packed [m][K] = a [m][width] in pairs of bfloat16; width is 2 K or one less. One item = a row. */
kernel void gemm_cpu_round(global int *packed, global const float *a, int width)
{
    packed += get_global_id(0) * K;
    a += get_global_id(0) * width;
    int k = 0;
    for (; k + 16 <= width; k += 16)
        *(global ushort16_any *)(packed + k / 2) = to_bf16(*(global const float16_any *)(a + k));
    if (k == width) return;
    float lane[16];
    for (int j = 0; j < 16; j++) lane[j] = k + j < width ? a[k + j] : 0.0f;
    ushort rounded[16];
    vstore16(to_bf16(vload16(0, lane)), 0, rounded);
    for (int j = 0; k / 2 + j < K; j++)
        packed[k / 2 + j] = rounded[2 * j] | rounded[2 * j + 1] << 16;
}
#endif
