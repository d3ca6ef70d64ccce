/* Matrix units that several items share (cl/units.clh): one row for each kind. */
#ifndef DITCL_DEVICE_UNITS_H
#define DITCL_DEVICE_UNITS_H

#include "device/device.h"

typedef struct {
    feature_id feature;
    const char *option; /* of cl/units.clh */
    int items;          /* that share a unit's work */
    int m, n;           /* rows and columns of a fragment of results, UNIT_DEPTH steps deep */
    int a, b;           /* words of the factors' fragments that an item has */
    int vector;         /* neighbours that an item has of a row of results */
    int floats;         /* an item's registers, about */
} matrix_unit;

enum { UNIT_DEPTH = 16, UNIT_OPTIONS = 80 };

/* The device's, the first where it has several; null where it has none that passed its probe. */
const matrix_unit *unit_of(const device *d);

/* Options for kernels that include units.clh: "-DVEC=... -DMATRIX_UNITS ...". Emulated, where the
 * feature was claimed for a device that is not known to have it. */
void unit_options(char out[UNIT_OPTIONS], const device *d, const matrix_unit *u);
bool unit_emulated(const device *d, const matrix_unit *u);

extern const matrix_unit matrix_units[]; /* ends with no option */

#endif
