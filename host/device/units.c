/* The kinds of matrix units. See units.h; cl/units.clh says where these numbers are from. */
#include "device/units.h"

#include <stdio.h>

const matrix_unit matrix_units[] = {
    /*                  items  m   n   a  b vector floats */
    {FEATURE_MMA, "UNIT_MMA", 32, 16, 8, 4, 2, 2, 176},
    {FEATURE_DPAS8, "UNIT_DPAS8", 8, 8, 8, 8, 8, 1, 84},
    {FEATURE_DPAS16, "UNIT_DPAS16", 16, 8, 16, 4, 8, 1, 68},
    {FEATURE_WMMA2, "UNIT_WMMA2", 32, 16, 16, 4, 4, 1, 176},
    {FEATURE_WMMA, "UNIT_WMMA", 32, 16, 16, 8, 8, 1, 176},
    {FEATURE_MFMA, "UNIT_MFMA", 64, 16, 16, 2, 2, 1, 176},
    {0},
};

const matrix_unit *unit_of(const device *d)
{
    for (const matrix_unit *u = matrix_units; u->option; u++)
        if (d->feature[u->feature]) return u;
    return NULL;
}

bool unit_emulated(const device *d, const matrix_unit *u)
{
    return !d->info.claims[u->feature];
}

void unit_options(char out[UNIT_OPTIONS], const device *d, const matrix_unit *u)
{
    snprintf(out, UNIT_OPTIONS, "-DVEC=%d -DMATRIX_UNITS -D%s%s", u->vector, u->option,
             unit_emulated(d, u) ? " -DUNIT_EMULATED" : "");
}
