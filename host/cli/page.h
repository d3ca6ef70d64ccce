/* What the pages of bench and check share: one file that needs no other, in one style. */
#ifndef DITCL_CLI_PAGE_H
#define DITCL_CLI_PAGE_H

#include <stdio.h>

/* Writes all up to the first heading: the head, the style with what this page adds to it,
 * <body><main>. */
void page_begin(FILE *out, const char *title, const char *more_style);

/* Text from outside: markup and control characters lose their meaning. */
void page_text(FILE *out, const char *words);

#endif
