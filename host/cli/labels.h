/* Labels of the pictures on a sheet: the name of the class in a strip below each picture. */
#ifndef DITCL_CLI_LABELS_H
#define DITCL_CLI_LABELS_H

#include "cli/options.h"
#include "sample/drawing.h"

/* Appends a label for each picture: the first name of its class, else the class's number. */
status labels_of(text_list *labels, const drawing *g);

/* Rows of the strip below a picture. */
int labels_height(int width);

/* Draws the label into strip [labels_height][width][3], black on white, in the middle; cut if it is
 * too long. */
void labels_draw(unsigned char *strip, int width, const char *label);

#endif
