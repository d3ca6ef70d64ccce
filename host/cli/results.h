/* Output of ditcl bench: a table, JSON, a page. */
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

/* The share of an operator in the time of its part; negative: the part was not measured. */
double results_share(const results *r, const bench_row *row);

/* "160.3 GFLOP/s", with the executed rate in brackets if it differs; or "20.5 GB/s". */
void results_rate(char *out, size_t size, const bench_row *row);

/* Prints to stdout. profile: also the shares of the operators in each part. */
void results_table(const results *r, bool profile);
status results_json(const results *r);

/* Writes a self-contained page: a roofline plot and the table. */
status results_html(const results *r, FILE *out);

#endif
