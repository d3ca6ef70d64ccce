/* The epilogue of a GEMM whose kernel has none, and the sum over the parts of a GEMM that splits K.
 * Bound by memory.
 *
 * ACTIVATION: 0 none, 1 GELU (tanh form), 2 SiLU. GATE, RESIDUAL: 0 or 1. */

INLINE float gelu_tanh(float x)
{
    /* x * (1 + tanh(u)) / 2 = x * sigmoid(2u) */
    float u = x * (0.7978845608f + 0.0356774081f * x * x);
    return x / (1.0f + exp(-2.0f * u));
}

/* c [count][N] = [residual +] [gate *] activation(sum of the parts + bias). sums [parts][count][N]
 * are added in order; if parts is 1, sums may be c. residual [residual_rows][N]: row m %
 * residual_rows; residual must not be c. gate: row first_row + rows[rows_at + m / tokens], of
 * `stride` floats, from gate_at on. One work-item = one value. */
kernel void epilogue(global float *c, global const float *sums, int parts, int count,
                     global const float *bias, global const float *residual,
                     global const float *gate, global const int *rows, int n, int residual_rows,
                     int tokens, int stride, int first_row, int rows_at, int gate_at)
{
    int j = (int)get_global_id(0);
    size_t m = get_global_id(1), part = (size_t)count * n;
    if (j >= n) return;
    float x = sums[m * n + j];
    for (int p = 1; p < parts; p++) x += sums[p * part + m * n + j];
    x += bias[j];
#if ACTIVATION == 1
    x = gelu_tanh(x);
#elif ACTIVATION == 2
    x = silu(x);
#endif
#if GATE
    x *= gate[(size_t)(first_row + rows[rows_at + m / tokens]) * stride + gate_at + j];
#endif
#if RESIDUAL
    x += residual[m % residual_rows * n + j];
#endif
    c[m * n + j] = x;
}
