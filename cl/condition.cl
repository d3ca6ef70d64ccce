/* Timestep and label embeddings (paper 3.2): as one vector, or as two tokens. */

/* out [R][D] = SiLU(embedded [R][D] + table[label of r][D]). One work-item = one value. */
kernel void condition_combine(global float *out, global const float *embedded,
                              global const float *table, global const int *labels, int width)
{
    int k = (int)get_global_id(0), r = (int)get_global_id(1);
    if (k >= width) return;
    size_t i = (size_t)r * width + k;
    out[i] = siluv(embedded[i] + table[(size_t)labels[r] * width + k]);
}

/* out [R][2][D] = embedded [R][D], then table[label of r][D]. One work-item = one value of D. */
kernel void condition_tokens(global float *out, global const float *embedded,
                             global const float *table, global const int *labels, int width)
{
    int k = (int)get_global_id(0), r = (int)get_global_id(1);
    if (k >= width) return;
    size_t to = (size_t)r * 2 * width + k;
    out[to] = embedded[(size_t)r * width + k];
    out[to + width] = table[(size_t)labels[r] * width + k];
}

/* out [N][2+T][D] = the two tokens of a sample of the batch, then its tokens x [N][T][D]. The two
 * tokens of sample n are row first_row + rows[rows_at + n] of context [..][2][D]. One work-item =
 * one value. */
kernel void condition_prepend(global float *out, global const float *x, global const float *context,
                              global const int *rows, int first_row, int rows_at, int width,
                              int tokens)
{
    int k = (int)get_global_id(0), token = (int)get_global_id(1), n = (int)get_global_id(2);
    if (k >= width) return;
    size_t to = ((size_t)n * (tokens + 2) + token) * width + k;
    size_t row = (size_t)(first_row + rows[rows_at + n]) * 2;
    /* two stores, since clspv crashes on a choice between two global pointers */
    if (token < 2)
        out[to] = context[(row + token) * width + k];
    else
        out[to] = x[((size_t)n * tokens + token - 2) * width + k];
}
