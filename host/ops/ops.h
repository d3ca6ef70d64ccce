/* Every operator that runs on the device: what cl/<name>.cl computes, launched by ops/<name>.c and
 * compared with a double-precision reference by optest/<name>.c.
 *
 * An operator is planned once for each of its uses, when a model is loaded: <name>_plan chooses
 * what serves the shape, builds the kernels, and computes their ranges. op_<name> launches a plan
 * with the buffers of the call, as often as wanted; it chooses and computes nothing.
 *
 * Shapes: N batch, T tokens, D width, H heads, d head width, p patch, C channels. All data
 * float32, row-major, except factors (READS_FACTORS, WRITES_FACTORS). Calls queue work and return;
 * errors of the work itself surface at device_finish. */
#ifndef DITCL_OPS_OPS_H
#define DITCL_OPS_OPS_H

#include <stdbool.h>

#include "cl/step.clh"
#include "device/buffer.h"
#include "device/device.h"
#include "device/launch.h"
#include "device/record.h"
#include "ops/configuration.h"

/* All operators, in the order in which they are checked: each is the stem of cl/<name>.cl,
 * ops/<name>.c and optest/<name>.c. */
#define OPERATORS(OPERATOR)                                                                        \
    OPERATOR(fill)                                                                                 \
    OPERATOR(patchify)                                                                             \
    OPERATOR(condition)                                                                            \
    OPERATOR(modulate)                                                                             \
    OPERATOR(gemm)                                                                                 \
    OPERATOR(attention)                                                                            \
    OPERATOR(cross)                                                                                \
    OPERATOR(groupnorm)                                                                            \
    OPERATOR(conv)                                                                                 \
    OPERATOR(downsample)                                                                           \
    OPERATOR(step)                                                                                 \
    OPERATOR(blend)

/* What serves an operator with several implementations (ops/impl.h), chosen once: it lives as long
 * as the device. */
typedef struct {
    const op_impl *impl;
    const int *config; /* values of its tunables */
} op_choice;

/* What is fused into an operator, as bits: each makes another program.
 *
 * READS_FACTORS: the input of a GEMM (a) or of attention (qkv) is stored in the format that the
 * device's matrix units multiply, WRITES_FACTORS: so is the result (out); see cl/factors.clh. A row
 * has mma_parts(d) times its width in 16-bit numbers; the width is a multiple of 8. Other inputs
 * and results are fp32. */
enum {
    FUSED_GELU = 1,
    FUSED_SILU = 2,
    FUSED_GATE = 4,
    FUSED_RESIDUAL = 8,
    FUSED_NORM = 16,
    READS_FACTORS = 32,
    WRITES_FACTORS = 64,
};

/* The epilogue of a GEMM: out = [residual +] [gate *] activation(sums + bias). */
typedef struct {
    unsigned fused;    /* FUSED_GELU or FUSED_SILU, FUSED_GATE, FUSED_RESIDUAL; *_FACTORS */
    int residual_rows; /* row m of the GEMM adds row m % residual_rows of the residual */
    int tokens;        /* row m has the gate of sample m / tokens */
    int gate_at;       /* where the gate begins in a modulation row, in floats */
} gemm_epilogue;

/* One use of an operator. It holds no buffers, so it serves all uses with the same shapes. It lives
 * as long as the device. Its fields are known to the operators alone. */
enum { PLAN_LAUNCHES = 2 };
typedef struct {
    op_choice choice;        /* impl null: the operator has one implementation */
    int shape[SHAPE_SIZES];  /* if it has several: see ops/configuration.h */
    gemm_epilogue epilogue;  /* of GEMM; of attention only `fused` */
    announcement announcing; /* for the record */
    prepared_launch launches[PLAN_LAUNCHES];
} op_plan;

/* out = the arithmetic in which GEMM, attention and convolutions ran since the device was opened,
 * such as "bf16x3 GEMM, fp32 attention", or "fp32" for all; "" if nothing ran. */
enum { OP_RAN = 160 };
void op_ran(char out[OP_RAN], const device *d);

/* Whether operators without a choice of implementations can write factors on this device: it has
 * GEMMs that read them. */
bool op_has_factors(const device *d);
/* 4-byte elements of a buffer of `count` activations that are stored as factors. */
size_t op_factor_words(const device *d, size_t count);

/* ---- fill ---- */

/* Sets the first `count` elements of b to value. */
status fill_plan(device *d, op_plan *p, size_t count);
status op_fill(device *d, const op_plan *p, buf b, float value);

/* ---- patchify: latents <-> tokens ---- */

typedef struct {
    int batch, channels, size, patch;
} patch_shape;

/* use: WRITES_FACTORS or 0. out [batch*T][C*p*p], patch vectors in the order (C, ph, pw); latents
 * [>= first+pictures][C][size][size]; sample b of the batch reads picture first + b % pictures. */
status patchify_plan(device *d, op_plan *p, patch_shape s, unsigned use);
status op_patchify(device *d, const op_plan *p, buf out, buf latents, int first, int pictures);

/* out [batch][C][size][size]; in [batch][skip+T][p*p*C], C fastest: the first `skip` tokens of each
 * sample belong to no patch. */
status unpatchify_plan(device *d, op_plan *p, patch_shape s, int skip);
status op_unpatchify(device *d, const op_plan *p, buf out, buf in);

/* out [area][C] = factor * latents [C][area] + offset, for one picture. */
status to_pixels_plan(device *d, op_plan *p, int channels, int area, float factor, float offset);
status op_to_pixels(device *d, const op_plan *p, buf out, buf latents, int picture);

/* ---- condition: timestep and label -> conditioning vector, or two tokens ---- */

/* Which vectors of the conditioning belong to a batch: sample n has row first_row +
 * rows[rows_at + n] (int) of `stride` floats; with a stride of 0 all samples share one. */
typedef struct {
    buf values, rows;
    int stride, first_row, rows_at;
} modulation;

/* out [rows][D] = SiLU(embedded [rows][D] + table [labels[row]][D]); labels: int. */
status condition_combine_plan(device *d, op_plan *p, int rows, int width);
status op_condition_combine(device *d, const op_plan *p, buf out, buf embedded, buf table,
                            buf labels);

/* out [rows][2][D] = embedded [rows][D], then table [labels[row]][D]. */
status condition_tokens_plan(device *d, op_plan *p, int rows, int width);
status op_condition_tokens(device *d, const op_plan *p, buf out, buf embedded, buf table,
                           buf labels);

/* out [batch][2+T][D] = the two tokens of each sample's row of context, then the sample's tokens of
 * x [batch][T][D]. The stride of context is not used: rows are [2][D]. */
status condition_prepend_plan(device *d, op_plan *p, int batch, int tokens, int width);
status op_condition_prepend(device *d, const op_plan *p, buf out, buf x, const modulation *context);

/* ---- modulate: layer norm + adaLN ---- */

/* out [batch*T][D] = layer norm(x) * (1 + scale) + shift; D a multiple of 4; shift and scale begin
 * at these floats of a modulation row. use: WRITES_FACTORS or 0. */
status modulate_plan(device *d, op_plan *p, int batch, int tokens, int width, float epsilon,
                     unsigned use);
status op_modulate(device *d, const op_plan *p, buf out, buf x, const modulation *m, int shift_at,
                   int scale_at);

/* ---- gemm: matrix products with fused epilogues ---- */

/* A layer's weights on the device, in the layout that its GEMM reads; known to gemm.c alone.
 * With n and k alone it stands for a layer that is not loaded yet. */
typedef struct {
    buf matrix, bias, view; /* view: of matrix as an image, if the GEMM reads one */
    int n, k, m;            /* m: rows of the GEMM that it was loaded for */
    op_choice use;          /* made at load; the matrix has its layout */
} gemm_weight;

/* Where the rows of a matrix [n][k] come from: out [count][k] = rows first..first+count. Called by
 * several threads at once. */
typedef struct {
    status (*read)(void *context, float *out, int first, int count);
    void *context;
} gemm_rows;

/* Packs rows and bias [n] for the device without a copy of the whole matrix, for the implementation
 * that suits GEMMs of m rows; other numbers of rows work, too. The implementation was right once on
 * this device, with the fused operations and the factors that `use` says. *w: zeros, or a layer of
 * this shape, whose memory is used again after the queued work. what: for messages. rows null: for
 * a dry run, which only counts the memory. */
status gemm_weight_load(device *d, gemm_weight *w, const gemm_rows *rows, const float *bias, int m,
                        int n, int k, unsigned use, const char *what);
/* The same from matrix [n][k], without an epilogue. */
status gemm_weight_upload(device *d, gemm_weight *w, const float *matrix, const float *bias, int m,
                          int n, int k, const char *what);
void gemm_weight_free(device *d, gemm_weight *w);

/* READS_FACTORS if GEMMs with this loaded layer can read factors, WRITES_FACTORS if they can write
 * them. */
unsigned gemm_factors(const gemm_weight *w);

/* Plans GEMMs of m rows with w, or with any other layer of the same shape and choice. e.fused has
 * no bit that gemm_factors lacks. */
status gemm_plan(device *d, op_plan *p, const gemm_weight *w, int m, gemm_epilogue e);

/* The buffers of one GEMM. out must not be the residual or a. scratch: see gemm_scratch. */
typedef struct {
    buf out, a;
    const gemm_weight *w;
    buf residual;           /* [residual_rows][n], if it is fused */
    const modulation *gate; /* if it is fused */
    buf scratch;
} gemm_buffers;

/* out [m][n] = [residual +] [gate *] activation(a [m][k] x matrix^T + bias). */
status op_gemm(device *d, const op_plan *p, const gemm_buffers *b);

/* Which implementation serves a shape, such as "clblast" or "cpu", and the relative error that
 * it makes in one input; 0: it does not round fp32 inputs. */
const char *gemm_name(const device *d, int m, int n, int k);
double gemm_input_error(const device *d, int m, int n, int k);

/* Whether the device has a GEMM in the arithmetic of this precision; for auto: in bf16x3. */
bool gemm_offers(const device *d, precision p);

/* Checks that GEMMs of m rows with the layer are right on this device (first_use.h). */
status gemm_first_use(device *d, const gemm_weight *w, int m, unsigned use);

/* Checks the whole result of the GEMM that serves this layer, in double precision (Freivalds). */
status gemm_check(device *d, const gemm_weight *w, int m);

/* Floats of scratch that op_gemm needs for m rows with the layer. */
status gemm_scratch(device *d, size_t *count, const gemm_weight *w, int m);

/* ---- attention ---- */

typedef struct {
    int batch, tokens, heads, head_dim;
} attention_shape;

/* Which of READS_FACTORS and WRITES_FACTORS the implementation that serves the shape can do. */
unsigned attention_factors(const device *d, attention_shape s);

/* Also *scratch = floats of scratch memory: keys and values in the layout that the kernel reads,
 * and unfinished sums. wanted: of READS_FACTORS and WRITES_FACTORS those that suit the caller; the
 * plan does those that its implementation can do, which attention_fused returns. ERR_LIMIT or
 * ERR_DEVICE where nothing serves the shape on this device. */
status attention_plan(device *d, op_plan *p, size_t *scratch, attention_shape s, unsigned wanted);
unsigned attention_fused(const op_plan *p);

/* out [N*T][H*d] = softmax(q k^T / sqrt(d)) v, from qkv [N*T][3*H*d] = q | k | v, each head-major.
 * Any d. */
status op_attention(device *d, const op_plan *p, buf out, buf qkv, buf scratch);

/* The relative error that the plan makes in one input; 0: it does not round fp32 inputs. */
double attention_input_error(const op_plan *p);

/* ---- cross: attention of all tokens to two keys ---- */

/* out [N*T][H*d] = softmax(q k^T / sqrt(d)) v, from q [N*T][H*d] and rows [2][k | v][H*d] of keys
 * and values, one for each sample. use: WRITES_FACTORS or 0. */
status cross_plan(device *d, op_plan *p, attention_shape s, unsigned use);
status op_cross(device *d, const op_plan *p, buf out, buf q, const modulation *keys_values);

/* ---- groupnorm, padding, upsampling (NHWC pictures) ---- */

typedef struct {
    int batch, height, width, channels;
} picture_shape;

/* Floats for the statistics of one group norm. */
size_t groupnorm_scratch(const device *d, picture_shape s, int groups);

/* affine [N][C][2] = factor and offset that normalise x [N][H*W][C] over groups of channels, with
 * weight and bias [C]. */
status groupnorm_statistics_plan(device *d, op_plan *p, picture_shape s, int groups, float epsilon);
status op_groupnorm_statistics(device *d, const op_plan *p, buf affine, buf x, buf weight, buf bias,
                               buf scratch);

/* What is done to a picture on its way to the next operator. */
typedef struct {
    bool norm, silu;
    int up;    /* 1, or 2: nearest upsampling */
    bool pad;  /* a border of zeros around each picture */
    int slack; /* zero pixels behind the border; 0 without one */
} groupnorm_use;

/* out [N][pixels][C], pixels = (up*h + 2)*(up*w + 2) + slack when padded, else up*h * up*w. affine:
 * read if there is a norm. */
status groupnorm_apply_plan(device *d, op_plan *p, picture_shape s, const groupnorm_use *use);
status op_groupnorm_apply(device *d, const op_plan *p, buf out, buf x, buf affine);

/* ---- conv: 3x3, stride 1, padding 1 ---- */

/* A layer's weights on the device, in the layout that its convolution reads; known to conv.c
 * alone. */
typedef struct {
    buf matrix, bias;
    int in, out;   /* channels */
    int up;        /* 1, or 2: the input is enlarged before, nearest neighbour */
    op_choice use; /* made at load; the matrix has its layout */
} conv_weight;

/* pixels: about those of an input picture. use: what is fused into the layer (FUSED_NORM with SiLU,
 * FUSED_RESIDUAL). */
typedef struct {
    int pixels, in, out, up;
    unsigned use;
} conv_layer;

/* Packs weight [out][in][3][3] and bias [out] of the host for the implementation that suits the
 * layer, and waits for the device. what: for messages. weight null: for a dry run, which only
 * counts the memory. */
status conv_weight_upload(device *d, conv_weight *w, const float *weight, const float *bias,
                          conv_layer like, const char *what);
void conv_weight_free(device *d, conv_weight *w);

/* Plans convolutions of pictures of shape s. fused: FUSED_NORM, FUSED_SILU, which follows the norm,
 * and FUSED_RESIDUAL. */
status conv_plan(device *d, op_plan *p, const conv_weight *w, picture_shape s, unsigned fused);

/* The buffers of one convolution. scratch: see conv_scratch. */
typedef struct {
    buf out, x;
    const conv_weight *w;
    buf affine;   /* [N][Cin][2], from op_groupnorm_statistics, if a norm is fused */
    buf residual; /* if it is fused: laid out like out, which it must not be */
    buf scratch;
} conv_buffers;

/* out [N][up*H * up*W][Cout] = conv(enlarge(SiLU(norm(x)))) + bias [+ residual]; x [N][H*W][Cin],
 * untouched. */
status op_conv3x3(device *d, const op_plan *p, const conv_buffers *b);

/* Floats of scratch that op_conv3x3 needs for the shape. */
status conv_scratch(device *d, size_t *count, const conv_weight *w, picture_shape s);

/* Which implementation serves a layer, and the relative error that it makes in one input; 0: it
 * does not round fp32 inputs. */
const char *conv_name(const device *d, conv_layer like);
double conv_input_error(const device *d, conv_layer like);

/* ---- downsample: 3x3 convolution, stride 2 ---- */

/* How many of the result's pixels to compute at once, so that the im2col matrix stays small. s: of
 * the input. */
int downsample_rows(picture_shape s);

/* The plans of one convolution: for `rows` pixels at once, and for the fewer that may be left. */
typedef struct {
    op_plan patches, product, place;
} downsample_part;
typedef struct {
    int pixels, rows;
    downsample_part whole, rest;
} downsample_use;

/* w: the layer as a matrix [Cout][Cin*3*3]. Also *scratch = floats of scratch memory of its GEMMs.
 */
status downsample_plan(device *d, downsample_use *u, size_t *scratch, const gemm_weight *w,
                       picture_shape s, int rows);

/* The buffers of one convolution: patches [rows][9 Cin], the GEMM's scratch, and, if a picture has
 * more pixels than rows, part [rows][Cout]. */
typedef struct {
    buf out, x;
    const gemm_weight *w;
    buf patches, part, product;
} downsample_buffers;

/* out [H/2 * W/2][Cout] = conv(x) + bias; x [H*W][Cin] is one picture. The convolution adds a row
 * of zeros below it and a column to its right. */
status op_downsample(device *d, const downsample_use *u, const downsample_buffers *b);

/* ---- step: guidance + sampler update ---- */

enum { STEP_ROW_FLOATS = sizeof(step_coefficients) / sizeof(float) };

typedef struct {
    int n; /* pictures */
    int channels, channels_out, size;
    bool guided, learned, kept;
    float guidance;
    int guided_channels;
} step_use;

status step_plan(device *d, op_plan *p, const step_use *use);

/* latents and noise [pictures][C][size][size]; model [n or 2n][channels_out][size][size]; rows: the
 * schedule's rows of step_coefficients. kept, shaped like latents: what a row keeps for the next;
 * any buffer if the plan does not keep. flag (int) [1] becomes 1 when a value is not finite. */
typedef struct {
    buf latents, kept, model, noise, rows, flag;
} step_buffers;

/* One update, in place, of pictures first..first+n of latents by this row of the schedule. */
status op_step_update(device *d, const op_plan *p, const step_buffers *b, int row, int first);

/* ---- blend: a part of a picture is kept ---- */

/* Where mask [size][size] is 0, latents [n][C][size][size] become signal * image [C][size][size] +
 * spread * noise [n][C][size][size]; where it is 1, they stay. */
status blend_plan(device *d, op_plan *p, int n, int channels, int size);

typedef struct {
    buf latents, image, noise, mask;
} blend_buffers;
status op_blend(device *d, const op_plan *p, const blend_buffers *b, float signal, float spread);

#endif
