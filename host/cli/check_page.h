/* The page of ditcl check --report FILE.html. */
#ifndef DITCL_CLI_CHECK_PAGE_H
#define DITCL_CLI_CHECK_PAGE_H

#include <stdio.h>

#include "report/report.h"

/* Writes the sealed report as a self-contained page. */
void check_page(const report *r, FILE *out);

#endif
