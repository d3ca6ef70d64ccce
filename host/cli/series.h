/* Arguments for the seeds of a series of pictures, and for drawing only some of its pictures. */
#ifndef DITCL_CLI_SERIES_H
#define DITCL_CLI_SERIES_H

#include <stdbool.h>

#include "sample/drawing.h"

typedef struct {
    const char *seed, *seeds, *pick; /* as typed, or null */
    uint64_t *each;                  /* the numbers of --seeds */
    int *picks;                      /* those of --pick */
} series_args;

/* clang-format off */
#define OPTIONS_SERIES(where)                                                                      \
    {"seed", 's', OPTION_TEXT, &(where)->seed, "S",                                                \
     "random seed, or random [0]\n"                                                                \
     "One generator draws the noise of all pictures, in their order. random draws a seed and "     \
     "prints it.", 0, 0, NULL},                                                                    \
    {"seeds", 0, OPTION_TEXT, &(where)->seeds, "LIST",                                             \
     "a seed for each picture of a class: 5,9,100-120\n"                                           \
     "Each picture has a generator of its own, as with diffusers' list of generators, and is the " \
     "same as with --seed and one picture. The length of the list replaces -n.", 0, 0, NULL},      \
    {"pick", 0, OPTION_TEXT, &(where)->pick, "LIST",                                               \
     "draw only these pictures of the series: 5 or 0,4-7\n"                                        \
     "Numbers count from 0. Each picture is the one that the whole series would have; all for "    \
     "the whole series.", 0, 0, NULL}
/* clang-format on */

/* Adds the seeds and picks to the request. ERR_USAGE if they are invalid or exclude each other. */
status series_apply(series_args *args, drawing_request *q);

/* Prints the seed if it was drawn. */
void series_announce(const series_args *args, const drawing_request *q, bool quiet);

void series_free(series_args *args);

#endif
