/* Arguments for what a run begins with: initial picture, mask, and the ends of an interpolation. */
#ifndef DITCL_CLI_INITIAL_H
#define DITCL_CLI_INITIAL_H

#include "base/text.h"
#include "cli/cli.h"
#include "sample/picture.h"
#include "sample/pipeline.h"

typedef struct {
    const char *image, *mask, *seed_to;
    double strength; /* negative: not on the command line */
    bool fit;
    int frames; /* of an interpolation; 0: none */
    /* results */
    png picture, white;
    float *latents, *kept; /* of the picture; the mask, reduced to the grid of the latents */
    label_mix *mixes;
    int n_mixes;
    float *noise; /* of an interpolation's frames */
} initial_args;

/* clang-format off */
#define OPTIONS_INITIAL(where)                                                                     \
    {"image", 0, OPTION_TEXT, &(where)->image, "IN.png",                                           \
     "draw a variation of this picture", 0, 0, NULL},                                              \
    {"strength", 0, OPTION_DOUBLE, &(where)->strength, "S",                                        \
     "how much to change --image, 0 to 1 [0.6]\n"                                                  \
     "int(S x steps) steps run, from the picture with that much noise. With --mask the default "   \
     "is 1.", 0, 1, NULL},                                                                         \
    {"mask", 0, OPTION_TEXT, &(where)->mask, "M.png",                                              \
     "change --image only where this picture is white", 0, 0, NULL},                               \
    {"fit", 0, OPTION_FLAG, &(where)->fit, NULL,                                                   \
     "scale and crop --image and --mask to the model's size", 0, 0, NULL},                         \
    {"interpolate", 0, OPTION_INT, &(where)->frames, "N",                                          \
     "N pictures between two classes or two seeds\n"                                               \
     "From the first of two classes to the second, or from --seed to --seed-to, or both.", 2,      \
     1000, NULL},                                                                                  \
    {"seed-to", 0, OPTION_TEXT, &(where)->seed_to, "S",                                            \
     "seed of the last picture of --interpolate", 0, 0, NULL}
/* clang-format on */

/* ERR_USAGE if these options exclude each other. */
status initial_check(const initial_args *args);

/* Reads the pictures, which must have the model's size, and reduces the mask to the grid of the
 * latents. Needs no device. */
status initial_read(initial_args *args, model *m);

/* Replaces labels [*n] of one or two classes by the labels of the frames of an interpolation. */
status initial_labels(initial_args *args, int **labels, int *n, const model *m);

/* Adds what was read to a request that is otherwise complete. plan: its schedule. */
status initial_request(initial_args *args, run_request *request, const model *m,
                       const schedule *plan);

/* Encodes the picture, before the run is opened. */
status initial_encode(initial_args *args, run_request *request, device *d, model *m);

/* Appends these arguments to the note about how a picture was made. */
status initial_note(text *note, const initial_args *args);

void initial_free(initial_args *args);

#endif
