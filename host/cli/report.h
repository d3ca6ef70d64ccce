/* How ditcl bench tells what it measured: a table, JSON, a page. */
#ifndef DITCL_CLI_REPORT_H
#define DITCL_CLI_REPORT_H

#include <stdbool.h>

#include "base/file.h"
#include "base/status.h"
#include "base/text.h"
#include "bench/bench.h"

typedef struct {
    const bench *b;
    const device *d;
    const char *model;
} report;

/* Share of its part's time that an operator takes; negative where the part was not measured. */
double report_share(const report *r, const bench_row *row);

/* "160.3 GFLOP/s", with the executed rate in brackets where it differs; or "20.5 GB/s". */
void report_rate(char *out, size_t size, const bench_row *row);

/* On stdout. profile: also how the kinds of operators share each part's time. */
void report_table(const report *r, bool profile);
status report_json(const report *r);

/* One page that needs no other file: a roofline plot and the table. */
status report_html(const report *r, FILE *out);

#endif
