/* Threads for host work, such as loading weights. Kernels do not use them. */
#ifndef DITCL_BASE_PARALLEL_H
#define DITCL_BASE_PARALLEL_H

#include <stddef.h>

#include "base/status.h"

enum { PARALLEL_THREADS = 16 };

/* The most threads that parallel_for uses: the processors that this process may run on, at most
 * PARALLEL_THREADS. */
int parallel_threads(void);

/* Calls work(context, i, thread) for each i in 0..n and returns when all calls have ended.
 * `thread`, below parallel_threads(), differs between calls that run at the same time. After a
 * failure no new call starts. Returns the failure with the lowest i, and keeps its line. */
status parallel_for(size_t n, status (*work)(void *context, size_t i, int thread), void *context);

#endif
