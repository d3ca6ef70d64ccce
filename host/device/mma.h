/* Matrix units that several items share (cl/mma.clh): one row for each kind. */
#ifndef DITCL_DEVICE_MMA_H
#define DITCL_DEVICE_MMA_H

#include "device/device.h"

typedef struct {
    feature_id feature;
    const char *option; /* of cl/mma.clh */
    int items;          /* that share a unit's work */
    int m, n;           /* rows and columns of a fragment of results, MMA_DEPTH steps deep */
    int a, b;           /* words of the factors' fragments that an item has */
    int vector;         /* neighbours that an item has of a row of results */
    int floats;         /* an item's registers, about */
} matrix_unit;

enum { MMA_DEPTH = 16, MMA_OPTIONS = 96 };

/* The device's, the first where it has several; null where it has none that passed its probe, or
 * its precision has no use for one. */
const matrix_unit *mma_of(const device *d);

/* 16-bit numbers for each input of an MMA, by the device's precision. fp16 and bf16: 1. auto: 2, a
 * high and a low bfloat16; the product of the low ones is left out. fp32: 0, since matrix units are
 * not used. */
int mma_parts(const device *d);

/* Options for kernels that include mma.clh: "-DVEC=... -DMATRIX_UNITS ...". Emulated, where the
 * feature was claimed for a device that is not known to have it. */
void mma_options(char out[MMA_OPTIONS], const device *d, const matrix_unit *u);
bool mma_emulated(const device *d, const matrix_unit *u);

/* Bytes of local memory that an emulation takes for a work-group's items; 0 where there is none. */
int mma_exchange_bytes(const device *d, const matrix_unit *u, int items);

/* Whether an item may make so many products in one launch: an emulation has loops, which some
 * drivers cut short. */
bool mma_products_fit(const device *d, const matrix_unit *u, size_t products);

extern const matrix_unit matrix_units[]; /* ends with no option */

#endif
