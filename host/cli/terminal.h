/* Pictures in terminals that speak the graphics protocol of kitty (kitty, Ghostty, WezTerm,
 * Konsole), https://sw.kovidgoyal.net/kitty/graphics-protocol. */
#ifndef DITCL_CLI_TERMINAL_H
#define DITCL_CLI_TERMINAL_H

#include <stdbool.h>

#include "base/status.h"

/* A place on stderr, a terminal, where one picture replaces another. */
typedef struct {
    int rows; /* of text; 0: no picture was shown yet */
} terminal_place;

/* Shows the picture [height][width][3] above the progress bar. */
status terminal_show(terminal_place *at, const unsigned char *rgb, int width, int height);

#endif
