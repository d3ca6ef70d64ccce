/* The measured peaks of a device: the roofs that operators are compared with. */
#ifndef DITCL_BENCH_PEAK_H
#define DITCL_BENCH_PEAK_H

#include "device/device.h"
#include "device/record.h"

typedef struct {
    double fp32_gflops;  /* independent multiply-adds on full vectors, two operations each */
    double gflops_16bit; /* the matrix unit for 16-bit numbers; 0: none is used */
    double copy_gbs;     /* bytes read and written per second, of buffers larger than any cache */
    double launch_us;    /* an empty kernel among many in the queue */
    double finish_us;    /* an empty kernel, with a wait after each */
} peaks;

/* The least time of so many operations at the peaks, over the time they took. Operations without a
 * known peak count as 0. */
double peak_fraction(const peaks *p, const double executed[N_ROOFS], double seconds);

status peak_measure(device *d, peaks *p);
/* Measures the rates of arithmetic again and keeps the higher ones. */
status peak_raise(device *d, peaks *p);

/* *gbs = bytes read and written per second by a repeated copy of `bytes`; a small copy stays in
 * a cache. */
status peak_copy(device *d, double *gbs, double bytes);

#endif
