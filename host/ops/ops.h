/* Every operator that runs on the device: what cl/<name>.cl computes, launched by ops/<name>.c and
 * held to a double-precision reference by optest/<name>.c.
 *
 * Shapes: N batch, T tokens, D width, H heads, d head width, p patch, C channels. All data float32,
 * row-major. Calls queue work and return; errors of the work itself surface at device_finish. */
#ifndef DITCL_OPS_OPS_H
#define DITCL_OPS_OPS_H

#include <stdbool.h>

#include "cl/step.clh"
#include "device/buffer.h"
#include "device/device.h"
#include "ops/configuration.h"

/* What serves an operator with several implementations (ops/impl.h), chosen once: it lives as long
 * as the device. */
typedef struct {
    const op_impl *impl;
    const int *config; /* of its tunables */
} op_choice;

/* Kernels that a layer's launches have built (ops/impl.h). */
typedef struct op_built op_built;

/* out = the arithmetic in which GEMM, attention and convolutions ran since the device was opened,
 * such as "bf16x3 GEMM, fp32 attention", or "fp32" for all; "" if nothing ran. */
enum { OP_RAN = 160 };
void op_ran(char out[OP_RAN], const device *d);

/* ---- fill ---- */

/* The first count elements of b = value. */
status op_fill(device *d, buf b, size_t count, float value);

/* ---- patchify: latents <-> tokens ---- */

/* out [batch*T][C*p*p], patch vectors in the order (C, ph, pw); latents
 * [>= first+pictures][C][size][size]; item b of the batch reads picture first + b % pictures. */
status op_patchify(device *d, buf out, buf latents, int first, int pictures, int batch,
                   int channels, int size, int patch);

/* out [batch][C][size][size]; in [batch][skip+T][p*p*C], C fastest: the first `skip` tokens of each
 * item are none of the picture's. */
status op_unpatchify(device *d, buf out, buf in, int batch, int channels, int size, int patch,
                     int skip);

/* out [area][C] = latents of one picture, [C][area], * factor + offset. */
status op_to_pixels(device *d, buf out, buf latents, int picture, int channels, int area,
                    float factor, float offset);

/* ---- condition: timestep and label -> conditioning vector, or two tokens ---- */

/* Which vectors of the conditioning belong to a batch: item n has row first_row + rows[rows_at + n]
 * (int) of `stride` floats; with a stride of 0 all items share one. */
typedef struct {
    buf values, rows;
    int stride, first_row, rows_at;
} modulation;

/* out [rows][D] = SiLU(embedded [rows][D] + table [labels[row]][D]); labels: int. */
status op_condition_combine(device *d, buf out, buf embedded, buf table, buf labels, int rows,
                            int width);

/* out [rows][2][D] = embedded [rows][D], then table [labels[row]][D]. */
status op_condition_tokens(device *d, buf out, buf embedded, buf table, buf labels, int rows,
                           int width);

/* out [batch][2+T][D] = the two tokens of each item's row of context, then its own of
 * x [batch][T][D]. The stride of context is not used: rows are [2][D]. */
status op_condition_prepend(device *d, buf out, buf x, const modulation *context, int batch,
                            int tokens, int width);

/* ---- modulate: layer norm + adaLN ---- */

/* out [batch*T][D] = layer norm(x) * (1 + scale) + shift; D a multiple of 4; shift and scale begin
 * at these floats of a modulation row. */
status op_modulate(device *d, buf out, buf x, const modulation *m, int batch, int tokens, int width,
                   int shift_at, int scale_at, float epsilon);

/* ---- gemm: products with fused epilogues ---- */

typedef enum { ACTIVATION_NONE, ACTIVATION_GELU_TANH, ACTIVATION_SILU } activation;

/* What is fused into a product or a convolution, as bits: each makes another program. */
enum { FUSED_GELU = 1, FUSED_SILU = 2, FUSED_GATE = 4, FUSED_RESIDUAL = 8, FUSED_NORM = 16 };

typedef struct {
    activation act;
    buf residual; /* null: none. [residual_rows][n], row m % residual_rows is added to row m */
    int residual_rows;
    const modulation *gate; /* null: none. The product's rows are multiplied before the residual */
    int gate_at, tokens;    /* row m has the gate of batch item m / tokens */
} gemm_epilogue;

/* A layer's weights on the device, in the layout that its products want; known to gemm.c alone.
 * With n and k alone it stands for a layer that is not loaded yet. */
typedef struct {
    buf matrix, bias, view; /* view: of matrix as an image, where the products read one */
    int n, k, m;            /* m: rows of the products that it was loaded for */
    op_choice use;          /* made when it was loaded: the layout follows it */
    op_built *built;
} gemm_weight;

/* Where the rows of a matrix [n][k] come from: out [count][k] = rows first..first+count. Called by
 * several threads at once. */
typedef struct {
    status (*read)(void *context, float *out, int first, int count);
    void *context;
} gemm_rows;

/* Packs rows and bias [n] for the device without a copy of the whole matrix, for what suits
 * products of m rows; others are right too. What serves was right once on this device, with the
 * epilogue that `use` (FUSED_ bits) says. *w: zeros, or a layer of this shape, whose memory is used
 * again, behind what is queued. what: for messages. rows null: for a dry run, which only counts the
 * memory. */
status gemm_weight_load(device *d, gemm_weight *w, const gemm_rows *rows, const float *bias, int m,
                        int n, int k, unsigned use, const char *what);
/* The same from matrix [n][k], without an epilogue. */
status gemm_weight_upload(device *d, gemm_weight *w, const float *matrix, const float *bias, int m,
                          int n, int k, const char *what);
void gemm_weight_free(device *d, gemm_weight *w);

/* out [m][n] = [residual +] [gate *] act(a [m][k] x matrix^T + bias). out must not be the residual
 * or a. scratch: see gemm_scratch. e null: only the bias. */
status op_gemm(device *d, buf out, buf a, const gemm_weight *w, int m, const gemm_epilogue *e,
               buf scratch);

/* Which implementation serves a shape, such as "clblast" or "cpu", and the relative error that it
 * makes in one input: 0 where it takes fp32 as it is. */
const char *gemm_name(const device *d, int m, int n, int k);
double gemm_input_error(const device *d, int m, int n, int k);

/* Whether the device has a GEMM in the arithmetic of this precision; for auto: in bf16x3. */
bool gemm_offers(const device *d, precision p);

/* Sees to it that products of m rows with the layer are right on this device (first_use.h). */
status gemm_first_use(device *d, const gemm_weight *w, int m, unsigned use);

/* Holds the whole product, by what serves it for this layer, to a double-precision check
 * (Freivalds). */
status gemm_check(device *d, const gemm_weight *w, int m);

/* Floats of scratch that op_gemm needs for products of m rows with the layer. */
status gemm_scratch(device *d, size_t *count, const gemm_weight *w, int m);

/* ---- attention ---- */

typedef struct {
    int batch, tokens, heads, head_dim;
} attention_shape;

/* What serves a shape, chosen and built once: launches choose nothing anew. */
typedef struct {
    attention_shape shape;
    op_choice use;
    struct kernel *kernel; /* null until it was launched */
} attention_plan;

/* *scratch = floats of scratch memory: keys and values in the layout the kernel wants, and
 * unfinished sums. ERR_LIMIT or ERR_DEVICE where nothing serves the shape on this device. */
status attention_prepare(device *d, attention_plan *p, size_t *scratch, attention_shape s);

/* out [N*T][H*d] = softmax(q k^T / sqrt(d)) v, from qkv [N*T][3*H*d] = q | k | v, each head-major.
 * Any d. */
status op_attention(device *d, buf out, buf qkv, buf scratch, attention_plan *p);

/* The relative error that it makes in one input: 0 where it takes fp32 as it is. */
double attention_input_error(const attention_plan *p);

/* ---- cross: attention of all tokens to two keys ---- */

/* out [N*T][H*d] = softmax(q k^T / sqrt(d)) v, from q [N*T][H*d] and rows [2][k | v][H*d] of keys
 * and values, one for each item. */
status op_cross(device *d, buf out, buf q, const modulation *keys_values, attention_shape s);

/* ---- groupnorm, padding, upsampling (NHWC pictures) ---- */

typedef struct {
    int batch, height, width, channels;
} picture_shape;

/* Floats for the statistics of one group norm. */
size_t groupnorm_scratch(picture_shape s, int groups);

/* affine [N][C][2] = factor and offset that normalise x [N][H*W][C] over groups of channels, with
 * weight and bias [C]. */
status op_groupnorm_statistics(device *d, buf affine, buf x, buf weight, buf bias, buf scratch,
                               picture_shape s, int groups, float epsilon);

/* What is done to a picture on its way to the next operator. */
typedef struct {
    buf affine; /* null: no normalisation */
    bool silu;
    int up;    /* 1, or 2: nearest upsampling */
    bool pad;  /* a border of zeros around each picture */
    int slack; /* zero pixels behind the border; 0 without one */
} groupnorm_use;

/* out [N][pixels][C], pixels = (up*h + 2)*(up*w + 2) + slack when padded, else up*h * up*w. */
status op_groupnorm_apply(device *d, buf out, buf x, picture_shape s, const groupnorm_use *use);

/* ---- conv: 3x3, stride 1, padding 1 ---- */

/* A layer's weights on the device, in the layout that its convolution wants; known to conv.c
 * alone. */
typedef struct {
    buf matrix, bias;
    int in, out;   /* channels */
    int up;        /* 1, or 2: the input is enlarged before, nearest neighbour */
    op_choice use; /* made when it was loaded: the layout follows it */
    op_built *built;
} conv_weight;

/* What happens to the input on the way in (norm, SiLU, then enlarging) and to the result. */
typedef struct {
    buf affine; /* null: no normalisation. [N][Cin][2], from op_groupnorm_statistics */
    bool silu;
    buf residual; /* null: none. Laid out as the result; it must not be the result */
} conv_use;

/* A layer, about how many pixels a picture that comes in will have, and what is fused into it
 * (FUSED_NORM with SiLU, FUSED_RESIDUAL). */
typedef struct {
    int pixels, in, out, up;
    unsigned use;
} conv_layer;

/* From weight [out][in][3][3] and bias [out] of the host, for what suits the layer. Waits. what:
 * for messages. weight null: for a dry run, which only counts the memory. */
status conv_weight_upload(device *d, conv_weight *w, const float *weight, const float *bias,
                          conv_layer like, const char *what);
void conv_weight_free(device *d, conv_weight *w);

/* out [N][up*H * up*W][Cout] = conv(enlarge(SiLU(norm(x)))) + bias [+ residual]; x [N][H*W][Cin] of
 * shape s, untouched. scratch: see conv_scratch. */
status op_conv3x3(device *d, buf out, buf x, const conv_weight *w, picture_shape s,
                  const conv_use *use, buf scratch);

/* Floats of scratch that op_conv3x3 needs for the shape. */
status conv_scratch(device *d, size_t *count, const conv_weight *w, picture_shape s);

/* Which implementation serves a layer, and the relative error that it makes in one input: 0 where
 * it takes fp32 as it is. */
const char *conv_name(const device *d, conv_layer like);
double conv_input_error(const device *d, conv_layer like);

/* ---- downsample: 3x3 convolution, stride 2 ---- */

/* Memory for one convolution after another: patches [rows][9 Cin], the product's scratch, and where
 * a picture's pixels are more than rows, part [rows][Cout]. */
typedef struct {
    int rows;
    buf patches, part, product;
} downsample_room;

/* How many of the result's pixels to compute at once, so that patches stay small; x of shape s. */
int downsample_rows(picture_shape s);

/* out [H/2 * W/2][Cout] = conv(x) + bias; x [H*W][Cin] of shape s, one picture, which ends in a row
 * and a column of zeros more. w: the layer as a matrix [Cout][Cin*3*3]. */
status op_downsample(device *d, buf out, buf x, const gemm_weight *w, picture_shape s,
                     const downsample_room *room);

/* ---- step: guidance + sampler update ---- */

enum { STEP_ROW_FLOATS = sizeof(step_coefficients) / sizeof(float) };

typedef struct {
    int row;      /* of the schedule */
    int first, n; /* pictures first..first+n of latents and noise */
    int channels, channels_out, size;
    bool guided, learned, kept;
    float guidance;
    int guided_channels;
} step_use;

/* One update of latents [pictures][C][size][size] in place, from model
 * [n or 2n][channels_out][size][size], noise like latents, and the schedule's rows of
 * step_coefficients. kept: like latents, what a step leaves for the next; looked at only
 * where use says so, else any buffer. flag (int) [1] becomes 1 when a value is not finite. */
status op_step_update(device *d, buf latents, buf kept, buf model, buf noise, buf rows, buf flag,
                      const step_use *use);

/* ---- blend: a part of a picture is kept ---- */

typedef struct {
    int n, channels, size;
    float signal, spread; /* of the image, and of the noise in it */
} blend_use;

/* Where mask [size][size] is 0, latents [n][C][size][size] become signal * image [C][size][size] +
 * spread * noise, which is like latents; where it is 1 they stay. */
status op_blend(device *d, buf latents, buf image, buf noise, buf mask, const blend_use *use);

#endif
