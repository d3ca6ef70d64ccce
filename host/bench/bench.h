/* Benchmarks of a model on a device: whole passes, as a run executes them, and every operator of a
 * pass, queued again with its buffers and weights. Prints nothing. */
#ifndef DITCL_BENCH_BENCH_H
#define DITCL_BENCH_BENCH_H

#include "bench/peak.h"
#include "checkpoint/model.h"
#include "device/record.h"
#include "sample/pipeline.h"
#include "tune/measure.h"

/* Whole passes. The batch of a forward pass is 2: one picture with guidance. */
typedef enum {
    PART_FORWARD,    /* the transformer, once */
    PART_MODULATION, /* conditioning of a 50-step run: every step, label and null class */
    PART_STEP,       /* forward, guidance, update, and the check that ends a step */
    PART_VAE_DECODE, /* one picture */
    N_PARTS
} bench_part;

extern const char *const bench_part_names[]; /* ends with a null */

typedef struct {
    char name[RECORD_NAME + 4], shape[RECORD_SHAPE];
    bench_part part;
    bool whole;                             /* the part itself, not an operator in it */
    int calls;                              /* of the operator in its part */
    timing t;                               /* of one call */
    double flops, executed[N_ROOFS], bytes; /* of one call */
    double copy_gbs; /* operators without arithmetic: the rate of a copy of so many bytes */
} bench_row;

typedef struct {
    peaks peak;
    bench_row *rows;
    int n;
    size_t capacity;
} bench;

typedef struct {
    model *m;
    const char *const *only; /* names of parts and operators, then a null; null: all */
    int repeat;              /* 0: as many repetitions as the time allows */
    void (*progress)(void *context, const char *what); /* may be null */
    void *progress_context;
} bench_request;

/* Loads the transformer to draw one picture in 50 steps with guidance. */
status bench_open_run(run *r, device *d, model *m);
/* One forward pass, of the run that is the context. */
status bench_forward(void *context);

/* ERR_USAGE if a name is neither of a part nor of an operator. Call it before any work. */
status bench_known(const char *name);

/* Measures what s->only names, one row each. Free the rows with bench_free. */
status bench_run(bench *b, device *d, const bench_request *request);
void bench_free(bench *b);

/* 10^9 per second: operations of the formula, executed operations, bytes. */
double bench_gflops(const bench_row *r);
double bench_executed_gflops(const bench_row *r);
double bench_gbs(const bench_row *r);

/* The time at the measured peaks over the time taken. Counts the executed operations of each roof
 * or, for a row without arithmetic, a copy of as many bytes. */
double bench_fraction(const bench *b, const bench_row *r);

#endif
