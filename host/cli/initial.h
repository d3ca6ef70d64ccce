/* Arguments for what a run begins with: initial picture and mask, and the second seed of an
 * interpolation. */
#ifndef DITCL_CLI_INITIAL_H
#define DITCL_CLI_INITIAL_H

#include "base/text.h"
#include "cli/cli.h"
#include "sample/drawing.h"

typedef struct {
    const char *image, *mask, *seed_to;
    bool fit;
    png picture, white; /* what was read */
} initial_args;

/* q: the drawing_request. */
/* clang-format off */
#define OPTIONS_INITIAL(where, q)                                                                  \
    {"image", 0, OPTION_TEXT, &(where)->image, "IN.png",                                           \
     "draw a variation of this picture\n"                                                          \
     "PNG, JPEG, WebP or BMP. - reads standard input.", 0, 0, NULL},                               \
    {"strength", 0, OPTION_DOUBLE, &(q)->strength, "S",                                            \
     "how much to change --image, 0 to 1 [0.6]\n"                                                  \
     "The last int(S x steps) steps run, from the picture with the noise of the first of them. "   \
     "With --mask the default is 1.", 0, 1, NULL},                                                 \
    {"mask", 0, OPTION_TEXT, &(where)->mask, "M.png",                                              \
     "change --image only where this picture is white", 0, 0, NULL},                               \
    {"fit", 0, OPTION_FLAG, &(where)->fit, NULL,                                                   \
     "scale and crop --image and --mask to the model's size", 0, 0, NULL},                         \
    {"interpolate", 0, OPTION_INT, &(q)->frames, "N",                                              \
     "N pictures between two classes or two seeds\n"                                               \
     "They go from the first class to the second, or from --seed to --seed-to, or both.", 2,       \
     1000, NULL},                                                                                  \
    {"seed-to", 0, OPTION_TEXT, &(where)->seed_to, "S",                                            \
     "seed of the last picture of --interpolate", 0, 0, NULL}
/* clang-format on */

/* Adds --seed-to to the request. ERR_USAGE if these options exclude each other. */
status initial_check(const initial_args *args, drawing_request *q);

/* Reads the pictures, which must have the model's size, and adds them to the request. Needs no
 * device. */
status initial_read(initial_args *args, drawing_request *q, model *m);

void initial_free(initial_args *args);

#endif
