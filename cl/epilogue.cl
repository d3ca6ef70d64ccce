/* The epilogue of a GEMM whose kernel has none, and the sum over the parts of a GEMM that splits K.
 * Bound by memory. */

INLINE float gelu_tanh(float x)
{
    /* x * (1 + tanh(u)) / 2 = x * sigmoid(2u) */
    float u = x * (0.7978845608f + 0.0356774081f * x * x);
    return x / (1.0f + exp(-2.0f * u));
}

#define V float
#define gelu_tanhv gelu_tanh
#define siluv silu
#define GATE_LOAD(p, left) (*(p))
#define RESIDUAL_LOAD(p, left) (*(p))
#include "epilogue.clh"
#include "result.clh"

/* c [count][n] = the epilogue of the sum of the parts. sums [parts][count][n] are added in order;
 * if parts is 1, sums may be c. residual must not be c. c: see result.clh. One work-item = one
 * value. */
kernel void epilogue_of_sums(global RESULT *c, global const float *sums, EPILOGUE_ARGUMENTS,
                             int parts, int count)
{
    const epilogue e = EPILOGUE_OF_ARGUMENTS;
    epilogue_row r;
    int j = (int)get_global_id(0);
    size_t m = get_global_id(1), part = (size_t)count * n;
    if (j >= n) return;
    float x = sums[m * n + j];
    for (int p = 1; p < parts; p++) x += sums[p * part + m * n + j];
    find_row(&r, e, (int)m);
    x = apply_epilogue(x + bias[j], r, j, n - j);
    write_result1(c + m * RESULT_PARTS * n, n, j, x);
}
