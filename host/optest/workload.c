/* One operator at one shape. See workload.h. */
#include "optest/workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "device/launch.h"
#include "optest/factors.h"
#include "optest/references.h"

enum {
    PAD = 67,                /* canaries after the result */
    CACHED_FLOATS = 8 << 20, /* the size of weights that may fit in a cache */
};
static const float CANARY = 12345.678f;

typedef struct workload_kind {
    const char *op;
    const char *(*family)(const int *s);
    double (*flops)(const int *s);
    void (*sizes)(workload *w); /* sets n_*; calls set_rows for n_rows, row_floats, place */
    void (*expect)(const workload *w, int row, double *out);
    status (*load)(workload *w, workload_entry *e, size_t *scratch); /* null: no weights */
    status (*plan)(workload *w, workload_entry *e, size_t *scratch); /* builds the kernels */
    status (*queue)(workload *w, workload_entry *e);
} workload_kind;

/* lowbias32 (Wellons 2018) */
static uint32_t workload_random(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

void workload_values(float *out, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(int32_t)workload_random((uint32_t)i + seed) * 0x1p-31f;
}

/* Chooses the results to compare: runs of row_floats neighbouring values, which begin at multiples
 * of `step` in `of` rows of `row` values. `cost`, the operations of one run, limits their number.
 * The choice has the first run, the last, and a random one in each of many equal parts between
 * them. */
static void set_rows(workload *w, size_t of, size_t row, size_t step, double cost)
{
    static const double BUDGET = 3e7;
    size_t in_row = ceil_div(row, step), all = of * in_row;
    double n = BUDGET / cost < 16 ? 16 : BUDGET / cost;
    w->row_floats = step;
    w->n_rows = n < WORKLOAD_ROWS ? (int)n : WORKLOAD_ROWS;
    if ((size_t)w->n_rows > all) w->n_rows = (int)all;
    for (int i = 0; i < w->n_rows; i++) {
        size_t first = all * (size_t)i / (size_t)w->n_rows;
        size_t end = all * (size_t)(i + 1) / (size_t)w->n_rows;
        size_t at = first + workload_random((uint32_t)i + 1) % (end - first);
        if (i == 0) at = 0;
        if (i == w->n_rows - 1) at = all - 1;
        size_t column = at % in_row * step;
        if (column + step > row) column = row - step; /* the last two runs overlap */
        w->place[i] = at / in_row * row + column;
    }
}

/* ---- GEMM: [residual +] [gate *] act(a w^T + b) ---- */

enum { FEW = 128, NARROW = 64 }; /* rows; columns or depth */
enum { SEGMENT = 16 };           /* neighbouring results that are compared together */

static const char *gemm_bucket(const int *s)
{
    return s[0] < FEW ? "GEMM, few rows" : s[1] < NARROW || s[2] < NARROW ? "GEMM, narrow" : "GEMM";
}

static double gemm_flops(const int *s)
{
    return 2.0 * s[0] * s[1] * s[2];
}

static void gemm_sizes(workload *w)
{
    size_t m = (size_t)w->shape[0], n = (size_t)w->shape[1], k = (size_t)w->shape[2];
    w->n_in = m * k;
    w->n_weights = n * k;
    w->n_bias = w->n_factors = n;
    w->n_residual = w->n_out = m * n;
    set_rows(w, m, n, n < SEGMENT ? n : SEGMENT, 2.0 * SEGMENT * (double)k);
}

static void gemm_expect(const workload *w, int row, double *out)
{
    size_t n = (size_t)w->shape[1], k = (size_t)w->shape[2];
    size_t m = w->place[row] / n, first = w->place[row] % n;
    for (size_t i = 0; i < w->row_floats; i++) {
        float residual = w->use & FUSED_RESIDUAL ? w->residual[w->place[row] + i] : 0.0f;
        out[i] = gemm_reference(NULL, w->in + m * k, w->weights + (first + i) * k, k,
                                w->bias[first + i], w->use, w->factors[first + i], residual);
    }
}

static status gemm_load(workload *w, workload_entry *e, size_t *scratch)
{
    const int *s = w->shape;
    status st = OK;
    for (int i = 0; i < e->n && st == OK; i++)
        st = gemm_weight_upload(w->d, &e->products[i], w->weights, w->bias, s[0], s[1], s[2],
                                "a candidate");
    return st == OK ? gemm_scratch(w->d, scratch, &e->products[0], s[0]) : st;
}

static status gemm_make_plan(workload *w, workload_entry *e, size_t *scratch)
{
    const int *s = w->shape;
    (void)scratch;
    return gemm_plan(w->d, &e->plan, &e->products[0], s[0],
                     (gemm_epilogue){.fused = w->use, .residual_rows = s[0], .tokens = s[0]});
}

static status gemm_queue(workload *w, workload_entry *e)
{
    const modulation gate = {w->b_factors, w->b_rows, w->shape[1], 0, 0};
    return op_gemm(w->d, &e->plan,
                   &(gemm_buffers){.out = w->b_out,
                                   .a = w->b_in,
                                   .w = &e->products[e->next],
                                   .residual = w->b_residual,
                                   .gate = &gate,
                                   .scratch = e->scratch});
}

/* ---- attention ---- */

static attention_shape attention_of(const workload *w)
{
    return (attention_shape){w->shape[0], w->shape[1], w->shape[2], w->shape[3]};
}

static const char *attention_bucket(const int *s)
{
    return s[3] > 128 ? "attention, wide heads" : "attention";
}

static double attention_flops(const int *s)
{
    return 4.0 * s[0] * s[1] * s[1] * s[2] * s[3];
}

/* A run to compare is one head of one token. */
static void attention_sizes(workload *w)
{
    size_t tokens = (size_t)w->shape[0] * (size_t)w->shape[1];
    size_t heads = (size_t)w->shape[2], d = (size_t)w->shape[3];
    w->n_in = tokens * 3 * heads * d;
    w->n_out = tokens * heads * d;
    set_rows(w, tokens * heads, d, d, 8.0 * w->shape[1] * (double)d);
}

static void attention_expect(const workload *w, int row, double *out)
{
    attention_shape s = attention_of(w);
    size_t d = (size_t)s.head_dim, T = (size_t)s.tokens, width = (size_t)s.heads * d;
    size_t at = w->place[row] / d, head = at % (size_t)s.heads, token = at / (size_t)s.heads;
    const float *keys = w->in + token / T * T * 3 * width + width + head * d;
    attention_reference(out, NULL, w->in + token * 3 * width + head * d, keys, T, d, width);
}

static status attention_make_plan(workload *w, workload_entry *e, size_t *scratch)
{
    return attention_plan(w->d, &e->plan, scratch, attention_of(w), w->use);
}

static status attention_queue(workload *w, workload_entry *e)
{
    return op_attention(w->d, &e->plan, w->b_out, w->b_in, e->scratch);
}

/* ---- convolutions: [residual +] conv(enlarge(x or silu(norm(x)))) ---- */

/* The most square picture of this many pixels. */
static picture_shape picture_of(const workload *w)
{
    int pixels = w->shape[0], height = (int)sqrt((double)pixels);
    while (pixels % height) height--;
    return (picture_shape){1, height, pixels / height, w->shape[1]};
}

static const char *conv_bucket(const int *s)
{
    return s[1] < NARROW || s[2] < NARROW ? "3x3, few channels"
           : s[3] == 1                    ? "3x3 convolutions"
                                          : "3x3, enlarging";
}

static double conv_flops(const int *s)
{
    return 18.0 * s[0] * s[3] * s[3] * s[1] * s[2];
}

static void conv_sizes(workload *w)
{
    size_t in = (size_t)w->shape[1], out = (size_t)w->shape[2], up = (size_t)w->shape[3];
    size_t grown = (size_t)w->shape[0] * up * up;
    w->n_in = (size_t)w->shape[0] * in;
    w->n_weights = in * out * 9;
    w->n_bias = out;
    w->n_factors = 2 * in;
    w->n_residual = w->n_out = grown * out;
    set_rows(w, grown, out, out, 18.0 * (double)(in * out));
}

static void conv_expect(const workload *w, int row, double *out)
{
    picture_shape s = picture_of(w);
    bool norm = w->use & FUSED_NORM;
    const conv_inputs in = {.x = w->in,
                            .affine = w->factors,
                            .weight = w->weights,
                            .bias = w->bias,
                            .height = s.height,
                            .width = s.width,
                            .in = s.channels,
                            .out = (int)w->row_floats,
                            .up = w->shape[3],
                            .norm = norm,
                            .silu = norm};
    int at = (int)(w->place[row] / w->row_floats), width = s.width * w->shape[3];
    conv_reference(out, NULL, &in, at / width, at % width);
    for (size_t o = 0; w->use & FUSED_RESIDUAL && o < w->row_floats; o++)
        out[o] += (double)w->residual[w->place[row] + o];
}

static status conv_load(workload *w, workload_entry *e, size_t *scratch)
{
    const int *s = w->shape;
    status st = OK;
    for (int i = 0; i < e->n && st == OK; i++)
        st = conv_weight_upload(w->d, &e->layers[i], w->weights, w->bias,
                                (conv_layer){s[0], s[1], s[2], s[3], w->use}, "a candidate");
    return st == OK ? conv_scratch(w->d, scratch, &e->layers[0], picture_of(w)) : st;
}

static status conv_make_plan(workload *w, workload_entry *e, size_t *scratch)
{
    (void)scratch;
    unsigned fused = w->use | (w->use & FUSED_NORM ? FUSED_SILU : 0);
    return conv_plan(w->d, &e->plan, &e->layers[0], picture_of(w), fused);
}

static status conv_queue(workload *w, workload_entry *e)
{
    return op_conv3x3(w->d, &e->plan,
                      &(conv_buffers){.out = w->b_out,
                                      .x = w->b_in,
                                      .w = &e->layers[e->next],
                                      .affine = w->b_factors,
                                      .residual = w->b_residual,
                                      .scratch = e->scratch});
}

/* ---- layer norm with modulation: batch, tokens, width ---- */

static const float EPSILON = 1e-6f;

static void modulate_sizes(workload *w)
{
    size_t rows = (size_t)w->shape[0] * (size_t)w->shape[1], width = (size_t)w->shape[2];
    w->n_in = w->n_out = rows * width;
    w->n_factors = 2 * width; /* shift, then scale, the same for all samples */
    w->n_row_numbers = (size_t)w->shape[0];
    set_rows(w, rows, width, width, 8.0 * (double)width);
}

static void modulate_expect(const workload *w, int row, double *out)
{
    size_t width = w->row_floats;
    modulate_reference(out, NULL, w->in + w->place[row], w->factors, w->factors + width, width,
                       (double)EPSILON);
}

static status modulate_make_plan(workload *w, workload_entry *e, size_t *scratch)
{
    (void)scratch;
    return modulate_plan(w->d, &e->plan, w->shape[0], w->shape[1], w->shape[2], EPSILON, w->use);
}

static status modulate_queue(workload *w, workload_entry *e)
{
    const modulation m = {w->b_factors, w->b_rows, 0, 0, 0};
    return op_modulate(w->d, &e->plan, w->b_out, w->b_in, &m, 0, w->shape[2]);
}

/* ---- group norm with SiLU: pixels, channels, groups ---- */

static void groupnorm_sizes(workload *w)
{
    size_t pixels = (size_t)w->shape[0], channels = (size_t)w->shape[1];
    size_t each = channels / (size_t)w->shape[2];
    w->n_in = w->n_out = pixels * channels;
    w->n_bias = channels;
    w->n_factors = channels;
    set_rows(w, pixels, channels, each, 4.0 * (double)(pixels * each));
}

/* A run to compare is the channels of one group in one pixel. */
static void groupnorm_expect(const workload *w, int row, double *out)
{
    size_t channels = (size_t)w->shape[1], each = w->row_floats, pixels = (size_t)w->shape[0];
    size_t first = w->place[row] % channels;
    double mean, variance;
    groupnorm_reference(&mean, &variance, w->in + first, pixels, channels, each);
    double deviation = sqrt(variance + (double)EPSILON);
    for (size_t c = 0; c < each; c++) {
        double x = ((double)w->in[w->place[row] + c] - mean) / deviation;
        x = x * (double)w->factors[first + c] + (double)w->bias[first + c];
        out[c] = x / (1.0 + exp(-x));
    }
}

static picture_shape groupnorm_picture(const workload *w)
{
    return (picture_shape){1, 1, w->shape[0], w->shape[1]};
}

static status groupnorm_load(workload *w, workload_entry *e, size_t *scratch)
{
    (void)e;
    *scratch = groupnorm_scratch(w->d, groupnorm_picture(w), w->shape[2]);
    return buffer_create(w->d, &w->b_affine, 2 * (size_t)w->shape[1], "a norm");
}

static status groupnorm_make_plan(workload *w, workload_entry *e, size_t *scratch)
{
    const groupnorm_use use = {.norm = true, .silu = true, .up = 1};
    picture_shape s = groupnorm_picture(w);
    status st = OK;
    (void)scratch;
    TRY(groupnorm_statistics_plan(w->d, &e->plan, s, w->shape[2], EPSILON));
    TRY(groupnorm_apply_plan(w->d, &e->normalise, s, &use));
done:
    return st;
}

static status groupnorm_queue(workload *w, workload_entry *e)
{
    status st = op_groupnorm_statistics(w->d, &e->plan, w->b_affine, w->b_in, w->b_factors,
                                        w->b_bias, e->scratch);
    return st == OK ? op_groupnorm_apply(w->d, &e->normalise, w->b_out, w->b_in, w->b_affine) : st;
}

/* ---- all of them ---- */

static const char *no_class(const int *s)
{
    (void)s;
    return "";
}

static double no_flops(const int *s)
{
    (void)s;
    return 0.0;
}

static const workload_kind kinds[] = {
    {"gemm", gemm_bucket, gemm_flops, gemm_sizes, gemm_expect, gemm_load, gemm_make_plan,
     gemm_queue},
    {"attention", attention_bucket, attention_flops, attention_sizes, attention_expect, NULL,
     attention_make_plan, attention_queue},
    {"conv", conv_bucket, conv_flops, conv_sizes, conv_expect, conv_load, conv_make_plan,
     conv_queue},
    {"modulate", no_class, no_flops, modulate_sizes, modulate_expect, NULL, modulate_make_plan,
     modulate_queue},
    {"groupnorm", no_class, no_flops, groupnorm_sizes, groupnorm_expect, groupnorm_load,
     groupnorm_make_plan, groupnorm_queue},
};

static const workload_kind *find(const char *op)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].op, op)) return &kinds[i];
    return NULL;
}

const char *workload_bucket(const char *op, const int *shape)
{
    const workload_kind *k = find(op);
    return k ? k->family(shape) : "";
}

double workload_flops(const char *op, const int *shape)
{
    const workload_kind *k = find(op);
    return k ? k->flops(shape) : 0.0;
}

static status expect_row(void *context, size_t i, int thread)
{
    workload *w = context;
    (void)thread;
    w->kind->expect(w, (int)i, w->expected + i * w->row_floats);
    return OK;
}

/* ---- factors: rows of the input and of the result, if the use has them ---- */

static size_t input_width(const workload *w)
{
    const int *s = w->shape;
    return (size_t)(w->kind == find("gemm") ? s[2] : 3 * s[2] * s[3]);
}

static size_t result_width(const workload *w)
{
    const int *s = w->shape;
    return (size_t)(w->kind == find("gemm")        ? s[1]
                    : w->kind == find("attention") ? s[2] * s[3]
                                                   : s[2]);
}

static size_t result_words(const workload *w)
{
    return w->use & WRITES_FACTORS ? op_factor_words(w->d, w->n_out) : w->n_out;
}

static status upload_factors(workload *w)
{
    uint16_t *stored = NULL;
    size_t words = op_factor_words(w->d, w->n_in), width = input_width(w);
    status st = OK;
    TRY(memory_alloc(&stored, words, sizeof(uint32_t)));
    factors_encode(w->d, stored, w->in, w->n_in / width, width);
    TRY(buffer_upload(w->d, w->b_in, 0, stored, words));
done:
    free(stored);
    return st;
}

/* found, of which the device's result fills the first words, becomes fp32. */
static status decode_result(workload *w)
{
    float *values = NULL;
    size_t width = result_width(w), words = result_words(w);
    status st = memory_alloc(&values, w->n_out + PAD, sizeof *values);
    if (st != OK) return st;
    factors_decode(w->d, values, (const uint16_t *)(const void *)w->found, w->n_out / width, width);
    memcpy(values + w->n_out, w->found + words, PAD * sizeof *values);
    free(w->found);
    w->found = values;
    return OK;
}

/* Allocates host values and, unless b is null, their buffer. */
static status make(workload *w, float **values, buf *b, size_t n, uint32_t seed)
{
    status st = memory_alloc(values, n, sizeof **values);
    if (st != OK) return st;
    workload_values(*values, n, seed);
    if (b && st == OK) st = buffer_create(w->d, b, n, "a candidate");
    return b && st == OK && n ? buffer_upload(w->d, *b, 0, *values, n) : st;
}

unsigned workload_usual(const char *op)
{
    return !strcmp(op, "gemm")   ? FUSED_GELU | FUSED_GATE | FUSED_RESIDUAL
           : !strcmp(op, "conv") ? FUSED_NORM | FUSED_RESIDUAL
                                 : 0;
}

status workload_open(workload *w, device *d, const char *op, const int *shape, unsigned use)
{
    int *rows = NULL;
    status st = OK;
    *w = (workload){.d = d, .kind = find(op), .use = use, .n_row_numbers = 1};
    if (!w->kind) return fail(ERR_USAGE, "%s: no such operator", op);
    memcpy(w->shape, shape, sizeof w->shape);
    w->kind->sizes(w);
    if (!(use & FUSED_RESIDUAL)) w->n_residual = 0;
    TRY(make(w, &w->in, &w->b_in, w->n_in, 1));
    if (use & READS_FACTORS) TRY(upload_factors(w));
    TRY(make(w, &w->weights, NULL, w->n_weights, 0x51ab3d));
    TRY(make(w, &w->bias, &w->b_bias, w->n_bias, 0x7e11a5));
    TRY(make(w, &w->residual, &w->b_residual, w->n_residual, 0x0d17c1));
    TRY(make(w, &w->factors, &w->b_factors, w->n_factors, 0x3c0ffe));
    TRY(memory_alloc(&w->found, w->n_out + PAD, sizeof *w->found));
    TRY(buffer_create(d, &w->b_out, w->n_out + PAD, "a candidate"));
    TRY(memory_alloc(&rows, w->n_row_numbers, sizeof *rows)); /* every sample has row 0 */
    TRY(buffer_create(d, &w->b_rows, w->n_row_numbers, "a candidate"));
    TRY(buffer_upload(d, w->b_rows, 0, rows, w->n_row_numbers));
    TRY(memory_alloc(&w->expected, (size_t)w->n_rows * w->row_floats, sizeof *w->expected));
    TRY(parallel_for((size_t)w->n_rows, expect_row, w));
done:
    free(rows);
    if (st != OK) workload_close(w);
    return st;
}

void workload_close(workload *w)
{
    buf *buffers[] = {&w->b_in,      &w->b_out,  &w->b_residual, &w->b_bias,
                      &w->b_factors, &w->b_rows, &w->b_affine};
    if (!w->d) return;
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) buffer_release(w->d, buffers[i]);
    free(w->in);
    free(w->weights);
    free(w->bias);
    free(w->residual);
    free(w->factors);
    free(w->found);
    free(w->expected);
    *w = (workload){0};
}

int workload_copies(const workload *w)
{
    size_t copies = w->n_weights ? CACHED_FLOATS / w->n_weights + 1 : 1;
    return copies < WORKLOAD_COPIES ? (int)copies : WORKLOAD_COPIES;
}

status workload_enter(workload *w, workload_entry *e, int copies)
{
    size_t scratch = 0;
    *e = (workload_entry){.n = copies};
    w->builds = false;
    status st = w->kind->load ? w->kind->load(w, e, &scratch) : OK;
    if (st == OK) {
        w->builds = true;
        st = w->kind->plan(w, e, &scratch);
    }
    if (st == OK) w->builds = false;
    if (st == OK && scratch) st = buffer_create(w->d, &e->scratch, scratch, "a candidate");
    if (st != OK) workload_leave(w, e);
    return st;
}

void workload_leave(workload *w, workload_entry *e)
{
    for (int i = 0; i < WORKLOAD_COPIES; i++) {
        gemm_weight_free(w->d, &e->products[i]);
        conv_weight_free(w->d, &e->layers[i]);
    }
    buffer_release(w->d, &e->scratch);
}

status workload_queue(workload *w, workload_entry *e)
{
    e->next = (e->next + 1) % e->n;
    return w->kind->queue(w, e);
}

/* The allowed relative L2, which depends on the arithmetic: fp32, or rounded inputs. */
static double granted(const workload *w)
{
    static const double by_precision[N_PRECISIONS] = {1e-5, 1e-5, 8e-3, 2e-3};
    /* norms are in fp32, unless their results are stored as factors */
    bool norm = w->kind->flops == no_flops && !(w->use & WRITES_FACTORS);
    return norm ? by_precision[PRECISION_FP32] : by_precision[w->d->settings.precision];
}

static const char *judge(const workload *w)
{
    double off = 0.0, size = 0.0, most = granted(w);
    for (size_t i = 0; i < PAD; i++)
        if (w->found[w->n_out + i] != CANARY) return "wrote beyond the end of its result";
    for (size_t i = 0; i < w->n_out; i++)
        if (!isfinite(w->found[i])) return "left out a result, or made no number";
    for (int r = 0; r < w->n_rows; r++) {
        const double *expected = w->expected + (size_t)r * w->row_floats;
        double row_off = 0.0, row_size = 0.0;
        for (size_t i = 0; i < w->row_floats; i++) {
            double e = (double)w->found[w->place[r] + i] - expected[i];
            row_off += e * e;
            row_size += expected[i] * expected[i];
        }
        if (row_off > 16.0 * most * most * row_size) return "a row of its result is wrong";
        off += row_off;
        size += row_size;
    }
    return off > most * most * size ? "its result is wrong" : NULL;
}

status workload_check(workload *w, workload_entry *e, const char **wrong)
{
    status st = OK;
    *wrong = NULL;
    size_t words = result_words(w);
    memset(w->found, 0xff, words * sizeof *w->found); /* NaN of any size */
    for (size_t i = words; i < words + PAD; i++) w->found[i] = CANARY;
    TRY(buffer_upload(w->d, w->b_out, 0, w->found, words + PAD));
    TRY(workload_queue(w, e));
    TRY(buffer_download(w->d, w->b_out, 0, w->found, words + PAD));
    if (w->use & WRITES_FACTORS) TRY(decode_result(w));
    *wrong = judge(w);
done:
    return st;
}

bool workload_has_whole(const char *op)
{
    return !strcmp(op, "gemm");
}

status workload_check_whole(workload *w, workload_entry *e)
{
    return e->products[0].n ? gemm_check(w->d, &e->products[0], w->shape[0]) : OK;
}
