/* Timestep and label embeddings (paper 3.2), joined to one vector or as two tokens. Bound by
 * memory. embedded: the embedded timesteps; table: the embedded labels. */

/* out [R][D] = SiLU(embedded [R][D] + table[label of row r][D]). One work-item = one value. Range:
 * [D][R]. */
kernel void condition_combine(global float *out, global const float *embedded,
                              global const float *table, global const int *labels, int width)
{
    int channel = (int)get_global_id(0), row = (int)get_global_id(1);
    if (channel >= width) return;
    size_t index = (size_t)row * width + channel;
    out[index] = siluv(embedded[index] + table[(size_t)labels[row] * width + channel]);
}

/* out [R][2][D] = embedded [R][D], then table[label of row r][D]. One work-item = one channel of
 * both tokens. Range: [D][R]. */
kernel void condition_tokens(global float *out, global const float *embedded,
                             global const float *table, global const int *labels, int width)
{
    int channel = (int)get_global_id(0), row = (int)get_global_id(1);
    if (channel >= width) return;
    size_t index = (size_t)row * 2 * width + channel;
    out[index] = embedded[(size_t)row * width + channel];
    out[index + width] = table[(size_t)labels[row] * width + channel];
}

/* out [N][2+T][D] = the two tokens of a sample, then its tokens x [N][T][D]. The two tokens of
 * sample n are row first_row + rows[rows_at + n] of context [..][2][D]. One work-item = one value.
 * Range: [D][2 + T][N]. */
kernel void condition_prepend(global float *out, global const float *x, global const float *context,
                              global const int *rows, int first_row, int rows_at, int width,
                              int tokens)
{
    int channel = (int)get_global_id(0), token = (int)get_global_id(1), n = (int)get_global_id(2);
    if (channel >= width) return;
    size_t index = ((size_t)n * (tokens + 2) + token) * width + channel;
    size_t row = (size_t)(first_row + rows[rows_at + n]) * 2;
    /* two stores, since clspv crashes on a choice between two global pointers */
    if (token < 2)
        out[index] = context[(row + token) * width + channel];
    else
        out[index] = x[((size_t)n * tokens + token - 2) * width + channel];
}
