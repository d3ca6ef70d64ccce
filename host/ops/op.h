/* What operators share: plans, sizes of work-groups and panels. */
#ifndef DITCL_OPS_OP_H
#define DITCL_OPS_OP_H

#include "device/device.h"
#include "device/launch.h"
#include "device/mma.h"
#include "device/probe.h"
#include "device/program.h"
#include "device/record.h"
#include "ops/ops.h"

/* Begins *p with the operator's name, work and shape, for the record. The caller then prepares
 * each launch by program_get and launch_prepare. */
void plan_begin(op_plan *p, const char *name, work w, const char *shape, ...)
    __attribute__((format(printf, 4, 5)));

/* Announces the plan's work and queues its first launch, with these arguments before the fixed
 * ones. */
#define plan_launch(d, p, ...)                                                                     \
    (record_work(d, &(p)->announcing), launch_prepared(d, &(p)->launches[0], __VA_ARGS__))

/* Largest power of two that is at most `wanted` and that the device allows; 1 for cpu kernels. */
static inline int op_group(const device *d, int wanted)
{
    int group = 1;
    if (d->family == FAMILY_CPU) return 1;
    while (group * 2 <= wanted && (size_t)group * 2 <= d->info.max_work_group) group *= 2;
    return group;
}

/* Kernels read a bias for each column, or channel, of the last panel. */
enum { BIAS_SLACK = 64 };

static inline bool divides(int a, int b)
{
    return b % a == 0;
}

/* Arithmetic type of an implementation, by its input_error. bf16x3: each input is a hi/lo pair. */
typedef enum { ARITH_FP32, ARITH_BF16X3, ARITH_BF16, ARITH_FP16, N_ARITHS } arith;
extern const char *const arith_names[N_ARITHS];

static inline arith op_arith(double input_error)
{
    if (input_error >= 0x1p-9) return ARITH_BF16;
    if (input_error >= 0x1p-11) return ARITH_FP16;
    return input_error >= 0x1p-18 ? ARITH_BF16X3 : ARITH_FP32;
}

/* Records that a layer stays in fp32, since its weights are too large for fp16. */
void op_stays_fp32(device *d, const char *layer, float largest);

/* Whether kernels on a GPU's matrix units serve a device that was opened in this precision. */
static inline bool op_has_mma(const device *d, precision p)
{
    return d->family == FAMILY_GPU && d->settings.precision == p && mma_of(d);
}

/* The same, if they are DPAS. */
static inline bool op_has_dpas(const device *d, precision p)
{
    return op_has_mma(d, p) && mma_is_dpas(mma_of(d));
}

/* Bytes of a stored activation: of factors, or of fp32. */
static inline double op_bytes(const device *d, bool factors)
{
    return factors ? 2.0 * mma_parts(d) : 4.0;
}

/* For kernels that include result.clh: " -DWRITES_FACTORS=1 ..." if `use` has the bit, else " ". */
enum { RESULT_OPTIONS = FACTOR_OPTIONS + 24 };
void op_result_options(char out[RESULT_OPTIONS], const device *d, unsigned use);

/* How many bf16 numbers stand for an input on AMX tiles: 1, or 2 (high and low) for fp32; 0 if
 * the tiles are not used. */
static inline int op_tile_parts(const device *d)
{
    if (d->family != FAMILY_CPU || !d->feature[FEATURE_AMX_BF16]) return 0;
    if (d->settings.precision == PRECISION_FP32) return 0;
    return d->settings.precision == PRECISION_BF16 ? 1 : 2;
}

/* Whether the device's vectors have `width` floats, and a work-item of cpu kernels can keep in
 * registers what its innermost loop needs: rows x vectors sums, a row of vectors and one value. */
static inline bool op_sums_stay(const device *d, int width, int vectors, int rows)
{
    int registers = d->vector_width == 8 ? 16 : 32;
    return width == d->vector_width && vectors * rows + vectors + 1 <= registers;
}

/* Vectors of a panel: `most`, or fewer if the n columns fill fewer. */
static inline int op_panel_vectors(int n, int width, int most)
{
    int needed = (n + width - 1) / width;
    return needed < most ? needed : most;
}

/* The work-group of kernels with one work-item per element along the first dimension. 64 suits
 * every device, since CPUs vectorise over the work-items of such simple kernels. */
static inline int op_items(const device *d)
{
    int group = 64;
    while ((size_t)group > d->info.max_work_group) group /= 2;
    return group;
}

/* A launch of op_groupnorm_apply, for operators that begin with it: arguments out, x, affine. */
status groupnorm_apply_prepare(device *d, prepared_launch *l, picture_shape s,
                               const groupnorm_use *use);

#endif
