/* An operator test compares one operator with a double-precision reference, written from the
 * formula.
 *
 * Results are poisoned with NaN before a launch. Every buffer ends in canaries. Inputs must not
 * change. A second launch must give the same bits. */
#ifndef DITCL_OPTEST_OPTEST_H
#define DITCL_OPTEST_OPTEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "device/buffer.h"
#include "device/device.h"
#include "ops/ops.h"
#include "optest/compare.h"

enum { OPTEST_ARRAYS = 10, OPTEST_LABEL = 80 };

typedef enum {
    OPTEST_INPUT,   /* must not change */
    OPTEST_RESULT,  /* float, compared with the reference */
    OPTEST_FLAG,    /* int, compared with the reference */
    OPTEST_SCRATCH, /* not checked */
} optest_role;

typedef struct {
    optest_role role;
    const char *what;
    size_t count;  /* elements of 4 bytes */
    float *values; /* the content before a launch, then canaries */
    int *ints;     /* the same memory, for arrays of int */
    /* If it is stored as factors: the width of a row, and the stored content; see optest_factors */
    size_t width;
    uint16_t *stored;
    buf b;
} optest_array;

typedef struct {
    device *d;
    /* on an emulator: small cases, and no canaries, since the emulator checks bounds itself */
    bool small;
    uint64_t random;
    optest_array arrays[OPTEST_ARRAYS]; /* in the order of their creation */
    int n_arrays;
    void *state;        /* other data of an operator test; see release */
    double input_error; /* of inputs with fewer bits than fp32: set by prepare for compare_narrow */
} optest_run;

typedef struct {
    char label[OPTEST_LABEL]; /* "N=2 T=77 H=3 d=72" */
    double flops, bytes;      /* by the formula; each value is read or written once */
    tolerance tol;
} optest_case;

typedef struct {
    const char *name; /* the operator's stem */
    int n_cases;
    void (*describe)(optest_case *c, int i);
    /* Creates the arrays of case i. */
    status (*prepare)(optest_run *r, int i);
    /* Queues the operator on these arrays. */
    status (*queue)(optest_run *r, int i);
    /* The expected values of arrays[which], an OPTEST_RESULT or OPTEST_FLAG. scale: zeros before
     * the call; see compare(). */
    void (*expect)(const optest_run *r, int i, int which, double *expected, double *scale);
    /* Frees the state; null if the test has no state. */
    void (*release)(optest_run *r);
} optest;

extern const optest *const optests[]; /* ends with null */

/* ---- for prepare() ---- */

/* Normally distributed inputs. */
status optest_normal(optest_run *r, const char *what, size_t count, double mean, double deviation);
/* Inputs 0..limit-1. */
status optest_ints(optest_run *r, const char *what, size_t count, int limit);
status optest_create(optest_run *r, optest_role role, const char *what, size_t count);
double optest_uniform(optest_run *r); /* [0, 1) */

/* From here on arrays[which], an input or a result, has rows of `width` numbers that are stored as
 * factors. Its values stay those before the rounding. */
status optest_factors(optest_run *r, int which, size_t width);

/* Creates two arrays: normally distributed rows of `stride` values, and the row number of each of
 * `items` samples. Neighbours have different rows, and the last row is used. */
status optest_table(optest_run *r, const char *what, int stride, size_t items);
/* The table in arrays[table] and arrays[table + 1], as an argument of operators. */
modulation optest_modulation(const optest_run *r, int table, int stride);
/* The row of a sample. */
const float *optest_row(const optest_run *r, int table, int stride, int item);

/* ---- the verb check ---- */

typedef struct {
    int cases, failed;
    double worst; /* largest err / tol among the cases with a tolerance */
    char worst_case[OPTEST_LABEL], first_failure[256]; /* "" if there is none */
} optest_tally;

/* Runs every case of one operator test; small: only those that take an emulator seconds. Prints a
 * line on out (may be null) for each failure or, if verbose, for each case. The status reports only
 * errors of the device. */
status optest_check(device *d, const optest *t, unsigned seed, bool small, bool verbose, FILE *out,
                    optest_tally *tally);

/* The outcome of one case. line: what optest_check prints. */
typedef struct {
    const char *name, *label, *line;
    bool ok;
    double err, tol;
} optest_outcome;

typedef struct {
    void (*tell)(void *context, const optest_outcome *o); /* for each case; may be null */
    void *context;
} optest_listener;

/* Prints the line on the stream `out`; has the type of optest_listener.tell. */
void optest_print(void *out, const optest_outcome *o);

/* ERR_USAGE for an unknown name. */
status optest_find(const optest **t, const char *name);

/* Runs the operator tests of these names, or all of them if n is 0; *all counts their cases. to:
 * may be null. ERR_USAGE for an unknown name. */
status optest_check_all(device *d, const char *const *names, int n, unsigned seed, bool small,
                        const optest_listener *to, optest_tally *all);

#endif
