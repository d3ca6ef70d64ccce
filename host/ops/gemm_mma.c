/* Products by cl/gemm_mma.cl: both factors in half on matrix units, with fp32 sums. */
#include <string.h>

#include "base/half.h"
#include "ops/gemm.h"
#include "ops/op.h"

#define TUNABLES(T)                                                                                \
    T(MT, "rows of a work-group's tile", 16, 32, 64, 128)                                          \
    T(NT, "columns of a work-group's tile", 8, 16, 32, 64, 128)                                    \
    T(KT, "steps of the depth in local memory at once", 16, 32)                                    \
    T(WM, "rows that 32 items make together", 16, 32, 64)                                          \
    T(WN, "columns that 32 items make together", 8, 16, 32, 64)                                    \
    T(DB, "two stages in local memory: one fetched, one used", 0, 1)
DECLARE_TUNABLES(TUNABLES);

enum {
    UNIT = 32,        /* items that share a matrix unit's work */
    COLUMNS = 128,    /* packed columns are a multiple of it: of every NT */
    DEPTH = 32,       /* packed depths are a multiple of it: of every KT */
    MAX_FLOATS = 176, /* in an item's registers, about */
};

/* Large tiles that hold the units busy, then smaller ones for few rows or columns. Not yet measured
 * on a device that has such units. */
static const int known[][TUNING_VALUES] = {
    /* MT NT KT WM WN DB */
    {64, 128, 32, 32, 32, 1}, {128, 128, 32, 64, 32, 1}, {128, 64, 32, 32, 32, 1},
    {64, 64, 32, 32, 32, 1},  {64, 64, 32, 32, 16, 0},   {32, 64, 32, 32, 16, 1},
    {32, 32, 32, 16, 16, 1},  {16, 64, 32, 16, 16, 1},   {16, 16, 32, 16, 8, 1},
    {16, 8, 16, 16, 8, 0},
};

static bool divides(int a, int b)
{
    return b % a == 0;
}

static int items(const int *v)
{
    return UNIT * (v[MT] / v[WM]) * (v[NT] / v[WN]);
}

/* An emulation's exchange included, which only tests have. */
static uint64_t local_bytes(const device *d, const int *v)
{
    int tiles = (v[MT] + v[NT]) * (v[KT] + 8) * (1 + v[DB]) * 2;
    return (uint64_t)(tiles + (d->info.mma ? 0 : items(v) * 24));
}

/* Sums, both factors of a step, and what is on its way to local memory. */
static int floats_of_item(const int *v)
{
    int on_way = (v[MT] + v[NT] / 2) * v[KT] / items(v);
    return v[WM] * v[WN] / UNIT + v[WM] / 16 * 4 + v[WN] / 8 * 2 + on_way;
}

static bool fits_values(const device *d, const int *v, const int *shape)
{
    int m = shape[0], n = shape[1];
    return divides(v[WM], v[MT]) && divides(v[WN], v[NT]) && d->feature[FEATURE_MMA] &&
           (size_t)items(v) <= d->info.max_work_group &&
           local_bytes(d, v) <= d->info.local_bytes && floats_of_item(v) <= MAX_FLOATS &&
           /* no tile of which more than half is for nothing, while there are smaller ones */
           (v[MT] == 16 || v[MT] < 2 * m) && (v[NT] == 8 || v[NT] < 2 * n);
}

static const tuning tuned = {"gemm", "gpu_mma", "gemm_mma.cl", tunables, N_TUNABLES_HERE, known,
                             sizeof known / sizeof *known, fits_values, NULL};

static bool fits(const device *d)
{
    return d->class == CLASS_GPU && d->feature[FEATURE_MMA] &&
           d->settings.precision == PRECISION_FP16;
}

static size_t panel(const device *d, const int *values, int n)
{
    (void)d, (void)values, (void)n;
    return COLUMNS;
}

static size_t padded_depth(int k)
{
    return round_up((size_t)k, DEPTH);
}

static size_t packed_count(const device *d, const int *values, int n, int k)
{
    (void)d, (void)values;
    return round_up((size_t)n, COLUMNS) * padded_depth(k) / 2;
}

/* packed [n][depth] of half, both padded with zeros: whatever the values, so that they may change.
 * The largest half stands for infinity. */
static void pack(const device *d, const int *values, void *packed, const float *rows, int first,
                 int count, int n, int k)
{
    (void)d, (void)values, (void)n;
    size_t depth = (size_t)k, padded = padded_depth(k);
    uint16_t *to = (uint16_t *)packed + (size_t)first * padded;
    memset(to, 0, COLUMNS * padded * sizeof *to);
    for (size_t j = 0; j < (size_t)count; j++)
        for (size_t l = 0; l < depth; l++)
            to[j * padded + l] = float_to_half_finite(rows[j * depth + l]);
}

static status scratch_count(device *d, const int *values, size_t *count, int m, int n, int k)
{
    (void)d, (void)values, (void)m, (void)n, (void)k;
    *count = 0;
    return OK;
}

static status product(device *d, buf out, buf a, const gemm_weight *w, int m,
                      const gemm_epilogue *e, buf scratch)
{
    const modulation *gate = e->gate ? e->gate : &gemm_no_gate;
    const int *v = w->use.values;
    char values[TUNING_OPTIONS];
    kernel *k;
    (void)scratch;
    tuning_options(values, &tuned, v);
    status st = program_get(d, &k, "gemm_mma.cl", "gemm_mma",
                            "%s -DAV=%d -DTAIL=%d -DWHOLE=%d -DACTIVATION=%d -DGATE=%d "
                            "-DRESIDUAL=%d%s",
                            probe_mma_options(d), w->k % 4 ? 1 : 4, w->k % v[KT] != 0,
                            w->n % 2 == 0, (int)e->act, e->gate != NULL,
                            e->residual.memory != NULL, values);
    if (st != OK) return st;
    return launch(d, k,
                  RANGE(ceil_div((size_t)w->n, (size_t)v[NT]) * (size_t)items(v),
                        ceil_div((size_t)m, (size_t)v[MT])),
                  RANGE((size_t)items(v)), ARG(out), ARG(a), ARG(w->matrix), ARG(w->bias),
                  ARG(e->residual), ARG(gate->values), ARG(gate->rows), ARG(m), ARG(w->n),
                  ARG(w->k), ARG((int)padded_depth(w->k)), ARG(e->residual_rows), ARG(e->tokens),
                  ARG(gate->stride), ARG(gate->first_row), ARG(gate->rows_at), ARG(e->gate_at));
}

const gemm_implementation gemm_mma = {
    .tuned = &tuned, .fits = fits, .packed_count = packed_count, .panel = panel, .pack = pack,
    .scratch = scratch_count, .product = product, .input_error = 0x1p-11};
