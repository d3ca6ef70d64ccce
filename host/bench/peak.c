/* A device's own peaks. See peak.h. */
#include "bench/peak.h"

#include "base/text.h"
#include "device/mma.h"
#include "device/probe.h"
#include "ops/op.h"
#include "ops/ops.h"
#include "tune/measure.h"

static const double LAUNCH_SECONDS = 0.020; /* least duration of a measured kernel */
static const double FAR_BYTES = 256 << 20;  /* a buffer beyond any cache */

/* Build options of peak.cl: VEC, CHAINS, WG, PER. */
typedef struct {
    int vec, chains, group, per;
} peak_options;

/* A multiply-add takes 4 or 5 cycles, and a core may start two in a cycle. 12 independent sums keep
 * it busy, and fit in the registers of the narrowest vectors. */
static peak_options choose(const device *d, kernel_family family)
{
    if (family == FAMILY_CPU) return (peak_options){d->vector_width, 12, 1, 1024};
    return (peak_options){4, 4, op_items(d), 1};
}

static status peak_kernel(device *d, kernel **k, const char *name, peak_options s)
{
    return program_get(d, k, "peak.cl", name, "-DVEC=%d -DCHAINS=%d -DWG=%d -DPER=%d", s.vec,
                       s.chains, s.group, s.per);
}

/* The launch that the measured functions queue. */
typedef struct {
    device *d;
    kernel *k;
    buf to, from;
    range global, local;
    int n;
} launching;

static status queue_fma(void *context)
{
    const launching *l = context;
    /* converges to 1: no overflow, no subnormal numbers */
    return launch(l->d, l->k, l->global, l->local, ARG(l->to), ARG(0.5f), ARG(0.5f), ARG(l->n));
}

static status queue_16bit(void *context)
{
    const launching *l = context;
    return launch(l->d, l->k, l->global, l->local, ARG(l->to), ARG(l->from), ARG(l->n));
}

/* *gflops = the peak rate. n grows until a launch takes LAUNCH_SECONDS; a launch does `operations`
 * x n operations. */
static status arithmetic_peak(launching *l, status (*queue)(void *), double operations,
                              double *gflops)
{
    timing t = {0};
    measured what = {.queue = queue, .context = l, .most_calls = 1};
    status st = OK;
    for (l->n = 1 << 6; l->n < 1 << 28; l->n *= 2) {
        TRY(measure(l->d, &t, &what, 0, 1));
        if (t.best >= LAUNCH_SECONDS) break;
    }
    TRY(measure(l->d, &t, &what, 0, 9));
    *gflops = operations * l->n / t.best / 1e9;
done:
    return st;
}

/* Enough work-groups for an even load of all compute units. */
static size_t many_groups(const device *d)
{
    return (d->info.compute_units ? d->info.compute_units : 1) * 16;
}

static status fma_peak(device *d, kernel_family family, double *gflops)
{
    peak_options s = choose(d, family);
    size_t group = (size_t)s.group;
    size_t items = many_groups(d) * group * (family == FAMILY_CPU ? 1 : 4);
    launching l = {.d = d, .global = RANGE(items), .local = RANGE(group)};
    status st = OK;
    TRY(peak_kernel(d, &l.k, "peak_fma", s));
    TRY(buffer_create(d, &l.to, items, "the measurement of the peak"));
    TRY(arithmetic_peak(&l, queue_fma, 2.0 * (double)items * s.chains * s.vec, gflops));
done:
    buffer_release(d, &l.to);
    return st;
}

/* A matrix unit for 16-bit numbers: the kernel that keeps it busy, its work-items, and their
 * operations per round. */
typedef struct {
    const char *kernel;
    char options[MMA_OPTIONS];
    int items, chains;
    double operations;
} roof_16bit;

/* False if the device, with its settings, uses no such unit. */
static bool find_16bit(const device *d, roof_16bit *u)
{
    enum { TILES = 6, PAIRS = 32, TILE_OPERATIONS = 2 * 16 * 16 * 32 };
    const matrix_unit *shared = d->family == FAMILY_GPU ? mma_of(d) : NULL;
    *u = (roof_16bit){.items = 1, .chains = 12};
    if (shared) {
        u->kernel = "peak_mma";
        u->items = shared->lanes;
        u->chains = 8;
        u->operations = 2.0 * u->chains * shared->m * shared->n * MMA_DEPTH;
        mma_options(u->options, d, shared);
        return true;
    }
    if (d->family != FAMILY_CPU || d->settings.precision == PRECISION_FP32) return false;
    if (d->feature[FEATURE_AMX_BF16]) {
        u->kernel = "peak_tiles";
        u->operations = TILES * TILE_OPERATIONS;
        text_copy(u->options, sizeof u->options, probe_tile_options(d));
        return true;
    }
    u->kernel = "peak_pairs";
    u->operations = 2.0 * u->chains * PAIRS;
    text_copy(u->options, sizeof u->options, probe_pair_options);
    return d->feature[FEATURE_AVX512_BF16] && d->settings.precision == PRECISION_BF16;
}

static status peak_16bit(device *d, double *gflops)
{
    enum { TILE = 256 };
    roof_16bit u;
    if (!find_16bit(d, &u)) return OK;
    size_t groups = many_groups(d), items = (size_t)u.items;
    launching l = {.d = d, .global = RANGE(groups * items), .local = RANGE(items)};
    op_plan fill;
    status st = OK;
    TRY(program_get(d, &l.k, "peak.cl", u.kernel, "%s -DCHAINS=%d -DWG=1 -DPER=1", u.options,
                    u.chains));
    TRY(buffer_create(d, &l.to, groups * TILE, "the measurement of the peak"));
    TRY(buffer_create(d, &l.from, TILE, "the measurement of the peak"));
    TRY(fill_plan(d, &fill, TILE));
    TRY(op_fill(d, &fill, l.from, 0x1.01p-20f)); /* small also when its bits are read as fp16 */
    TRY(arithmetic_peak(&l, queue_16bit, (double)groups * u.operations, gflops));
done:
    buffer_release(d, &l.to);
    buffer_release(d, &l.from);
    return st;
}

static status queue_copy(void *context)
{
    const launching *l = context;
    return launch(l->d, l->k, l->global, l->local, ARG(l->to), ARG(l->from), ARG(l->n));
}

status peak_copy(device *d, double *gbs, double bytes)
{
    peak_options s = choose(d, d->family);
    size_t vectors = (size_t)(bytes / 2 / 4) / (size_t)s.vec + 1, part = (size_t)(s.group * s.per);
    timing t;
    launching l = {.d = d, .local = RANGE((size_t)s.group), .n = (int)vectors};
    measured what = {.queue = queue_copy, .context = &l};
    op_plan fill;
    status st = OK;
    l.global = RANGE(ceil_div(vectors, part) * (size_t)s.group);
    TRY(peak_kernel(d, &l.k, "peak_copy", s));
    TRY(buffer_create(d, &l.to, vectors * (size_t)s.vec, "the measurement of copies"));
    TRY(buffer_create(d, &l.from, vectors * (size_t)s.vec, "the measurement of copies"));
    TRY(fill_plan(d, &fill, l.from.count));
    TRY(op_fill(d, &fill, l.from, 1.0f));
    TRY(measure(d, &t, &what, 0.1, 0));
    *gbs = 8.0 * (double)vectors * s.vec / t.median / 1e9;
done:
    buffer_release(d, &l.to);
    buffer_release(d, &l.from);
    return st;
}

static status queue_nothing(void *context)
{
    const launching *l = context;
    return launch(l->d, l->k, RANGE(1), RANGE(1), ARG(l->to));
}

static status finish_nothing(void *context)
{
    const launching *l = context;
    status st = queue_nothing(context);
    return st == OK ? device_finish(l->d) : st;
}

static status launch_costs(device *d, peaks *p)
{
    launching l = {.d = d};
    measured queued = {.queue = queue_nothing, .context = &l};
    measured waited = {.queue = finish_nothing, .context = &l};
    timing t;
    status st = OK;
    TRY(peak_kernel(d, &l.k, "peak_nothing", choose(d, d->family)));
    TRY(buffer_create(d, &l.to, 1, "an empty kernel"));
    TRY(measure(d, &t, &queued, 0.05, 0));
    p->launch_us = t.median * 1e6;
    TRY(measure(d, &t, &waited, 0.05, 0));
    p->finish_us = t.median * 1e6;
done:
    buffer_release(d, &l.to);
    return st;
}

status peak_raise(device *d, peaks *p)
{
    static const kernel_family families[] = {FAMILY_CPU, FAMILY_GPU};
    double fp32 = 0, narrow = 0;
    status st = OK;
    for (size_t i = 0; i < sizeof families / sizeof *families && st == OK; i++) {
        st = fma_peak(d, families[i],
                      &fp32); /* both families: --kernels does not change the peak of the device */
        if (fp32 > p->fp32_gflops) p->fp32_gflops = fp32;
    }
    if (st == OK) st = peak_16bit(d, &narrow);
    if (narrow > p->gflops_16bit) p->gflops_16bit = narrow;
    return st;
}

double peak_fraction(const peaks *p, const double executed[N_ROOFS], double seconds)
{
    const double peak[N_ROOFS] = {[ROOF_FP32] = p->fp32_gflops, [ROOF_16BIT] = p->gflops_16bit};
    double ideal = 0.0;
    for (int i = 0; i < N_ROOFS; i++)
        if (executed[i] > 0 && peak[i] > 0) ideal += executed[i] / (peak[i] * 1e9);
    return ideal / seconds;
}

status peak_measure(device *d, peaks *p)
{
    double far = FAR_BYTES, most = (double)d->info.memory_bytes / 16;
    status st = OK;
    *p = (peaks){0};
    if (far > most) far = most;
    if (far > (double)d->info.max_alloc_bytes) far = (double)d->info.max_alloc_bytes;
    TRY(peak_raise(d, p));
    TRY(peak_copy(d, &p->copy_gbs, 2 * far));
    TRY(launch_costs(d, p));
done:
    return st == OK ? OK : fail_in(st, "measuring the device");
}
