/* Options of previews: pictures as they form, in a file, and a strip of the states of one
 * picture. */
#ifndef DITCL_CLI_PREVIEWS_H
#define DITCL_CLI_PREVIEWS_H

#include "cli/options.h"
#include "cli/output.h"
#include "cli/terminal.h"
#include "sample/drawing.h"

extern const char *const preview_ways[]; /* "vae", "linear", null */

/* Initialise it with PREVIEWS_DEFAULTS. */
typedef struct {
    const char *path, *strip; /* null: none; path: may be "terminal" */
    int every, way, states;   /* 0 or negative: not on the command line */
    /* while a drawing runs */
    int width, height; /* of a picture */
    terminal_place place;
    unsigned char *pixels; /* the states [n_states][height][width][3] */
    int n_states;
} previews;

#define PREVIEWS_DEFAULTS .way = -1

/* clang-format off */
#define OPTIONS_PREVIEWS(where)                                                                    \
    {"preview", 0, OPTION_TEXT, &(where)->path, "FILE",                                            \
     "PNG of the forming pictures, or terminal: draw them here\n"                                  \
     "It shows the finished pictures as the network expects them after a step: the picture, or "   \
     "a sheet of the first 64. The file appears whole each time. Previews change nothing in the "  \
     "pictures. terminal: a terminal that speaks the graphics protocol of kitty shows them above " \
     "the progress bar; a file of that name is ./terminal.", 0, 0, NULL}, \
    {"preview-every", 0, OPTION_INT, &(where)->every, "N",                                         \
     "steps from one preview to the next [5]", 1, 1000000, NULL},                                  \
    {"preview-with", 0, OPTION_CHOICE, &(where)->way, "HOW",                                       \
     "vae or linear: how previews are decoded [vae]\n"                                          \
     "vae: exact, and takes as long as decoding the finished pictures. linear: a map from "        \
     "latents to colours, fitted once to what the VAE makes of patches of colours; blurred, with " \
     "wrong hues, and almost free.", 0, 0, preview_ways}, \
    {"strip", 0, OPTION_TEXT, &(where)->strip, "FILE",                                             \
     "PNG of one row: the first picture becoming clear\n"                                          \
     "Its states are what the network expects at equally distant steps, decoded by the VAE. The "  \
     "last one is the picture.", 0, 0, NULL},                                                      \
    {"strip-states", 0, OPTION_INT, &(where)->states, "N",                                         \
     "states in the strip; at most one a step, and the picture [8]", 2, 64, NULL}
/* clang-format on */

/* Adds the options to the request. ERR_USAGE if they contradict each other. */
status previews_check(const previews *p, drawing_request *q);

/* Adds the files to the outputs. g: the plan of the request. */
status previews_add(previews *p, output *o, const drawing *g);

/* Writes a preview of n pictures [n][height][width][3]. */
status previews_show(previews *p, const unsigned char *rgb, int n);

/* Keeps a state of the strip. */
void previews_keep(previews *p, const unsigned char *rgb, int state);

/* Writes the strip; it is committed with the pictures. */
status previews_write(const previews *p, output *o);

void previews_free(previews *p);

#endif
