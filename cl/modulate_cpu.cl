/* modulate.cl for CPUs: one work-item runs along whole tokens with vectors. Bound by memory: a
 * token is read from memory once, is in the L1 cache for the second and third pass, and is written
 * once. WIDTH: floats of a token. */

#define N_SUMS 4 /* independent sums, which hide the latency of an addition */
#define BODY (WIDTH / VEC * VEC)

/* A compiler may split vload16 and vstore16. This type moves an unaligned vector in one access. */
typedef V unaligned_v __attribute__((aligned(4)));
#define LOAD(p) (*(global const unaligned_v *)(p))
#define STORE(v, p) (*(global unaligned_v *)(p) = (v))

INLINE float lanes(V x)
{
    float lane[VEC], sum = 0.0f;
    VSTORE(x, lane);
#pragma unroll
    for (int i = 0; i < VEC; i++) sum += lane[i];
    return sum;
}

/* Sum of x - mean, or of its square. */
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
            V off = LOAD(x + i + u * VEC) - mean;
            sum[u] = squared ? mad(off, off, sum[u]) : sum[u] + off;
        }
    for (; i + VEC <= WIDTH; i += VEC) {
        V off = LOAD(x + i) - mean;
        sum[0] = squared ? mad(off, off, sum[0]) : sum[0] + off;
    }
    for (; i < WIDTH; i++) {
        float off = x[i] - mean;
        rest += squared ? off * off : off;
    }
    return rest + lanes((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

/* Arguments as in modulate.cl; there are `all` tokens. One work-group = one work-item = `count`
 * tokens. */
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
modulate_cpu(global float *out, global const float *x, global const float *modulation,
             global const int *rows, int stride, int first_row, int rows_at, int shift_at,
             int scale_at, float epsilon, int tokens, int all, int count)
{
    int first = GROUP_ID(0, 1) * count, end = min(first + count, all);
    for (int token = first; token < end; token++) {
        global const float *in = x + (size_t)token * WIDTH;
        global float *to = out + (size_t)token * WIDTH;
        global const float *row =
            modulation + (size_t)(first_row + rows[rows_at + token / tokens]) * stride;
        global const float *shift = row + shift_at, *scale = row + scale_at;
        float mean = sum_of(in, 0.0f, false) / WIDTH;
        float inverse = 1.0f / sqrt(sum_of(in, mean, true) / WIDTH + epsilon);
        for (int i = 0; i < BODY; i += VEC)
            STORE(mad((LOAD(in + i) - mean) * inverse, 1.0f + LOAD(scale + i), LOAD(shift + i)),
                  to + i);
        for (int i = BODY; i < WIDTH; i++)
            to[i] = mad((in[i] - mean) * inverse, 1.0f + scale[i], shift[i]);
    }
}
