/* Some cases of an operator test, as an operator test of its own. Tests of many configurations run
 * only a few cases for each. */
#ifndef DITCL_TESTS_PART_H
#define DITCL_TESTS_PART_H

#include "ops/configuration.h"
#include "optest/optest.h"

enum { PART_CASES = 64 };

/* The operator test of this operator. Without one, the test that calls fails. */
const optest *part_whole(const char *op);

/* An operator test of these cases of `whole`. It is valid until the next call. */
optest part_of(const optest *whole, const int *cases, int n);

/* shape = the shape by which case i is tuned; total = its FLOP plus its bytes of memory traffic. */
void part_shape(int shape[SHAPE_SIZES], double *total, const optest *whole, int i);

/* Whether configuration number n of a test is tested. Number 0 always is; of the others, one in
 * DITCL_TEST_CONFIGS [1], or one in 24 on an emulator. The seed chooses which. */
bool part_takes(int n);

/* Whether row number n of the table of emulated matrix units is tested: one in DITCL_TEST_CONFIGS
 * [1], or one in 12 on an emulator. The seed chooses which. Compilers take long for such kernels.
 */
bool part_takes_unit(int n);

#endif
