/* Products for CPUs, epilogue included: one item owns MR rows and NR = NV * VEC columns in
 * registers and runs through the whole of K. Floor: 2 m n k FLOP.
 *
 * ACTIVATION: 0 none, 1 GELU (tanh form), 2 SiLU. GATE, RESIDUAL: 0 or 1. */

#define NR (NV * VEC)

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

/* The last vector of a row that is no multiple of VEC. */
inline void store_part(global float *to, V value, int count)
{
    float lane[VEC];
    VSTORE(value, lane);
    for (int j = 0; j < count; j++) to[j] = lane[j];
}

inline V load_part(global const float *from, int count)
{
    float lane[VEC];
    for (int j = 0; j < VEC; j++) lane[j] = j < count ? from[j] : 0.0f;
    return VLOAD(lane);
}

/* out [m][n] = [residual +] [gate *] activation(a [m][k] x weight^T + bias). weight
 * [ceil(n / NR)][k][NR] and bias [ceil(n / NR) * NR], padded with zeros. residual and gate as in
 * epilogue.cl. One work-group = one item = one tile; tiles of one panel of weights follow each
 * other, so that the panel stays in cache. */
kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void gemm_cpu(global float *out, global const float *a, global const float *weight,
              global const float *bias, global const float *residual, global const float *gate,
              global const int *rows, int m, int n, int k_size, int residual_rows, int tokens,
              int stride, int first_row, int rows_at, int gate_at)
{
    int first = (int)get_group_id(0) * MR, panel = (int)get_group_id(1);
    global const float *row[MR]; /* rows beyond the last are computed again, not stored */
    #pragma unroll
    for (int i = 0; i < MR; i++) row[i] = a + (size_t)min(first + i, m - 1) * k_size;
    global const float *w = weight + (size_t)panel * k_size * NR;
    V sum[MR][NV];
    #pragma unroll
    for (int i = 0; i < MR; i++)
        #pragma unroll
        for (int j = 0; j < NV; j++) sum[i][j] = VLOAD(bias + panel * NR + j * VEC);
    for (int k = 0; k < k_size; k++, w += NR) {
        V b[NV];
        #pragma unroll
        for (int j = 0; j < NV; j++) b[j] = VLOAD(w + j * VEC);
        #pragma unroll
        for (int i = 0; i < MR; i++) {
            V x = row[i][k];
            #pragma unroll
            for (int j = 0; j < NV; j++) sum[i][j] = mad(x, b[j], sum[i][j]);
        }
    }
    for (int i = 0; i < MR && first + i < m; i++) {
#if GATE
        global const float *gates =
            gate + (size_t)(first_row + rows[rows_at + (first + i) / tokens]) * stride + gate_at;
#endif
#if RESIDUAL
        global const float *added = residual + (size_t)((first + i) % residual_rows) * n;
#endif
        for (int j = 0; j < NV; j++) {
            int column = panel * NR + j * VEC, left = n - column;
            if (left <= 0) break;
            V x = activate(sum[i][j]);
#if GATE
            x *= left >= VEC ? VLOAD(gates + column) : load_part(gates + column, left);
#endif
#if RESIDUAL
            x += left >= VEC ? VLOAD(added + column) : load_part(added + column, left);
#endif
            global float *to = out + (size_t)(first + i) * n + column;
            if (left >= VEC) VSTORE(x, to);
            else store_part(to, x, left);
        }
    }
}
