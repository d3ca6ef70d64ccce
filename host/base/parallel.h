/* Host work shared by threads: for the loading of weights, never for the kernels' own work. */
#ifndef DITCL_BASE_PARALLEL_H
#define DITCL_BASE_PARALLEL_H

#include <stddef.h>

#include "base/status.h"

enum { PARALLEL_THREADS = 16 };

/* Threads that parallel_for uses at most: the processors this process may run on, and at most
 * PARALLEL_THREADS. */
int parallel_threads(void);

/* Calls work(context, i, thread) for each i in 0..n, and returns when all is done; thread, below
 * parallel_threads(), tells those apart that run at the same time. After a failure no more is
 * begun; the failure with the lowest i is returned, and its line kept. */
status parallel_for(size_t n, status (*work)(void *context, size_t i, int thread), void *context);

#endif
