/* Some cases of an operator test, as an operator test of its own: for what is repeated with many
 * sets of values. */
#ifndef DITCL_TESTS_PART_H
#define DITCL_TESTS_PART_H

#include "ops/configuration.h"
#include "optest/optest.h"

enum { PART_CASES = 64 };

/* The operator test of this operator; the test fails where there is none. */
const optest *part_whole(const char *op);

/* `whole`, of which these cases are run. One at a time: it ends with the next call. */
optest part_of(const optest *whole, const int *cases, int n);

/* What case i is tuned by, and the operations and bytes that it takes. */
void part_shape(int shape[SHAPE_SIZES], double *total, const optest *whole, int i);

/* Whether set of values number n, of many, is shown to this implementation: the first always, of
 * the others one in DITCL_TEST_SETS (all without it; one in 24 where it is an emulator), others
 * with each seed. */
bool part_takes(int n);

/* Whether kind number n of matrix units, emulated by kernels that compilers take long for, is shown
 * to this implementation: one in DITCL_TEST_SETS (in 12 where it is an emulator), others with each
 * seed. */
bool part_takes_unit(int n);

#endif
