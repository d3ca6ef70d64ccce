/* What a device can do at most, measured on it: the roofs that operators are held against. */
#ifndef DITCL_TUNE_PEAK_H
#define DITCL_TUNE_PEAK_H

#include "device/device.h"
#include "device/record.h"

typedef struct {
    double fp32_gflops;  /* independent multiply-adds on full vectors, two operations each */
    double gflops_16bit; /* of the unit that multiplies such numbers; 0: no such unit is used */
    double copy_gbs;     /* bytes read and written a second, far beyond the caches */
    double launch_us;    /* an empty kernel among many in the queue */
    double finish_us;    /* an empty kernel, waited for */
} peaks;

/* The least time that so many operations on each unit take, over the time they took; 0 where a
 * unit's peak is not known. */
double peak_fraction(const peaks *p, const double executed[N_ROOFS], double seconds);

status peak_measure(device *d, peaks *p);
/* Measures the rates of arithmetic again and keeps the higher ones. */
status peak_raise(device *d, peaks *p);

/* *gbs = bytes read and written a second by a copy that moves so many bytes, again and again; small
 * ones stay in a cache. */
status peak_copy(device *d, double *gbs, double bytes);

#endif
