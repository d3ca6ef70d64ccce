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

int unit_parts(const device *d)
{
    static const int parts[N_PRECISIONS] = {
        [PRECISION_AUTO] = 2, [PRECISION_FP32] = 0, [PRECISION_BF16] = 1, [PRECISION_FP16] = 1};
    return parts[d->settings.precision];
}

const matrix_unit *unit_of(const device *d)
{
    if (!unit_parts(d)) return NULL;
    for (const matrix_unit *u = matrix_units; u->option; u++)
        if (d->feature[u->feature]) return u;
    return NULL;
}

bool unit_emulated(const device *d, const matrix_unit *u)
{
    return !d->info.claims[u->feature];
}

int unit_exchange_bytes(const device *d, const matrix_unit *u, int items)
{
    int words = 2 * (u->a > u->b ? u->a : u->b); /* the two factors are aligned alike */
    return unit_emulated(d, u) ? items * words * 4 : 0;
}

bool unit_products_fit(const device *d, const matrix_unit *u, size_t products)
{
    enum { MOST_ROUNDS = 40000, LANES = 8 }; /* that go round together, each for its own results */
    size_t results = (size_t)(u->m * u->n);
    size_t rounds = (size_t)u->m + results + LANES * results / (size_t)u->items * UNIT_DEPTH;
    return !unit_emulated(d, u) || !d->info.quirk.has[QUIRK_LOOPS_ARE_CUT] ||
           products * rounds <= MOST_ROUNDS;
}

void unit_options(char out[UNIT_OPTIONS], const device *d, const matrix_unit *u)
{
    snprintf(out, UNIT_OPTIONS, "-DVEC=%d -DMATRIX_UNITS -D%s%s%s", u->vector, u->option,
             d->settings.precision == PRECISION_FP16 ? "" : " -DUNIT_BF16",
             unit_emulated(d, u) ? " -DUNIT_EMULATED" : "");
}
