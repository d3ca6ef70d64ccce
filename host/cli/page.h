/* The common head and style of the self-contained pages of bench and check. */
#ifndef DITCL_CLI_PAGE_H
#define DITCL_CLI_PAGE_H

#include <stdio.h>

/* Writes the page up to the first heading: the head, the style and more_style, <body><main>. */
void page_begin(FILE *out, const char *title, const char *more_style);

/* Writes text from outside; escapes markup and control characters. */
void page_text(FILE *out, const char *words);

#endif
