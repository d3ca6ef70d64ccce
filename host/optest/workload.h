/* One operator at one of a model's shapes, run with whatever values the device has for it and held
 * to a reference in double precision: what `ditcl tune` tries candidates on, and what first-use
 * checks run.
 *
 * All of a result must be finite numbers, nothing beyond its end may change, and parts of it, the
 * first and the last among them and one by chance in each of many equal shares of the rest, must be
 * right; products as a whole (ops/gemm_check.c). */
#ifndef DITCL_OPTEST_WORKLOAD_H
#define DITCL_OPTEST_WORKLOAD_H

#include "ops/ops.h"

enum { WORKLOAD_ROWS = 512, WORKLOAD_COPIES = 8 };

/* Weights and scratch memory, as the values want them that were there when it was entered. The
 * weights are there several times and used in turns: in a model each layer has its own, which no
 * cache has kept. */
typedef struct {
    gemm_weight products[WORKLOAD_COPIES];
    conv_weight layers[WORKLOAD_COPIES];
    attention_plan attention;
    int n, next;
    buf scratch;
} workload_entry;

typedef struct workload {
    device *d;
    const struct workload_kind *kind;
    int shape[TUNING_SIZES];
    unsigned use; /* what is fused into it, FUSED_ bits */
    float *in, *weights, *bias, *residual, *factors, *found;
    size_t n_in, n_weights, n_bias, n_residual, n_factors, n_out, n_row_numbers;
    buf b_in, b_out, b_residual, b_bias, b_factors, b_rows, b_affine;
    /* the rows that are compared: where in the result, and what is expected there */
    int n_rows;
    size_t row_floats, place[WORKLOAD_ROWS];
    double *expected;
} workload;

/* op and shape as of a tuned_operator; or "modulate" with batch, tokens, width; or "groupnorm" with
 * pixels, channels, groups. use: what is fused into it. */
status workload_open(workload *w, device *d, const char *op, const int *shape, unsigned use);
/* What is fused into candidates: all that a model may want at once. */
unsigned workload_usual(const char *op);
void workload_close(workload *w);

/* The name of the shape bucket: shapes whose best kernels are much alike. */
const char *workload_bucket(const char *op, const int *shape);

/* Operations that the formula counts. */
double workload_flops(const char *op, const int *shape);

/* copies: of the weights. workload_copies: so many that no cache keeps them. */
status workload_enter(workload *w, workload_entry *e, int copies);
int workload_copies(const workload *w);
void workload_leave(workload *w, workload_entry *e);

/* Queues the operator once. */
status workload_queue(workload *w, workload_entry *e);

/* Runs it on a poisoned result. *wrong = null, or what is wrong with the result. */
status workload_check(workload *w, workload_entry *e, const char **wrong);
/* Another build without the epilogue, for what is to be kept: products as a whole. has_whole:
 * whether op is checked so. */
bool workload_has_whole(const char *op);
status workload_check_whole(workload *w, workload_entry *e);

/* out[i] in [-1, 1): lowbias32 (Wellons 2018) */
void workload_values(float *out, size_t n, uint32_t seed);

#endif
