/* The guess of a launch's time. See waves.h. */
#include "ops/waves.h"

#include <math.h>

/* BUSY: work-items that hide a compute unit's latency: two sub-groups of 32 for each of the four
 * schedulers that a compute unit of most GPUs has.
 * MOST_UNITS: a larger number is none that a driver has counted; some report 9999 for unknown. */
enum { BUSY = 256, MOST_UNITS = 1024, USUAL_UNITS = 16 };
static const double FILLED = 0.8;

/* A compute unit with matrix units does 512 to 1024 multiply-adds of 16 bits in a clock cycle,
 * while it reads 16 to 32 numbers from a cache that all compute units share, and about 64 to 128
 * from local memory. bf16x3 reads two numbers for an input and multiplies three times. */
read_cost waves_of_unit(int parts)
{
    double times = parts == 2 ? 2.0 / 3.0 : 1.0;
    return (read_cost){8.0 * times, 32.0 * times};
}

double waves_step(read_cost c, double rows, double columns, double own_rows, double own_columns)
{
    return rows * columns * (1.0 + c.local / own_rows + c.local / own_columns) +
           c.global * (rows + columns);
}

double waves_units(const device *d)
{
    unsigned units = d->info.compute_units;
    return units == 0 || units > MOST_UNITS ? USUAL_UNITS : units;
}

bool waves_leave_idle(const device *d, const waves *w)
{
    return d->info.kind != DEVICE_CPU && w->groups < FILLED * waves_units(d);
}

double waves_time(const device *d, const waves *w)
{
    if (d->info.kind == DEVICE_CPU) return 0.0;
    double rounds = fmax(ceil(w->groups / waves_units(d)), BUSY / w->items);
    return rounds * w->work * (waves_leave_idle(d, w) ? 1.5 : 1.0) + w->after;
}
