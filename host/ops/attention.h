/* Between attention.c, which chooses, and the implementations of attention, one file each. */
#ifndef DITCL_OPS_ATTENTION_H
#define DITCL_OPS_ATTENTION_H

#include "device/record.h"
#include "ops/ops.h"
#include "ops/tuning.h"

typedef struct attention_implementation {
    const tuning *tuned; /* its name is its kind */
    bool (*fits)(const device *d);
    /* values: of its tunables. */
    status (*scratch)(device *d, const int *values, size_t *count, attention_shape s);
    /* As op_attention. */
    status (*run)(device *d, const int *values, buf out, buf qkv, buf scratch, attention_shape s);
    /* Largest relative error of one input; null: inputs stay fp32. */
    double (*input_error)(const device *d, const int *values);
    roof on;
} attention_implementation;

extern const attention_implementation attention_cpu, attention_cpu_pairs, attention_gpu,
    attention_matrix, attention_mma, attention_mma_bf16;

/* What attention is tuned by: batch, tokens, heads, head width. */
void attention_sizes(int shape[TUNING_SIZES], attention_shape s);

/* `all` query tiles of a head are shared by *splits work-groups of *tiles, so that the last one of
 * all ends soonest, where bringing keys and values together costs a third of a tile. */
void attention_split(int *tiles, int *splits, const device *d, attention_shape s, size_t all);

#endif
