/* The conditioning vector (paper 3.2: timestep and label embeddings). Tiny: rows x D. */

/* One item = one value. out [R][2*half_]: cosines, then sines, of timestep x frequency. */
kernel void condition_features(global float *out, global const float *timesteps,
                               global const float *frequencies, int half_)
{
    int k = (int)get_global_id(0), r = (int)get_global_id(1);
    if (k >= 2 * half_) return;
    float angle = timesteps[r] * frequencies[k % half_];
    out[(size_t)r * 2 * half_ + k] = k < half_ ? cos(angle) : sin(angle);
}

/* One item = one value. out [R][D] = SiLU(embedded[R][D] + table[label of r][D]). */
kernel void condition_combine(global float *out, global const float *embedded,
                              global const float *table, global const int *labels, int width)
{
    int k = (int)get_global_id(0), r = (int)get_global_id(1);
    if (k >= width) return;
    size_t i = (size_t)r * width + k;
    out[i] = siluv(embedded[i] + table[(size_t)labels[r] * width + k]);
}
