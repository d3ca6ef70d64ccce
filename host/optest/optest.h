/* An operator test holds one operator to a double-precision reference written from the formula: the
 * same shapes serve every verb over operator tests.
 *
 * Results are poisoned with NaN before a launch, every buffer ends in canaries, inputs must be
 * untouched, and a second launch must give the same bits. */
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
    OPTEST_SCRATCH, /* anything may be in it afterwards */
} optest_role;

typedef struct {
    optest_role role;
    const char *what;
    size_t count;  /* elements of 4 bytes */
    float *values; /* what is in the buffer before a launch, canaries behind */
    int *ints;     /* the same memory, for arrays of int */
    buf b;
} optest_array;

typedef struct {
    device *d;
    bool small; /* on an emulator that watches bounds itself: no canaries that would hide them */
    uint64_t random;
    optest_array arrays[OPTEST_ARRAYS]; /* in the order of their creation */
    int n_arrays;
    void *state;        /* what an operator test keeps beside arrays; see release */
    double input_error; /* set by prepare where the device takes narrower inputs; compare_narrow */
} optest_run;

typedef struct {
    char label[OPTEST_LABEL]; /* "N=2 T=77 H=3 d=72" */
    double flops, bytes;      /* what the formula needs, each value read or written once */
    tolerance tol;
} optest_case;

typedef struct {
    const char *name; /* the operator's stem */
    int n_cases;
    void (*describe)(optest_case *c, int i);
    /* Creates the arrays of case i. */
    status (*prepare)(optest_run *r, int i);
    /* Queues the operator on them. */
    status (*launch)(optest_run *r, int i);
    /* The values of results[which], a TRIAL_RESULT or TRIAL_FLAG; scale comes zeroed, see
     * compare(). */
    void (*expect)(const optest_run *r, int i, int which, double *expected, double *scale);
    /* Frees the state and what it holds; null where there is none. */
    void (*release)(optest_run *r);
} optest;

extern const optest *const optests[]; /* ends with null */

/* ---- what prepare() is made of ---- */

/* Normally distributed inputs. */
status optest_normal(optest_run *r, const char *what, size_t count, double mean, double deviation);
/* Inputs 0..limit-1. */
status optest_ints(optest_run *r, const char *what, size_t count, int limit);
status optest_create(optest_run *r, optest_role role, const char *what, size_t count);
double optest_uniform(optest_run *r); /* [0, 1) */

/* Two arrays: normally distributed rows of `stride` values, and the numbers of the rows that
 * `items` items have. Neighbours' differ, and the last row is somebody's. */
status optest_table(optest_run *r, const char *what, int stride, size_t items);
/* The table that is arrays[table] and arrays[table + 1], as operators take it. */
modulation optest_modulation(const optest_run *r, int table, int stride);
/* An item's row of it. */
const float *optest_row(const optest_run *r, int table, int stride, int item);

/* ---- the verb check ---- */

typedef struct {
    int cases, failed;
    double worst; /* largest err / tol among the cases with a tolerance */
    char worst_case[OPTEST_LABEL], first_failure[256]; /* "" if there is none */
} optest_tally;

/* Every case of one operator test; small: only those an emulator does in seconds. out, unless null,
 * gets a line for each failure, with verbose for each case. The status is about the device alone.
 */
status optest_check(device *d, const optest *t, unsigned seed, bool small, bool verbose, FILE *out,
                    optest_tally *tally);

/* ERR_USAGE for an unknown name. */
status optest_find(const optest **t, const char *name);

/* Runs the operator tests of these names, or all of them if n is 0; *all counts their cases.
 * ERR_USAGE for an unknown name. */
status optest_check_all(device *d, const char *const *names, int n, unsigned seed, bool small,
                        FILE *out, optest_tally *all);

#endif
