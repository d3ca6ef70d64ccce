/* Arrays of a run as .npy files: initial latents, final latents, and the noise of the steps. */
#ifndef DITCL_CLI_ARRAYS_H
#define DITCL_CLI_ARRAYS_H

#include "cli/cli.h"
#include "cli/output.h"
#include "files/npy.h"
#include "sample/pipeline.h"

typedef struct {
    const char *latents_in, *latents_out, *noise_in, *noise_out;
    /* results */
    npy initial, noise;
    float *kept_noise;
} arrays;

/* clang-format off */
#define OPTIONS_NOISE(where)                                                                       \
    {"latents-in", 0, OPTION_TEXT, &(where)->latents_in, "F.npy",                                  \
     "read the initial noise, float32 [n,C,h,w]", 0, 0, NULL},                                     \
    {"noise-in", 0, OPTION_TEXT, &(where)->noise_in, "F.npy",                                      \
     "read the noise of the steps, float32 [steps,n,C,h,w]", 0, 0, NULL}
#define OPTIONS_ARRAYS_OUT(where)                                                                  \
    {"latents-out", 0, OPTION_TEXT, &(where)->latents_out, "F.npy",                                \
     "also write the final latents, before the VAE", 0, 0, NULL},                                  \
    {"noise-out", 0, OPTION_TEXT, &(where)->noise_out, "F.npy",                                    \
     "also write the noise that the steps added", 0, 0, NULL}
/* clang-format on */

/* Adds the arrays that the run writes to the outputs. */
status arrays_add(const arrays *a, output *o);

/* Reads the initial latents of n pictures if --latents-in names a file. */
status arrays_read(arrays *a, const model *m, int n);

/* Adds the noise of the steps to a request that is otherwise complete: the noise of --noise-in, and
 * memory for --noise-out. */
status arrays_request(arrays *a, run_request *request, const model *m, const schedule *plan);

/* Writes the arrays of a finished run; they are committed with the pictures. */
status arrays_write(const arrays *a, run *r, output *o);

void arrays_free(arrays *a);

#endif
