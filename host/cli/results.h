/* How ditcl bench tells what it measured: a table, JSON, a page. */
#ifndef DITCL_CLI_RESULTS_H
#define DITCL_CLI_RESULTS_H

#include <stdbool.h>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "bench/bench.h"

typedef struct {
    const bench *b;
    const device *d;
    const char *model;
} results;

/* Share of its part's time that an operator takes; negative where the part was not measured. */
double results_share(const results *r, const bench_row *row);

/* "160.3 GFLOP/s", with the executed rate in brackets where it differs; or "20.5 GB/s". */
void results_rate(char *out, size_t size, const bench_row *row);

/* On stdout. profile: also how the kinds of operators share each part's time. */
void results_table(const results *r, bool profile);
status results_json(const results *r);

/* One page that needs no other file: a roofline plot and the table. */
status results_html(const results *r, FILE *out);

#endif
