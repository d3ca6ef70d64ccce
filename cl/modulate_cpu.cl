/* modulate.cl for CPUs: one work-item runs along whole tokens with vectors. Bound by memory: each
 * token is read from memory once and written once. The second and third pass find it in the L1
 * cache. WIDTH: floats of a token. */

#define N_SUMS 4 /* independent sums, which hide the latency of an addition */
#define BODY (WIDTH / VEC * VEC)

/* This type loads and stores an unaligned vector in one access. A compiler may split vload16. */
typedef V unaligned_v __attribute__((aligned(4)));
#define LOAD(p) (*(global const unaligned_v *)(p))
#define STORE(v, p) (*(global unaligned_v *)(p) = (v))

INLINE float lane_sum(V x)
{
    float lanes[VEC], sum = 0.0f;
    VSTORE(x, lanes);
#pragma unroll
    for (int i = 0; i < VEC; i++) sum += lanes[i];
    return sum;
}

/* The sum of x - mean over a token, or of its square. */
INLINE float sum_of(global const float *x, float mean, bool squared)
{
    V sum[N_SUMS];
    float rest = 0.0f;
    int i = 0;
#pragma unroll
    for (int u = 0; u < N_SUMS; u++) sum[u] = 0.0f;
    for (; i + N_SUMS * VEC <= WIDTH; i += N_SUMS * VEC)
#pragma unroll
        for (int u = 0; u < N_SUMS; u++) {
            V deviation = LOAD(x + i + u * VEC) - mean;
            sum[u] = squared ? mad(deviation, deviation, sum[u]) : sum[u] + deviation;
        }
    for (; i + VEC <= WIDTH; i += VEC) {
        V deviation = LOAD(x + i) - mean;
        sum[0] = squared ? mad(deviation, deviation, sum[0]) : sum[0] + deviation;
    }
    for (; i < WIDTH; i++) {
        float deviation = x[i] - mean;
        rest += squared ? deviation * deviation : deviation;
    }
    return rest + lane_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

/* Arguments as in modulate.cl; total_tokens: N * T. One work-group = one work-item = `count`
 * tokens. Range: [ceil(N * T / count)]. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
modulate_cpu(global float *out, global const float *x, global const float *modulation,
             global const int *rows, int stride, int first_row, int rows_at, int shift_at,
             int scale_at, float epsilon, int tokens, int total_tokens, int count)
{
    int first = GROUP_ID(0, 1) * count, end = min(first + count, total_tokens);
    for (int token = first; token < end; token++) {
        global const float *in = x + (size_t)token * WIDTH;
        global float *row_out = out + (size_t)token * WIDTH;
        global const float *row =
            modulation + (size_t)(first_row + rows[rows_at + token / tokens]) * stride;
        global const float *shift = row + shift_at, *scale = row + scale_at;
        float mean = sum_of(in, 0.0f, false) / WIDTH;
        float inverse = 1.0f / sqrt(sum_of(in, mean, true) / WIDTH + epsilon);
        for (int i = 0; i < BODY; i += VEC)
            STORE(mad((LOAD(in + i) - mean) * inverse, 1.0f + LOAD(scale + i), LOAD(shift + i)),
                  row_out + i);
        for (int i = BODY; i < WIDTH; i++)
            row_out[i] = mad((in[i] - mean) * inverse, 1.0f + scale[i], shift[i]);
    }
}
