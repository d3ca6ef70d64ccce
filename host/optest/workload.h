/* One operator at one shape of a model, with the configuration that the device has for it, and its
 * double-precision reference. `ditcl tune` and the first-use checks run it.
 *
 * All results must be finite, and memory behind them must not change. Some rows are compared with
 * the reference: the first, the last, and a random one in each of many equal parts between them.
 * For GEMM the whole result can be checked (ops/gemm_check.c). */
#ifndef DITCL_OPTEST_WORKLOAD_H
#define DITCL_OPTEST_WORKLOAD_H

#include "ops/ops.h"

enum { WORKLOAD_ROWS = 512, WORKLOAD_COPIES = 8 };

/* Packed weights and scratch memory for the configuration at the time of workload_enter. The
 * launches rotate several copies of the weights, so that they are cold in the cache, as in a real
 * run. */
typedef struct {
    gemm_weight products[WORKLOAD_COPIES];
    conv_weight layers[WORKLOAD_COPIES];
    op_plan plan;      /* of all copies */
    op_plan normalise; /* of group norm: its second part */
    int n, next;
    buf scratch;
} workload_entry;

typedef struct workload {
    device *d;
    const struct workload_kind *kind;
    int shape[SHAPE_SIZES];
    unsigned use; /* fused operations: FUSED_ bits */
    float *in, *weights, *bias, *residual, *factors, *found;
    size_t n_in, n_weights, n_bias, n_residual, n_factors, n_out, n_row_numbers;
    buf b_in, b_out, b_residual, b_bias, b_factors, b_rows, b_affine;
    /* the rows that are compared: their places in the result and expected values */
    int n_rows;
    size_t row_floats, place[WORKLOAD_ROWS];
    double *expected;
    bool builds; /* workload_enter failed while it built kernels; else it only took memory */
} workload;

/* op and shape: as in ops/configuration.h; or "modulate" with batch, tokens, width; or "groupnorm"
 * with pixels, channels, groups. use: the fused operations. */
status workload_open(workload *w, device *d, const char *op, const int *shape, unsigned use);
/* The fused operations of candidates: all that a model may need at once. */
unsigned workload_usual(const char *op);
void workload_close(workload *w);

/* The name of the shape bucket: shapes whose best kernels are much alike. */
const char *workload_bucket(const char *op, const int *shape);

/* Operations that the formula counts. */
double workload_flops(const char *op, const int *shape);

/* copies: how many of the weights. workload_copies: enough to exceed the caches. */
status workload_enter(workload *w, workload_entry *e, int copies);
int workload_copies(const workload *w);
void workload_leave(workload *w, workload_entry *e);

/* Queues the operator once. */
status workload_queue(workload *w, workload_entry *e);

/* Runs the operator on a poisoned result. *wrong = what is wrong with the result, or null. */
status workload_check(workload *w, workload_entry *e, const char **wrong);
/* Checks the whole result of a GEMM that was built without an epilogue. workload_has_whole: true
 * if op has this check. */
bool workload_has_whole(const char *op);
status workload_check_whole(workload *w, workload_entry *e);

/* out[i] in [-1, 1): lowbias32 (Wellons 2018) */
void workload_values(float *out, size_t n, uint32_t seed);

#endif
