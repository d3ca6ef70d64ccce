/* Monotonic wall clock. */
#ifndef DITCL_BASE_CLOCK_H
#define DITCL_BASE_CLOCK_H

/* Seconds since an arbitrary start; never goes back. */
double clock_seconds(void);

#endif
