/* Timestep and label embeddings (paper 3.2): as one vector, or as two tokens. */

/* One item = one value. out [R][D] = SiLU(embedded[R][D] + table[label of r][D]). */
kernel void condition_combine(global float *out, global const float *embedded,
                              global const float *table, global const int *labels, int width)
{
    int k = (int)get_global_id(0), r = (int)get_global_id(1);
    if (k >= width) return;
    size_t i = (size_t)r * width + k;
    out[i] = siluv(embedded[i] + table[(size_t)labels[r] * width + k]);
}

/* One item = one value of D. out [R][2][D] = embedded [R][D], then table [label of r][D]. */
kernel void condition_tokens(global float *out, global const float *embedded,
                             global const float *table, global const int *labels, int width)
{
    int k = (int)get_global_id(0), r = (int)get_global_id(1);
    if (k >= width) return;
    size_t to = (size_t)r * 2 * width + k;
    out[to] = embedded[(size_t)r * width + k];
    out[to + width] = table[(size_t)labels[r] * width + k];
}

/* One item = one value. out [N][2+T][D] = the two tokens of the batch item, then its own of
 * x [N][T][D]. context: rows of [2][D], the row of item n being first_row + rows[rows_at + n]. */
kernel void condition_prepend(global float *out, global const float *x, global const float *context,
                              global const int *rows, int width, int tokens, int first_row,
                              int rows_at)
{
    int k = (int)get_global_id(0), token = (int)get_global_id(1), n = (int)get_global_id(2);
    if (k >= width) return;
    size_t to = ((size_t)n * (tokens + 2) + token) * width + k;
    size_t row = (size_t)(first_row + rows[rows_at + n]) * 2;
    /* two stores: clspv crashes on a choice between two global pointers */
    if (token < 2)
        out[to] = context[(row + token) * width + k];
    else
        out[to] = x[((size_t)n * tokens + token - 2) * width + k];
}
