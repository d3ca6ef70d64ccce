/* The clock of a slow device, for opencl_layer.c. Work begins when it is flushed and what was
 * queued before it is done, and takes as long as the caller says. All times are seconds. */
#ifndef DITCL_TESTS_OPENCL_LAYER_TIME_H
#define DITCL_TESTS_OPENCL_LAYER_TIME_H

/* Queues work that takes this long. */
void layer_time_queue(double seconds);
void layer_time_flush(void);

/* Return when all work is done, or all work that was queued before the marker. A marker is any
 * pointer. */
void layer_time_finish(void);
void layer_time_mark(const void *marker);
void layer_time_wait(const void *marker);

/* The longest single piece of work, and the most work that was queued and not done at one time,
 * in seconds. */
extern double layer_time_longest, layer_time_deepest;

#endif
