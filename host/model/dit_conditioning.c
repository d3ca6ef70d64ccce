/* Computes the modulation of a run from timesteps and labels; fixed tables. See dit.h. */
#include <math.h>

#include "model/dit_parts.h"

/* ---- constants ---- */

void dit_positions(float *out, int side, int width)
{
    int quarter = width / 4;
    for (int token = 0; token < side * side; token++)
        for (int half = 0; half < 2; half++) {
            double at = half == 0 ? token % side : token / side; /* columns first, then rows */
            float *to = out + (size_t)token * (size_t)width + half * 2 * quarter;
            for (int i = 0; i < quarter; i++) {
                double omega = pow(10000.0, -(double)i / quarter);
                to[i] = (float)sin(at * omega);
                to[quarter + i] = (float)cos(at * omega);
            }
        }
}

void dit_frequencies(float *out, compat arithmetic)
{
    /* in float32, as both programs compute them */
    float divisor = arithmetic == COMPAT_DIFFUSERS ? HALF - 1 : HALF;
    for (int i = 0; i < HALF; i++) out[i] = expf((float)(-log(10000.0)) * (float)i / divisor);
}

void dit_features(float *out, float timestep, const float *frequencies)
{
    /* The angle is rounded to float32, as both programs round it: at timestep 999 the cosine of the
     * exact angle is 2e-5 away from theirs. Computed here, since some OpenCL compilers cannot
     * link cos and sin. */
    for (int i = 0; i < HALF; i++) {
        float angle = timestep * frequencies[i];
        out[i] = (float)cos((double)angle);
        out[HALF + i] = (float)sin((double)angle);
    }
}

/* ---- conditioning ---- */

/* The conditioning of a chunk: SiLU(timestep MLP + label), or both as tokens (paper 3.2). */
static status condition(dit *t, const embedder *e)
{
    status st = OK;
    TRY(dit_product(t, "time_1", &e->plan_1,
                    (gemm_buffers){.out = t->hidden, .a = t->features, .w = &e->time_1}));
    TRY(dit_product(t, "time_2", &e->plan_2,
                    (gemm_buffers){.out = t->embedded, .a = t->hidden, .w = &e->time_2}));
    if (designs[t->config.design].adaln)
        TRY(op_condition_combine(t->d, &t->plan_combine, t->conditioning, t->embedded, e->labels,
                                 t->row_labels));
    else
        TRY(op_condition_tokens(t->d, &t->plan_combine, t->conditioning, t->embedded, e->labels,
                                t->row_labels));
done:
    return st;
}

/* A block's modulation, or the keys and values of its cross-attention. */
static status condition_block(dit *t, int i, int n)
{
    dit_block *b = &t->blocks[i];
    bool adaln = designs[t->config.design].adaln;
    gemm_weight *w = t->keep_adaln ? &b->conditioner : &t->conditioner;
    status st = OK;
    if (!t->keep_adaln) {
        TRY(dit_load_conditioner(t, w, i));
        TRY(dit_plan_product(t, &b->plan_conditioner, w, LAYER_ADALN, adaln ? n : 2 * n, 0));
    }
    TRY(dit_product(t, adaln ? "adaln" : "cross_kv", &b->plan_conditioner,
                    (gemm_buffers){.out = adaln ? b->modulation : b->keys_values,
                                   .a = t->conditioning,
                                   .w = w}));
done:
    return st;
}

/* Counts, in a dry run, the weights of one block, which are on the device for a moment. */
static status count_conditioner(dit *t)
{
    bool read = dit_has_conditioner(&t->config) && !t->keep_adaln;
    status st = read ? dit_load_conditioner(t, &t->conditioner, 0) : OK;
    gemm_weight_free(t->d, &t->conditioner);
    return st;
}

status dit_modulate(dit *t, int n, const float *timesteps, const int *labels)
{
    status st = OK;
    if (t->d->dry) return count_conditioner(t);
    /* always a full chunk, so that every GEMM has its planned shape */
    int last = n - 1;
    n = t->row_capacity;
    for (int i = 0; i < n; i++) {
        dit_features(t->host_features + i * FEATURES, timesteps[i < last ? i : last],
                     t->frequencies);
        t->host_labels[i] = labels[i < last ? i : last];
    }
    TRY(buffer_upload(t->d, t->features, 0, t->host_features, (size_t)n * FEATURES));
    TRY(buffer_upload(t->d, t->row_labels, 0, t->host_labels, (size_t)n));
    /* the final layer takes block 0's conditioning, as does every block when there is only one */
    TRY(condition(t, &t->embedders[0]));
    if (designs[t->config.design].adaln)
        TRY(dit_product(t, "final_adaln", &t->plan_final_adaln,
                        (gemm_buffers){.out = t->final_modulation,
                                       .a = t->conditioning,
                                       .w = &t->final_adaln}));
    if (!dit_has_conditioner(&t->config)) goto done;
    for (int i = 0; i < t->config.depth; i++) {
        if (i > 0 && t->n_embedders > 1) TRY(condition(t, &t->embedders[i]));
        TRY(condition_block(t, i, n));
    }
done:
    gemm_weight_free(
        t->d, &t->conditioner); /* OpenCL keeps the buffer until the queued kernels have used it */
    return st;
}
