/* Layer norm without affine weights, then (1 + scale) x + shift (paper 3.2, adaLN). Bound by
 * memory: each token is read from memory once and written once. The second and third pass find it
 * in the cache. */

#include "result.clh"

/* out, x [N*T][D]. modulation: rows of `stride` floats; sample n has row first_row +
 * rows[rows_at + n]; shift and scale begin shift_at and scale_at floats into the row. D is a
 * multiple of 4. A second pass computes the variance around the mean, so that a large mean costs no
 * digits. out: see result.clh. One work-group = one token; with WG 1, one work-item = one token.
 * Range: [N * T] tokens. */
kernel void modulate(global RESULT *out, global const float *x, global const float *modulation,
                     global const int *rows, int stride, int first_row, int rows_at, int shift_at,
                     int scale_at, float epsilon, int tokens, int width)
{
#if WG > 1
    local float scratch[WG];
#endif
    int local_id = WG > 1 ? (int)get_local_id(0) : 0, quads = width / 4;
    size_t token = WG > 1 ? (size_t)GROUP_ID(0, WG) : get_global_id(0);
    global const float *in = x + token * width;
    float4 sum4 = 0.0f;
    for (int i = local_id; i < quads; i += WG) sum4 += vload4(i, in);
    float mean = group_sum(sum4.x + sum4.y + sum4.z + sum4.w, scratch) / width;
    sum4 = 0.0f;
    for (int i = local_id; i < quads; i += WG) {
        float4 deviation = vload4(i, in) - mean;
        sum4 += deviation * deviation;
    }
    float variance = group_sum(sum4.x + sum4.y + sum4.z + sum4.w, scratch) / width;
    float inverse = 1.0f / sqrt(variance + epsilon);
    global const float *row =
        modulation + (size_t)(first_row + rows[rows_at + token / tokens]) * stride;
    for (int i = local_id; i < quads; i += WG) {
        float4 normalised = (vload4(i, in) - mean) * inverse;
        write_result4(out + token * RESULT_PARTS * width, width, 4 * i,
                      normalised * (1.0f + vload4(i, row + scale_at)) + vload4(i, row + shift_at));
    }
}
