/* Initial picture, mask and ends of an interpolation that a user gives. */
#ifndef DITCL_CLI_GIVEN_H
#define DITCL_CLI_GIVEN_H

#include "base/text.h"
#include "cli/cli.h"
#include "sample/picture.h"
#include "sample/pipeline.h"

typedef struct {
    const char *image, *mask, *seed_to;
    double strength; /* negative: not given */
    bool fit;
    int frames; /* of an interpolation; 0: none */
    /* found out */
    png picture, white;
    float *latents, *kept; /* of the picture, and its mask on the latents' grid */
    label_mix *mixes;
    int n_mixes;
    float *noise; /* of an interpolation's frames */
} given;

/* clang-format off */
#define OPTIONS_GIVEN(where)                                                                       \
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

/* ERR_USAGE if these options do not fit together. */
status given_check(const given *g);

/* Reads the pictures, which must have the model's size, and scales the mask to its latents' grid.
 * Needs no device. */
status given_read(given *g, model *m);

/* Replaces the chosen labels [*n], of one or two classes, by those of an interpolation's frames. */
status given_labels(given *g, int **labels, int *n, const model *m);

/* Puts what was read into a request that is otherwise complete; plan: its schedule. */
status given_request(given *g, run_request *request, const model *m, const schedule *plan);

/* Encodes the picture, before the run is opened. */
status given_encode(given *g, run_request *request, device *d, model *m);

/* Adds what was given to a note about how a picture was made. */
status given_note(text *note, const given *g);

void given_free(given *g);

#endif
