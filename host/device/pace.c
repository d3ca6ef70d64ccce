/* Slices of launches, flushes and waits. See pace.h. */
#include "device/pace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "device/opencl.h"

enum { GROWTH = 16, FLUSH_LAUNCHES = 32 };
static const double default_limit = 0.1, flush_seconds = 0.01, mark_seconds = 0.5;

void pace_init(device *d)
{
    int ms = d->settings.max_launch_ms;
    pace *p = &d->handles->pace;
    *p = (pace){.slow = 1.0};
    if (ms > 0)
        p->limit = ms * 1e-3;
    else if (d->info.kind != DEVICE_CPU)
        p->limit = ms < 0 ? HUGE_VAL : default_limit;
}

void pace_free(launch_rate *rates)
{
    while (rates) {
        launch_rate *next = rates->next;
        free(rates);
        rates = next;
    }
}

/* ---- the queue ---- */

static void forget_mark(device *d)
{
    pace *p = &d->handles->pace;
    if (p->mark && !d->handles->lost) clReleaseEvent(p->mark);
    p->mark = NULL;
}

void pace_drained(device *d)
{
    pace *p = &d->handles->pace;
    forget_mark(d);
    p->behind_mark = p->before_mark = p->unflushed = p->window_from = 0.0;
    p->unflushed_launches = 0;
}

static status finish(device *d)
{
    status st = OK;
    DEVICE_TRY(d, "clFinish", clFinish(d->handles->queue));
    pace_drained(d);
done:
    return st;
}

static status flush(device *d)
{
    pace *p = &d->handles->pace;
    status st = OK;
    DEVICE_TRY(d, "clFlush", clFlush(d->handles->queue));
    p->unflushed = 0.0;
    p->unflushed_launches = 0;
done:
    return st;
}

/* Waits for the older mark. If the host had to wait twice in a row, the device was busy in
 * between. So the window took the time between the ends of both waits. */
static status wait_for_mark(device *d)
{
    pace *p = &d->handles->pace;
    double from = clock_seconds(), now;
    status st = OK;
    DEVICE_TRY(d, "clWaitForEvents", clWaitForEvents(1, &p->mark));
    now = clock_seconds();
    bool waited = now - from > 1e-3;
    if (waited && p->window_from > 0.0)
        p->slow = fmin(fmax(p->slow * (now - p->window_from) / p->before_mark, 1.0), 16.0);
    p->window_from = waited ? now : 0.0;
done:
    forget_mark(d);
    return st;
}

/* Counts seconds of predicted work that was queued; marks, flushes or waits if needed. */
static status queued(device *d, double seconds)
{
    pace *p = &d->handles->pace;
    cl_event mark = NULL;
    status st = OK;
    p->behind_mark += seconds;
    p->unflushed += seconds;
    p->unflushed_launches++;
    if (p->behind_mark >= mark_seconds) {
        DEVICE_TRY(d, "clEnqueueMarkerWithWaitList",
                   clEnqueueMarkerWithWaitList(d->handles->queue, 0, NULL, &mark));
        TRY(flush(d));
        if (p->mark) TRY(wait_for_mark(d));
        p->mark = mark;
        p->before_mark = p->behind_mark;
        p->behind_mark = 0.0;
        mark = NULL;
    } else if (p->unflushed_launches >= FLUSH_LAUNCHES || p->unflushed >= flush_seconds) {
        TRY(flush(d));
    }
done:
    if (mark && !d->handles->lost) clReleaseEvent(mark);
    return st;
}

/* ---- prediction ---- */

static status find_rate(launch_rate **rate, launch_rate **all, const device *d,
                        const size_t size[3])
{
    double work = d->announced.flops + d->announced.bytes;
    status st = OK;
    for (launch_rate *r = *all; r; r = r->next)
        if (!memcmp(r->size, size, sizeof r->size) && r->work == work) {
            *rate = r;
            return OK;
        }
    TRY(memory_alloc(rate, 1, sizeof **rate));
    **rate = (launch_rate){.next = *all, .work = work};
    memcpy((*rate)->size, size, sizeof(*rate)->size);
    *all = *rate;
done:
    return st;
}

static double predicted(const device *d, const launch_rate *r, size_t groups)
{
    return r->group_seconds * d->handles->pace.slow * (double)groups;
}

/* True if this many work-groups are known to take no longer than the limit. */
static bool fits_limit(const device *d, const launch_rate *r, size_t groups)
{
    return groups / GROWTH <= r->timed && r->timed > 0 &&
           predicted(d, r, groups) <= d->handles->pace.limit;
}

/* The most work-groups of the next slice; `left` are left. unknown: the result if the speed is not
 * known. *measured = whether to time the slice. It is timed if it is the first of a launch, or if
 * the time of larger slices is predicted from its time. */
static size_t slice_groups(bool *measured, const device *d, const launch_rate *r, bool first,
                           size_t left, size_t unknown)
{
    double most = (double)unknown;
    *measured = r != NULL && first;
    if (!r) return (size_t)d->settings.slice_groups;
    if (!first && fits_limit(d, r, left)) return left;
    if (r->timed > 0) {
        double half = 0.5 * d->handles->pace.limit / fmax(predicted(d, r, 1), 1e-12);
        double wanted = fmin(half, (double)left);
        most = fmin((double)r->timed * GROWTH, wanted);
        *measured |= most < wanted || r->n_timed < 2;
    }
    return most < 1.0 ? 1 : (size_t)most;
}

/* ---- slices ---- */

static status enqueue_kernel(device *d, kernel *k, const size_t first[3], const size_t groups[3],
                             const size_t local[3])
{
    size_t offset[3], global[3];
    bool moved = false;
    status st = OK;
    for (int i = 0; i < 3; i++) {
        offset[i] = first[i] * local[i];
        global[i] = groups[i] * local[i];
        moved |= first[i] > 0;
    }
    cl_int code = clEnqueueNDRangeKernel(d->handles->queue, k->handle, 3, moved ? offset : NULL,
                                         global, local, 0, NULL, NULL);
    bool refused = code == CL_OUT_OF_RESOURCES && d->tries && !k->launched;
    if (refused) CL_TRY("clEnqueueNDRangeKernel", code);
    DEVICE_TRY(d, "clEnqueueNDRangeKernel", code);
    k->launched = true;
done:
    return st;
}

/* Finds the next slice: it begins behind the first `done` work-groups, has at most `most`, and is a
 * box of the range. The first dimension runs fastest. Returns the number of work-groups. */
static size_t next_box(size_t first[3], size_t box[3], const size_t groups[3], size_t done,
                       size_t most)
{
    size_t row = groups[0], plane = groups[0] * groups[1];
    for (int i = 0; i < 3; i++) box[i] = 1;
    first[0] = done % row;
    first[1] = done / row % groups[1];
    first[2] = done / plane;
    int longest = most < 2 * row || first[0] ? 0 : most < 2 * plane || first[1] ? 1 : 2;
    for (int i = 0; i < longest; i++) box[i] = groups[i];
    size_t unit = longest == 0 ? 1 : longest == 1 ? row : plane;
    size_t left = groups[longest] - first[longest];
    box[longest] = most / unit < left ? most / unit : left;
    return box[longest] * unit;
}

/* What is queued in slices: work-groups of a kernel, or parts of a library's work. */
typedef struct {
    kernel *k;
    const size_t *local;
    const pace_parts *library; /* null: the kernel */
} sliced;

static status enqueue_slice(device *d, const sliced *s, const size_t first[3], const size_t box[3])
{
    if (s->library) return s->library->queue(d, s->library->what, first[0], box[0]);
    return enqueue_kernel(d, s->k, first, box, s->local);
}

/* Queues one slice. If it is to be measured, runs it alone on the device and times it. */
static status run_slice(device *d, const sliced *s, launch_rate *r, bool measured,
                        const size_t first[3], const size_t box[3])
{
    size_t count = box[0] * box[1] * box[2];
    status st = OK;
    if (measured) TRY(finish(d));
    double from = clock_seconds();
    TRY(enqueue_slice(d, s, first, box));
    if (!measured) {
        st = r ? queued(d, predicted(d, r, count)) : OK;
        goto done;
    }
    TRY(finish(d));
    r->group_seconds = (clock_seconds() - from) / (double)count;
    if (count > r->timed) r->timed = count;
    r->n_timed++;
done:
    return st;
}

bool pace_cuts(const device *d)
{
    return d->handles->pace.limit > 0.0 || d->settings.slice_groups > 0;
}

/* Queues the whole range, in slices if it may be cut. */
static status run(device *d, const sliced *s, launch_rate **rates, const size_t size[3],
                  const size_t groups[3], size_t unknown)
{
    static const size_t origin[3] = {0, 0, 0};
    size_t all = groups[0] * groups[1] * groups[2], first[3], box[3];
    bool paced = d->handles->pace.limit > 0.0 && d->settings.slice_groups <= 0;
    launch_rate *r = NULL;
    status st = OK;
    if (!pace_cuts(d)) return enqueue_slice(d, s, origin, groups);
    if (paced) TRY(find_rate(&r, rates, d, size));
    /* the first measurement may include compiling, or moving memory */
    if (r && fits_limit(d, r, all)) return run_slice(d, s, r, r->n_timed < 2, origin, groups);
    for (size_t done = 0; done < all;) {
        bool measured;
        size_t most = slice_groups(&measured, d, r, done == 0, all - done, unknown);
        done += next_box(first, box, groups, done, most);
        TRY(run_slice(d, s, r, measured, first, box));
    }
done:
    return st;
}

status pace_launch(device *d, kernel *k, const size_t groups[3], const size_t local[3])
{
    const sliced s = {.k = k, .local = local};
    size_t units = d->info.compute_units;
    return run(d, &s, &k->rates, groups, groups, units ? units : 1);
}

status pace_library(device *d, const pace_parts *p)
{
    const sliced s = {.library = p};
    const size_t groups[3] = {p->parts, 1, 1};
    return run(d, &s, &d->handles->products, p->size, groups, p->first_slice);
}
