/* Colours of words on a terminal: none in a pipe or file, with NO_COLOR (https://no-color.org), or
 * if TERM is unset or dumb. */
#ifndef DITCL_CLI_COLOUR_H
#define DITCL_CLI_COLOUR_H

#include <stdbool.h>
#include <stdio.h>

typedef enum { COLOUR_NONE, COLOUR_GOOD, COLOUR_BAD, COLOUR_WARNING } colour;

/* Whether `to`, stdout or stderr, shows colours. */
bool colour_shown(FILE *to);

/* What begins this colour on `to`, and what ends it: "" if it shows none. */
const char *colour_on(FILE *to, colour c);
const char *colour_off(FILE *to);

/* Prints the line of a check and a line end, with the verdict in it coloured. */
void colour_verdict(FILE *to, const char *line);

#endif
