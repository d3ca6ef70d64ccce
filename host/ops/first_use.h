/* First-use checks: nothing serves a run before it was right once on this device. Operators ask
 * here; who answers is set on the device (check/checker.h), and nobody does in tests of operators.
 *
 * What is checked is an implementation with one configuration at one shape, as it will be used:
 * what is fused into it makes another program. */
#ifndef DITCL_OPS_FIRST_USE_H
#define DITCL_OPS_FIRST_USE_H

#include "device/device.h"
#include "ops/configuration.h"

typedef struct first_use {
    const char *op;
    const op_impl *t;  /* null, with values: an operator with one implementation */
    const int *values; /* of t's tunables */
    const int *shape;  /* SHAPE_SIZES numbers, as ops/impl.h counts them */
    unsigned use;      /* FUSED_GELU, ... */
} first_use;

/* As first_use_checks of device.h say; where nobody checks, and in a dry run, all is taken as
 * right.
 */
status first_use_check(device *d, const first_use *what, bool *right);
status first_use_strike(device *d, const first_use *what, const char *why, bool died);
bool first_use_struck(const device *d, const op_impl *t, const int *values, const int *shape);

/* Call this when everything is loaded, before the run. */
status first_use_finish(device *d);

/* An operator with one implementation: ERR_DEVICE where it is wrong here. */
status first_use_plain(device *d, const char *op, const int shape[SHAPE_SIZES]);

/* Fails: nothing is left that serves the shape. */
status first_use_none(const device *d, const char *op, const int shape[SHAPE_SIZES]);

#endif
