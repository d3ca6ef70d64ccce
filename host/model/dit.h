/* The diffusion transformer (Peebles & Xie 2022) in its four designs: weights on the device, the
 * conditioning of a run, the forward pass.
 *
 * The modulation, or what takes its place, depends on timestep and label alone, so it is computed
 * before the steps that use it, for a chunk of (timestep, label) rows at once. */
#ifndef DITCL_MODEL_DIT_H
#define DITCL_MODEL_DIT_H

#include "checkpoint/model.h"
#include "device/buffer.h"
#include "model/linear.h"
#include "ops/ops.h"

/* Batch sizes in one run: a full batch, the last one, and half of each. */
enum { DIT_BATCHES = 4 };

/* Timestep MLP and label table. */
typedef struct {
    gemm_weight time_1, time_2;
    op_plan plan_1, plan_2;
    buf labels;
} embedder;

/* A label between two: (1 - share) * the embedding of `from` + share * the embedding of `to`. */
typedef struct {
    int from, to;
    float share;
} label_mix;

typedef struct {
    gemm_weight conditioner; /* only if it is kept */
    op_plan plan_conditioner;
    gemm_weight qkv, projection, mlp_1, mlp_2;
    gemm_weight cross_q, cross_projection;
    buf modulation;  /* [rows][parts x D]; without adaLN one row */
    buf keys_values; /* of the cross-attention: [rows][2][k | v][D] */
} dit_block;

/* The plans of a forward pass of one batch size. Each block has its own, since the weights of some
 * layers are too large for fp16. Then these layers and their neighbours exchange fp32; other
 * neighbours exchange factors if both can (READS_FACTORS, WRITES_FACTORS). */
typedef struct {
    op_plan norm, qkv, attention, projection;
    op_plan norm_cross, cross_q, cross, cross_projection;
    op_plan norm_mlp, mlp_1, mlp_2;
} dit_block_pass;

typedef struct {
    int batch;
    op_plan patchify, patch, prepend, norm, final, unpatchify;
    dit_block_pass *blocks; /* [depth] */
} dit_pass;

typedef struct {
    device *d;
    model *m;
    dit_config config;
    int n_patches;
    int tokens; /* of a sample of the batch: the tokens of the context, then the patches */
    gemm_weight patch, final_adaln, final;
    gemm_weight conditioner; /* of each block in turn, while the modulation is computed */
    buf positions;           /* [T][D] */
    float frequencies[128];
    embedder *embedders; /* one, or one for each block if the copies in the file differ */
    int n_embedders;
    dit_block *blocks;
    bool keep_adaln;        /* the run needs more than one chunk of rows */
    const label_mix *mixes; /* see dit_run */
    int n_mixes;
    /* conditioning of a chunk */
    int row_capacity;
    op_plan plan_final_adaln, plan_combine; /* combine: of label and timestep */
    buf final_modulation;                   /* [rows][2D]; without adaLN one row */
    buf row_labels, features, hidden, embedded;
    buf conditioning;     /* [rows][D], or of designs without adaLN two tokens [rows][2][D] */
    float *host_features; /* [rows][256] */
    int *host_labels;
    const layer_visitor *visitor; /* not null: layers are only visited */
    /* a forward pass of up to `batch` samples */
    int batch, last_batch;
    bool halves;
    dit_pass passes[DIT_BATCHES];
    int n_passes;
    buf patches, x, y, normed, wide, scores, tokens_out, scratch;
} dit;

/* The demands of a run: batches of `batch` samples, the last perhaps of last_batch; chunks of at
 * most `rows` modulation rows. keep_adaln: there is more than one chunk, so the layers that compute
 * the modulation, or the keys and values of the cross-attention, stay on the device. halves: some
 * steps have no guidance, so half batches occur. mixes [n_mixes]: the labels after the null class.
 */
typedef struct {
    int batch, last_batch, rows;
    bool keep_adaln, halves;
    const label_mix *mixes;
    int n_mixes;
} dit_run;

/* Sets m->n_embedders: one, or one for each block if the copies in the file differ. Reads their
 * values. A dry run before this call counts one. */
void dit_count_embedders(model *m);

/* Checks that the file has every tensor of the configuration, in the right shape and type, and no
 * other. Reads no values. */
status dit_check(model *m);

/* Visits every GEMM and attention of a forward pass of `batch` samples, and of the modulation of a
 * chunk of `rows`, as often as each is called. */
status dit_visit(model *m, int batch, int rows, const layer_visitor *v);

/* Uploads all weights, allocates all buffers, and checks every GEMM on the device. */
status dit_load(dit *t, device *d, model *m, const dit_run *run);
void dit_free(dit *t);

/* Computes the modulation of n <= rows (timestep, label) pairs; they become rows 0..n-1. Reads the
 * weights for it from the file unless they were kept. */
status dit_modulate(dit *t, int n, const float *timesteps, const int *labels);

/* out [batch][out_channels][size][size] = the network's prediction for pictures
 * first..first+pictures of latents. Sample b of the batch is picture first + b % pictures and has
 * modulation row first_row + rows[rows_at + b]. */
status dit_forward(dit *t, buf out, buf latents, int first, int pictures, int batch, buf rows,
                   int rows_at, int first_row);

/* Bytes on the device of one row of a chunk. */
double dit_row_bytes(const dit_config *c);

/* [T][D] of float: the fixed 2-D sine-cosine position embedding for a side of patches. */
void dit_positions(float *out, int side, int width);

/* out[128]: exp(-ln(10000) i / divisor), divisor 128 in the original, 127 in diffusers. */
void dit_frequencies(float *out, compat arithmetic);

/* out[256]: cosines, then sines, of timestep x frequency. */
void dit_features(float *out, float timestep, const float *frequencies);

#endif
