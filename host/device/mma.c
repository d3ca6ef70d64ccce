/* The table of matrix units. See mma.h; cl/mma.clh names the sources of these numbers. */
#include "device/mma.h"

#include <stdio.h>

const matrix_unit matrix_units[] = {
    /* lanes, m, n, a, b, vector, floats, fp16_only, async */
    {FEATURE_MMA, "MATRIX_UNIT_MMA", 32, 16, 8, 4, 2, 2, 176, false, true},
    {FEATURE_MMA_K8, "MATRIX_UNIT_MMA_K8", 32, 16, 8, 4, 2, 2, 176, true, false},
    {FEATURE_DPAS8, "MATRIX_UNIT_DPAS8", 8, 8, 8, 8, 8, 1, 84, false, false},
    {FEATURE_DPAS16, "MATRIX_UNIT_DPAS16", 16, 8, 16, 4, 8, 1, 84, false, false},
    {FEATURE_WMMA2, "MATRIX_UNIT_WMMA2", 32, 16, 16, 4, 4, 1, 176, false, false},
    {FEATURE_WMMA, "MATRIX_UNIT_WMMA", 32, 16, 16, 8, 8, 1, 176, false, false},
    {FEATURE_MFMA, "MATRIX_UNIT_MFMA", 64, 16, 16, 2, 2, 1, 176, false, false},
    {FEATURE_MFMA1, "MATRIX_UNIT_MFMA -DMATRIX_UNIT_MFMA1", 64, 16, 16, 2, 2, 1, 176, false, false},
    {0},
};

int mma_parts(const device *d)
{
    static const int parts[N_PRECISIONS] = {
        [PRECISION_AUTO] = 2, [PRECISION_FP32] = 0, [PRECISION_BF16] = 1, [PRECISION_FP16] = 1};
    return parts[d->settings.precision];
}

bool mma_serves(const device *d, const matrix_unit *u)
{
    return mma_parts(d) && (!u->fp16_only || d->settings.precision == PRECISION_FP16);
}

const matrix_unit *mma_of(const device *d)
{
    for (const matrix_unit *u = matrix_units; u->option; u++)
        if (d->feature[u->feature] && mma_serves(d, u)) return u;
    return NULL;
}

bool mma_emulated(const device *d, const matrix_unit *u)
{
    return !d->info.claims[u->feature];
}

int mma_most_floats(const matrix_unit *u)
{
    enum { WIDE = 240 }; /* with 256 registers; more was seen to spill */
    return mma_is_dpas(u) ? WIDE : u->floats;
}

const char *mma_registers(const device *d, const matrix_unit *u, int floats)
{
    bool wide = mma_is_dpas(u) && floats > u->floats && !mma_emulated(d, u);
    return wide ? " -cl-intel-256-GRF-per-thread" : "";
}

bool mma_is_dpas(const matrix_unit *u)
{
    return u->feature == FEATURE_DPAS8 || u->feature == FEATURE_DPAS16;
}

int mma_exchange_bytes(const device *d, const matrix_unit *u, int work_items)
{
    int words = 2 * (u->a > u->b ? u->a : u->b); /* both factors have the same alignment */
    return mma_emulated(d, u) ? work_items * words * 4 : 0;
}

bool mma_products_fit(const device *d, const matrix_unit *u, size_t products)
{
    /* Iterations of the loops in cl/mma.clh. The device runs LANES work-items together and counts
     * the iterations of each. */
    enum { MOST_ROUNDS = 40000, LANES = 8 };
    size_t results = (size_t)(u->m * u->n);
    size_t rounds = (size_t)u->m + results + LANES * results / (size_t)u->lanes * MMA_DEPTH;
    return !mma_emulated(d, u) || !d->info.quirk.has[QUIRK_LOOPS_ARE_CUT] ||
           products * rounds <= MOST_ROUNDS;
}

bool mma_flushes(const device *d)
{
    return d->settings.precision == PRECISION_FP16 && d->info.quirk.has[QUIRK_FLUSHES_SUBNORMALS];
}

void mma_factor_options(char out[FACTOR_OPTIONS], const device *d, const matrix_unit *u)
{
    snprintf(out, FACTOR_OPTIONS, "-DFACTOR_PARTS=%d -D%s%s%s", mma_parts(d), u->option,
             d->settings.precision != PRECISION_FP16 ? " -DMATRIX_UNIT_BF16"
             : mma_flushes(d)                        ? " -DMATRIX_UNIT_FLUSHES"
                                                     : "",
             mma_emulated(d, u) ? " -DMATRIX_UNIT_EMULATED" : "");
}

void mma_options(char out[MMA_OPTIONS], const device *d, const matrix_unit *u)
{
    char factors[FACTOR_OPTIONS];
    mma_factor_options(factors, d, u);
    snprintf(out, MMA_OPTIONS, "-DVEC=%d -DMATRIX_UNITS %s", u->vector, factors);
}
