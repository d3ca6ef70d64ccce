/* The one table of operators that have several implementations. Each implementation is a row: what
 * it is called, its arithmetic, its tunables and default configurations, what it supports, and how
 * it packs weights and queues work. impl.c has the one dispatcher over the table; gemm.c,
 * attention.c and conv.c call it; check, tune, bench and build/ditcl-kernels walk the same rows. */
#ifndef DITCL_OPS_IMPL_H
#define DITCL_OPS_IMPL_H

#include "device/record.h"
#include "ops/configuration.h"
#include "ops/ops.h"

enum { MOST_IMPLS = 16 }; /* of an operator */

/* A layer keeps the kernels of its launches: a launch formats no options and searches no list. They
 * depend on the layer and on the way it is used, such as a GEMM's epilogue and rows; layers are
 * used in few ways. */
enum { LAYER_KERNELS = 2, LAYER_USES = 4, USE_KEY = 4 };
struct op_built {
    struct {
        int key[USE_KEY];
        kernel *kernels[LAYER_KERNELS]; /* the first null: not built */
    } uses[LAYER_USES];
    int next; /* to be replaced */
};

/* The kernels for this key: those that were built, or room for them where the first is null. */
kernel **op_built_kernels(op_built *b, const int key[USE_KEY]);

/* The part of an epilogue that kernels take as arguments. */
typedef struct {
    buf bias, residual, gate, gate_rows;
    int residual_rows, tokens, gate_stride, first_row, rows_at, gate_at;
} epilogue_args;

/* In the order of the kernels' arguments, which have their own between these two. */
#define EPILOGUE_BUFFERS(x) ARG((x).bias), ARG((x).residual), ARG((x).gate), ARG((x).gate_rows)
#define EPILOGUE_SIZES(x)                                                                          \
    ARG((x).residual_rows), ARG((x).tokens), ARG((x).gate_stride), ARG((x).first_row),             \
        ARG((x).rows_at), ARG((x).gate_at)

/* One GEMM to queue: see op_gemm. */
typedef struct {
    buf out, a, scratch;
    const gemm_weight *w;
    int m;
    const gemm_epilogue *e;
    epilogue_args args; /* of e */
} gemm_call;

/* One convolution to queue: see op_conv3x3. */
typedef struct {
    buf out, x, scratch;
    const conv_weight *w;
    picture_shape s;
    const conv_use *use;
} conv_call;

/* build gets the kernels that enqueue launches: k[0], and k[1] where there are two. */
typedef struct {
    /* Weights on the device, in 4-byte elements. The host packs them by panels, several at once: a
     * panel is `panel` rows of weight [n][k]; the last may have fewer. pack writes all that belongs
     * to the panel that begins at row `first`, from its count rows [count][k]; packed is the
     * whole. */
    size_t (*packed_count)(const device *d, const int *config, int n, int k);
    size_t (*panel)(const device *d, const int *config, int n);
    void (*pack)(const device *d, const int *config, void *packed, const float *rows, int first,
                 int count, int n, int k);
    /* Bytes of a texel if the kernel reads the weights as an image; null or 0: it does not. */
    int (*texel)(const int *config);
    status (*scratch)(device *d, const int *config, size_t *count, int m, int n, int k);
    status (*build)(device *d, kernel *k[LAYER_KERNELS], const gemm_call *c);
    status (*enqueue)(device *d, kernel *const k[LAYER_KERNELS], const gemm_call *c);
    /* Executed FLOPs as a multiple of 2mnk; null: 1. */
    double (*flop_factor)(const device *d, const int *config, int m, int n, int k);
} gemm_functions;

typedef struct {
    status (*scratch)(device *d, const int *config, size_t *count, attention_shape s);
    status (*build)(device *d, kernel **k, const attention_plan *p);
    /* As op_attention. */
    status (*enqueue)(device *d, buf out, buf qkv, buf scratch, const attention_plan *p);
} attention_functions;

/* Of w, everything but the buffers is there before pack and packed_count are called. */
typedef struct {
    size_t (*packed_count)(const device *d, const conv_weight *w); /* 4-byte elements */
    /* Queues: w->matrix in the packed layout from stored [out][in][3][3]. */
    status (*pack)(device *d, const conv_weight *w, buf stored);
    status (*scratch)(device *d, size_t *count, const conv_weight *w, picture_shape s);
    status (*build)(device *d, kernel *k[LAYER_KERNELS], const conv_call *c);
    status (*enqueue)(device *d, kernel *const k[LAYER_KERNELS], const conv_call *c);
} conv_functions;

struct op_impl {
    const char *op, *name; /* "gemm", "gpu" */
    const char *file;      /* "gemm_gpu.cl": its text is part of the store's key */

    /* Largest relative error of one input, if inputs are rounded to less than fp32; else 0. */
    double input_error;
    /* The same if it depends on the configuration; null: it does not. */
    double (*input_error_of)(const int *config);
    roof roof; /* the peak that bounds it */

    const tunable *tunables;
    int n; /* of them */
    /* Default configurations, best guess first: the first that fits is the default. */
    const int (*configs)[CONFIG_VALUES];
    int n_configs;

    /* Whether the device, as it was opened, can run it for this shape in some configuration. */
    bool (*supports)(const device *d, const int *shape);
    /* Whether the device can run this configuration for this shape: local memory, work-group size,
     * registers, divisibility; null: always. It must not ask the driver. Weights that are packed
     * for one number of rows are used with others: it must not depend on m of a GEMM, nor on a
     * picture's pixels, except where the kernels are slow and not wrong. */
    bool (*fits)(const device *d, const int *config, const int *shape);
    /* Whether this configuration copies inputs to local memory for speed alone. Where local memory
     * is global memory, other configurations come first. Null: no configuration has the choice. */
    bool (*stages)(const int *config);
    /* Implementations whose names begin like this cannot be used in the same process; null: all
     * can. */
    const char *excludes;

    union { /* by op */
        gemm_functions gemm;
        attention_functions attention;
        conv_functions conv;
    };
};

/* The tunables and default configurations of an op_impl: in an array `configs` and all from
 * DECLARE_TUNABLES, or none. */
#define IMPL_TUNABLES                                                                              \
    .tunables = tunables, .n = N_TUNABLES_HERE, .configs = configs,                                \
    .n_configs = sizeof configs / sizeof *configs
#define IMPL_NO_TUNABLES .configs = configuration_none, .n_configs = 1
extern const int configuration_none[1][CONFIG_VALUES];

/* The table: of each operator its implementations, in the order of preference. The first that fits
 * a shape serves by default. */
#define GEMM_IMPLS(ROW)                                                                            \
    ROW(gemm_matrix)                                                                               \
    ROW(gemm_matrix_bf16x3)                                                                        \
    ROW(gemm_cpu_pairs)                                                                            \
    ROW(gemm_cpu_strassen)                                                                         \
    ROW(gemm_cpu)                                                                                  \
    ROW(gemm_mma)                                                                                  \
    ROW(gemm_mma_bf16)                                                                             \
    ROW(gemm_mma_bf16x3)                                                                           \
    ROW(gemm_gpu_fp16)                                                                             \
    ROW(gemm_gpu)                                                                                  \
    ROW(gemm_clblast)                                                                              \
    ROW(gemm_clblast_xgemm)                                                                        \
    ROW(gemm_clblast_direct)
#define ATTENTION_IMPLS(ROW)                                                                       \
    ROW(attention_matrix)                                                                          \
    ROW(attention_cpu_pairs)                                                                       \
    ROW(attention_cpu)                                                                             \
    ROW(attention_mma)                                                                             \
    ROW(attention_mma_bf16)                                                                        \
    ROW(attention_gpu)
#define CONV_IMPLS(ROW)                                                                            \
    ROW(conv_matrix)                                                                               \
    ROW(conv_matrix_bf16x3)                                                                        \
    ROW(conv_mma)                                                                                  \
    ROW(conv_mma_bf16)                                                                             \
    ROW(conv_mma_bf16x3)                                                                           \
    ROW(conv_gpu_fp16)                                                                             \
    ROW(conv_gpu)                                                                                  \
    ROW(conv_winograd)                                                                             \
    ROW(conv_direct)
#define DECLARE_IMPL(name) extern const op_impl name;
GEMM_IMPLS(DECLARE_IMPL)
ATTENTION_IMPLS(DECLARE_IMPL)
CONV_IMPLS(DECLARE_IMPL)

typedef struct operator
{
    const char *op;
    int n_sizes;          /* of a shape */
    const char *variable; /* environment variable that names the implementation to use */
    /* Whether the variable may name one that the device does not support, to compare kernel
     * families; its matrix units must be there. */
    bool forces_family;
    const op_impl *const *impls; /* in the order of preference; ends with null */
}
operator;

enum { OP_GEMM, OP_ATTENTION, OP_CONV, N_OPERATORS };
extern const operator operators[]; /* ends with a null op */

/* By name; null: there is none. */
const operator* operator_find(const char *op);
const op_impl *impl_find(const operator* o, const char *name);

/* out = the implementations that can serve the shape on the device as it was opened, the default
 * first; returns how many. d null: all there are. */
int operator_impls(const operator* o, const device *d, const int *shape,
                   const op_impl *out[MOST_IMPLS]);

bool impl_fits(const op_impl *impl, const device *d, const int *config, const int *shape);

/* Largest relative error of one input; 0: it takes fp32 as it is. */
double op_choice_error(op_choice c);

/* Records, for op_ran, that it runs: when a layer's kernels are built, not at each launch. */
void op_note_ran(device *d, op_choice c);

/* Whether every configuration takes its inputs in fp32 as they are. */
bool impl_keeps_fp32(const op_impl *impl);

/* ---- the dispatcher ---- */

/* What serves a shape: the implementation that the operator's variable names, else the one stored
 * for the device, else the first that fits. exact: the first that takes fp32 as it is. config null:
 * none is left. */
op_choice impl_choose(const device *d, const operator* o, const int *shape, bool exact);

/* *c = the first such choice that is right on this device (first_use.h); `use`: FUSED_ bits. Fails
 * if none is left. */
status impl_choose_right(device *d, op_choice *c, const operator* o, const int *shape, unsigned use,
                         bool exact);

/* The name of what serves, or "none"; and the relative error that it makes in one input. */
const char *impl_serving_name(const device *d, const operator* o, const int *shape);
double impl_serving_error(const device *d, const operator* o, const int *shape);

#endif
