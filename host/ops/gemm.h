/* Between gemm.c, which chooses, and the implementations of products, one file each. */
#ifndef DITCL_OPS_GEMM_H
#define DITCL_OPS_GEMM_H

#include "device/record.h"
#include "ops/ops.h"
#include "ops/tuning.h"

typedef struct {
    const char *name;
    /* Whether this device, as it was opened, can be served. */
    bool (*fits)(const device *d);
    /* Weights on the device, in 4-byte elements. They are packed on the host, a panel at a time and
     * several at once: `panel` rows of weight [n][k], of which the last may have fewer. pack writes
     * all that belongs to the panel that begins at row `first`, from its count rows [count][k];
     * packed is the whole. */
    size_t (*packed_count)(const device *d, int n, int k);
    size_t (*panel)(const device *d, int n);
    void (*pack)(const device *d, void *packed, const float *rows, int first, int count, int n,
                 int k);
    status (*scratch)(device *d, size_t *count, int m, int n, int k);
    /* As op_gemm. */
    status (*product)(device *d, buf out, buf a, const gemm_weight *w, int m,
                      const gemm_epilogue *e, buf scratch);
    /* Relative error of one input at most, where inputs are rounded to less than fp32 has. */
    double input_error;
    /* What it computes on, and how many products it makes of one (null: one). */
    unit on;
    double (*products)(const device *d, int m, int n, int k);
} gemm_implementation;

extern const gemm_implementation gemm_clblast, gemm_cpu, gemm_cpu_pairs,
    gemm_cpu_strassen, gemm_gpu, gemm_gpu_half, gemm_matrix, gemm_matrix_three;

extern const tuning gemm_gpu_tuning, gemm_gpu_half_tuning;
extern const int *gemm_gpu_forced; /* for tests: these values instead of the stored ones */

/* Of a gemm_epilogue without a gate. */
extern const modulation gemm_no_gate;

#endif
