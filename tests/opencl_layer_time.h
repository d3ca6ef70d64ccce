/* The time that a slow device would take, for opencl_layer.c: work takes as long as it is said to,
 * after what was queued before, once it was flushed. All times are seconds. */
#ifndef DITCL_TESTS_OPENCL_LAYER_TIME_H
#define DITCL_TESTS_OPENCL_LAYER_TIME_H

/* Queues work of so many seconds. */
void layer_time_queue(double seconds);
void layer_time_flush(void);

/* Return when all work is done, or what was queued before a marker, which is any pointer. */
void layer_time_finish(void);
void layer_time_mark(const void *marker);
void layer_time_wait(const void *marker);

/* The longest work queued at once, and the most that was queued and not done at any time. */
extern double layer_time_longest, layer_time_deepest;

#endif
