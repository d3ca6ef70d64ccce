/* A device's own peaks. See peak.h. */
#include "trials/peak.h"

#include "ops/op.h"
#include "ops/ops.h"
#include "trials/measure.h"

static const double LAUNCH_SECONDS = 0.020; /* of the longest kernels, at least */
static const double FAR_BYTES = 256 << 20;  /* a buffer beyond any cache */

/* How the kernels are shaped. */
typedef struct {
    int vec, chains, group, per; /* VEC CHAINS WG PER */
} shaping;

/* A multiply-add takes 4 or 5 cycles and two may start in each: 12 sums keep them busy, and fit
 * the registers of the narrowest vectors. */
static shaping choose(const device *d)
{
    if (d->class == CLASS_CPU) return (shaping){d->vector_width, 12, 1, 1024};
    return (shaping){4, 4, op_group(d, 128), 1};
}

static status get(device *d, kernel **k, const char *name)
{
    shaping s = choose(d);
    return program_get(d, k, "peak.cl", name, "-DVEC=%d -DCHAINS=%d -DWG=%d -DPER=%d", s.vec,
                       s.chains, s.group, s.per);
}

/* What the measured functions queue. */
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
    /* towards 1: neither overflow nor tiny numbers */
    return launch(l->d, l->k, l->global, l->local, ARG(l->to), ARG(0.5f), ARG(0.5f), ARG(l->n));
}

static status fma_peak(device *d, double *gflops)
{
    shaping s = choose(d);
    size_t group = (size_t)s.group, units = d->info.compute_units ? d->info.compute_units : 1;
    size_t items = units * 16 * group * (d->class == CLASS_CPU ? 1 : 4);
    launching l = {.d = d, .global = RANGE(items), .local = RANGE(group), .n = 1 << 10};
    timing t = {0};
    measured what = {.queue = queue_fma, .context = &l, .most_calls = 1};
    status st = OK;
    TRY(get(d, &l.k, "peak_fma"));
    TRY(buffer_create(d, &l.to, items, "the measurement of the peak"));
    for (; l.n < 1 << 28; l.n *= 2) {
        TRY(measure(d, &t, &what, 0, 1));
        if (t.best >= LAUNCH_SECONDS) break;
    }
    TRY(measure(d, &t, &what, 0, 9));
    *gflops = 2.0 * (double)items * l.n * s.chains * s.vec / t.best / 1e9;
done:
    buffer_release(d, &l.to);
    return st;
}

static status queue_copy(void *context)
{
    const launching *l = context;
    return launch(l->d, l->k, l->global, l->local, ARG(l->to), ARG(l->from), ARG(l->n));
}

status peak_copy(device *d, double *gbs, double bytes)
{
    shaping s = choose(d);
    size_t vectors = (size_t)(bytes / 2 / 4) / (size_t)s.vec + 1, part = (size_t)(s.group * s.per);
    timing t;
    launching l = {.d = d, .local = RANGE((size_t)s.group), .n = (int)vectors};
    measured what = {.queue = queue_copy, .context = &l};
    status st = OK;
    l.global = RANGE(ceil_div(vectors, part) * (size_t)s.group);
    TRY(get(d, &l.k, "peak_copy"));
    TRY(buffer_create(d, &l.to, vectors * (size_t)s.vec, "the measurement of copies"));
    TRY(buffer_create(d, &l.from, vectors * (size_t)s.vec, "the measurement of copies"));
    TRY(op_fill(d, l.from, l.from.count, 1.0f));
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
    TRY(get(d, &l.k, "peak_nothing"));
    TRY(buffer_create(d, &l.to, 1, "an empty kernel"));
    TRY(measure(d, &t, &queued, 0.05, 0));
    p->launch_us = t.median * 1e6;
    TRY(measure(d, &t, &waited, 0.05, 0));
    p->finish_us = t.median * 1e6;
done:
    buffer_release(d, &l.to);
    return st;
}

status peak_measure(device *d, peaks *p)
{
    double far = FAR_BYTES, most = (double)d->info.memory_bytes / 16;
    status st = OK;
    *p = (peaks){0};
    if (far > most) far = most;
    if (far > (double)d->info.max_alloc_bytes) far = (double)d->info.max_alloc_bytes;
    TRY(fma_peak(d, &p->fp32_gflops));
    TRY(peak_copy(d, &p->copy_gbs, 2 * far));
    TRY(launch_costs(d, p));
done:
    return st == OK ? OK : fail_in(st, "measuring the device");
}
