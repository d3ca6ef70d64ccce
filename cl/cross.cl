/* Cross-attention of every token to two keys: the embedded timestep and the embedded label (paper
 * 3.2, "Cross-attention block"). Bound by memory: each query is read once, each result is written
 * once. */

#include "result.clh"

/* out, q [N*T][H*d]. out: see result.clh. Keys and values: rows of `stride` floats, [2][k |
 * v][H*d]; sample n has row first_row + rows[rows_at + n]. scale: d^-1/2. One work-item = one head
 * of one token. Range: [T * H][N]. */
kernel void cross_attention(global RESULT *out, global const float *q,
                            global const float *keys_values, global const int *rows, int stride,
                            int first_row, int rows_at, int tokens, int heads, int d, float scale)
{
    int i = (int)get_global_id(0), n = (int)get_global_id(1), width = heads * d;
    if (i >= tokens * heads) return;
    size_t query_index = ((size_t)n * tokens * heads + i) * d;
    global const float *k0 =
        keys_values + (size_t)(first_row + rows[rows_at + n]) * stride + i % heads * d;
    global const float *v0 = k0 + width, *k1 = v0 + width, *v1 = k1 + width;
    float score0 = 0.0f, score1 = 0.0f;
    for (int j = 0; j < d; j++) {
        score0 = mad(q[query_index + j], k0[j], score0);
        score1 = mad(q[query_index + j], k1[j], score1);
    }
    /* softmax of two scores: p0 = 1 / (1 + e^(score1 - score0)), which is never NaN */
    float difference = (score1 - score0) * scale;
    float p0 = 1.0f / (1.0f + exp(difference)), p1 = 1.0f / (1.0f + exp(-difference));
    out += ((size_t)n * tokens + i / heads) * RESULT_PARTS * width;
    for (int j = 0; j < d; j++)
        write_result1(out, width, i % heads * d + j, mad(p0, v0[j], p1 * v1[j]));
}
