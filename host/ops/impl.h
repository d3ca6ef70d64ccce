/* The one table of operators that have several implementations. Each implementation is a row: what
 * it is called, its arithmetic, its tunables and default configurations, what it supports, and how
 * it packs weights and queues work. impl.c has the one dispatcher over the table; gemm.c,
 * attention.c and conv.c call it; check, tune, bench and build/ditcl-kernels walk the same rows.
 *
 * A plan (ops.h) is made in three steps: the dispatcher chooses a row and a configuration, the
 * operator says its work, and the row's plan() builds kernels and prepares their launches. A launch
 * calls the row's enqueue() with the plan and the buffers.
 *
 * Where more demands on GEMM would have their place:
 *   a second operand that is no weight   gemm_call.b is bound by each launch. Such a plan needs a
 *                                        gemm_use without a gemm_weight, and a row whose layout of
 *                                        b is [n][k], as CLBlast's is.
 *   transposed operands                  a field of gemm_use, and the fourth number of the shape,
 *                                        which is 0 for a [m][k] x b [n][k]^T: choices, stores and
 *                                        checks then tell them apart.
 *   another type or layout of out        a field of gemm_epilogue, beside `fused`, which becomes an
 *                                        option of the kernels in gemm_epilogue_options. */
#ifndef DITCL_OPS_IMPL_H
#define DITCL_OPS_IMPL_H

#include "ops/configuration.h"
#include "ops/ops.h"
#include "ops/waves.h"

enum { MOST_IMPLS = 24 }; /* that one operator has */

/* ---- GEMM ---- */

/* What a launch gives a kernel for its epilogue; cl/epilogue_arguments.clh has their order. */
typedef struct {
    buf bias, residual, gate, gate_rows;
    int n, residual_rows, tokens, gate_stride, first_row, rows_at, gate_at;
} epilogue_args;

/* What a plan is made for: out [m][n] = epilogue(a [m][k] x b [n][k]^T), b packed for the choice.
 */
typedef struct {
    op_choice choice;
    int m, n, k;
    unsigned fused; /* FUSED_ bits */
} gemm_use;

/* What a launch binds. b: the second operand, packed weights or an image of them. */
typedef struct {
    buf out, a, b, scratch;
    epilogue_args epilogue;
} gemm_call;

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
    /* Floats of scratch memory; null: none. */
    status (*scratch)(device *d, const int *config, size_t *count, int m, int n, int k);
    /* Prepares the launches of *p, which is begun, and sets the executed FLOPs if they are not
     * 2mnk. */
    status (*plan)(device *d, op_plan *p, const gemm_use *u);
    status (*enqueue)(device *d, const op_plan *p, const gemm_call *c);
} gemm_functions;

/* ---- attention ---- */

typedef struct {
    status (*scratch)(device *d, const int *config, size_t *count, attention_shape s); /* or null */
    /* Prepares the one launch, of arguments out, qkv and, if there is scratch memory, scratch.
     * attention_fused(p) says whether they hold factors. */
    status (*plan)(device *d, op_plan *p, attention_shape s);
} attention_functions;

/* ---- convolution ---- */

typedef struct {
    const conv_weight *w;
    picture_shape s;
    unsigned fused; /* FUSED_ bits */
} conv_use;

/* Before pack and packed_count are called, w has all its fields but the buffers. */
typedef struct {
    size_t (*packed_count)(const device *d, const conv_weight *w); /* 4-byte elements */
    /* Queues the packing of stored [out][in][3][3] into w->matrix. */
    status (*pack)(device *d, const conv_weight *w, buf stored);
    status (*scratch)(device *d, size_t *count, const conv_weight *w,
                      picture_shape s); /* or null */
    /* As for GEMM; without a setting, the executed FLOPs are those of the formula. */
    status (*plan)(device *d, op_plan *p, const conv_use *u);
    status (*enqueue)(device *d, const op_plan *p, const conv_buffers *b);
} conv_functions;

/* ---- the table ---- */

struct op_impl {
    const char *op, *name; /* "gemm", "gpu" */
    const char *file;      /* "gemm_gpu.cl": its text is part of the store's key */

    /* Largest relative error of one input, if inputs are rounded to less than fp32; else 0. */
    double input_error;
    /* The same if it depends on the configuration; null: it does not. */
    double (*input_error_of)(const int *config);
    roof roof; /* the peak that bounds it */

    unsigned factors; /* READS_FACTORS, WRITES_FACTORS: if it can */

    const tunable *tunables;
    int n; /* the number of tunables */
    /* Default configurations, best guess first. Of those that fit, the default is the one with the
     * least time by the rule of ops/waves.h; the first of several, or of all without the rule. */
    const int (*configs)[CONFIG_VALUES];
    int n_configs;

    /* Whether the device, as it was opened, can run it for this shape in some configuration. */
    bool (*supports)(const device *d, const int *shape);
    /* Whether the device can run this configuration for this shape: local memory, work-group size,
     * registers, divisibility; null: always. It must not ask the driver. Weights that are packed
     * for one number of rows are used with others: it must not depend on m of a GEMM, nor on a
     * picture's pixels, except where the kernels are slow and not wrong. */
    bool (*fits)(const device *d, const int *config, const int *shape);
    /* The launch for this shape, for the rule of ops/waves.h; null: there is no rule. */
    waves (*waves)(const device *d, const int *config, const int *shape);
    /* Whether this configuration copies inputs to local memory for speed alone. Where local memory
     * is global memory, other configurations come first. Null: no configuration has the choice. */
    bool (*stages)(const int *config);
    /* About the registers of a work-item. Configurations that need more than the device's quirk
     * MAX_REGISTERS come last. Null: not known. */
    int (*registers)(const int *config, const int *shape);
    /* Implementations whose names begin like this cannot be used in the same process; null: all
     * can. */
    const char *excludes;

    union { /* by op */
        gemm_functions gemm;
        attention_functions attention;
        conv_functions conv;
    };
};

/* The tunables and default configurations of an op_impl: from an array `configs` and
 * DECLARE_TUNABLES; or none. */
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
    ROW(gemm_dpas)                                                                                 \
    ROW(gemm_dpas_bf16)                                                                            \
    ROW(gemm_dpas_bf16x3)                                                                          \
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
    ROW(attention_dpas)                                                                            \
    ROW(attention_dpas_bf16)                                                                       \
    ROW(attention_dpas_bf16x3)                                                                     \
    ROW(attention_mma)                                                                             \
    ROW(attention_mma_bf16)                                                                        \
    ROW(attention_mma_bf16x3)                                                                      \
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
    int n_sizes;          /* how many numbers a shape has */
    const char *variable; /* environment variable that names the implementation to use */
    /* Whether the variable may name an implementation of the other kernel family, to compare the
     * families. The device must have the matrix units that it needs. */
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

/* Largest relative error of one input; 0: the choice does not round fp32 inputs. */
double op_choice_error(op_choice c);

/* Records for op_ran that the choice runs. Call it when a plan is made, not at each launch. */
void op_note_ran(device *d, op_choice c);

/* `use` without READS_FACTORS if the implementation cannot read factors at this shape, and without
 * WRITES_FACTORS if it cannot write them. */
unsigned impl_use(const op_impl *impl, const int *shape, unsigned use);

/* Whether no configuration rounds fp32 inputs. */
bool impl_keeps_fp32(const op_impl *impl);

/* ---- the dispatcher ---- */

/* What serves a shape: the implementation that the operator's variable names, else the one
 * stored for the device, else the first that fits. exact: the first that does not round fp32
 * inputs. config null: none is left. */
op_choice impl_choose(const device *d, const operator* o, const int *shape, bool exact);

/* *c = the first such choice that is right on this device (first_use.h); `use`: FUSED_ bits, and
 * READS_FACTORS and WRITES_FACTORS, which count if the choice has them. Fails if none is left. */
status impl_choose_right(device *d, op_choice *c, const operator* o, const int *shape, unsigned use,
                         bool exact);

/* The name of the implementation that serves, or "none"; and the relative error that it makes in
 * one input. */
const char *impl_serving_name(const device *d, const operator* o, const int *shape);
double impl_serving_error(const device *d, const operator* o, const int *shape);

#endif
