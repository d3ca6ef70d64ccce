/* Arrays of a run as .npy files: initial latents, final latents, and the noise of the steps. */
#ifndef DITCL_CLI_ARRAYS_H
#define DITCL_CLI_ARRAYS_H

#include "cli/cli.h"
#include "cli/output.h"
#include "files/npy.h"
#include "sample/drawing.h"

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

/* Adds to the request what the files hold: the latents of --latents-in, the noise of --noise-in,
 * and memory for --noise-out. g: the plan of the request. */
status arrays_read(arrays *a, drawing_request *q, const drawing *g);

/* Writes the arrays of a drawing that ran; they are committed with the pictures. */
status arrays_write(const arrays *a, const drawing *g, output *o);

void arrays_free(arrays *a);

#endif
