/* Matrix units that the work-items of a sub-group share (cl/mma.clh): one row for each. */
#ifndef DITCL_DEVICE_MMA_H
#define DITCL_DEVICE_MMA_H

#include "device/device.h"

typedef struct {
    feature_id feature;
    const char *option; /* macro of cl/mma.clh */
    int lanes;          /* work-items of a sub-group, which shares one matrix unit */
    int m, n;           /* rows and columns of an MMA, MMA_DEPTH steps deep */
    int a, b;           /* words of a lane's fragments of the factors */
    int vector;         /* consecutive results of a lane in a row */
    int floats;         /* about the registers that a lane may use */
    bool fp16_only;     /* it has no bf16 */
    bool async;         /* the device copies to local memory beside its work-items */
} matrix_unit;

enum { MMA_DEPTH = 16, FACTOR_OPTIONS = 128, MMA_OPTIONS = 160 };

/* The first matrix unit that the device has, that passed its probe and that serves the device's
 * precision; else null. */
const matrix_unit *mma_of(const device *d);

/* 16-bit numbers that stand for an input, by the device's precision. fp16 and bf16: 1. auto: 2, a
 * high and a low bfloat16; the product of two low ones is left out. fp32: 0, since matrix units are
 * not used. */
int mma_parts(const device *d);

/* Whether the unit computes in the device's precision. */
bool mma_serves(const device *d, const matrix_unit *u);

/* Options for kernels that include mma.clh: "-DVEC=... -DMATRIX_UNITS ..."; and for kernels that
 * only write factors (cl/factors.clh). The matrix unit is emulated if DITCL_FEATURES claims it for
 * a device that does not report it. */
void mma_options(char out[MMA_OPTIONS], const device *d, const matrix_unit *u);
void mma_factor_options(char out[FACTOR_OPTIONS], const device *d, const matrix_unit *u);
bool mma_emulated(const device *d, const matrix_unit *u);

/* True if the matrix unit takes subnormal inputs for 0 and the precision has such inputs. Then
 * weights are packed in scaled rows: cl/mma.clh. */
bool mma_flushes(const device *d);

/* The compiler's option for a kernel whose lanes need so many floats: "", or that which doubles the
 * registers of a hardware thread and halves the threads. mma_most_floats: what a lane may use with
 * it. */
const char *mma_registers(const device *d, const matrix_unit *u, int floats);
int mma_most_floats(const matrix_unit *u);

/* Whether the matrix unit is DPAS, which reads fragments as blocks. */
bool mma_is_dpas(const matrix_unit *u);

/* Bytes of local memory that an emulated matrix unit needs for a work-group of this many
 * work-items; else 0. */
int mma_exchange_bytes(const device *d, const matrix_unit *u, int work_items);

/* True if a work-item may compute this many MMAs in one launch. Some drivers cut the loops of an
 * emulation short. */
bool mma_products_fit(const device *d, const matrix_unit *u, size_t products);

extern const matrix_unit matrix_units[]; /* ends with a null option */

#endif
