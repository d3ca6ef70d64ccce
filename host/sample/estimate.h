/* The network's estimates of the finished latents while a run samples, for previews. They are
 * computed on the host from copies, so they change nothing in the run. */
#ifndef DITCL_SAMPLE_ESTIMATE_H
#define DITCL_SAMPLE_ESTIMATE_H

#include "sample/pipeline.h"

/* For pipeline.c: allocate memory if estimates are wanted; ask whether this step's is; compute it
 * for n pictures from `first` on, after the network and before the update; hand it on. */
status estimate_allocate(run *r);
void estimate_ask(run *r, int step);
status estimate_group(run *r, int step, int first, int n, bool guided);
status estimate_tell(run *r, int step);
void estimate_release(run *r);

#endif
