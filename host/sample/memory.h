/* The memory that a run takes on a device: what the allocations of a dry run add up to. */
#ifndef DITCL_SAMPLE_MEMORY_H
#define DITCL_SAMPLE_MEMORY_H

#include "sample/pipeline.h"

/* *bytes = the most that the run holds on the device at once, with the decoder if the model has
 * one. The run is opened on device_dry(like). No weights are read; copies of the embedders count
 * once unless dit_count_embedders found that they differ. ERR_LIMIT if a buffer is larger than the
 * device allows. */
status memory_of_run(uint64_t *bytes, const device *like, model *m, const run_request *request);

/* *batch = pictures computed at once: the request's batch, or as many as fit. ERR_LIMIT if the run
 * does not fit the device. A dry run takes the request's batch, or 1. */
status memory_plan(int *batch, const device *d, model *m, const run_request *request);

#endif
