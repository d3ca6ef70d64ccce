/* First-use checks: no kernel serves a run before its result was right once on this device.
 * Operators ask here. check/checker.h sets who answers on a device; in tests of operators nobody
 * answers.
 *
 * What is checked is an implementation with one configuration at one shape and with its fused
 * operations, since these make another program. */
#ifndef DITCL_OPS_FIRST_USE_H
#define DITCL_OPS_FIRST_USE_H

#include "device/device.h"
#include "ops/configuration.h"

typedef struct first_use {
    const char *op;
    const op_impl *impl; /* null, like config, for an operator with one implementation */
    const int *config;   /* values of its tunables */
    const int *shape;    /* SHAPE_SIZES numbers, as ops/impl.h counts them */
    unsigned use;        /* FUSED_GELU, ..., READS_FACTORS, WRITES_FACTORS */
} first_use;

/* The checks of a device. They remember the results. */
typedef struct first_use_checks {
    /* *right = whether the implementation computes right on this device. The status tells whether
     * the check itself worked. */
    status (*check)(struct first_use_checks *c, device *d, const first_use *what, bool *right);
    /* The caller saw the implementation fail outside a check, so it is struck out from now on.
     * died: it ended or hung a process. */
    status (*strike)(struct first_use_checks *c, device *d, const first_use *what, const char *why,
                     bool died);
    /* True if the implementation is struck out, with any fused epilogue. Reads memory only. */
    bool (*struck)(struct first_use_checks *c, const device *d, const first_use *what);
    /* Called when everything is loaded. ERR_DEVICE if the kernels that all runs share are wrong.
     * May be null. */
    status (*finish)(struct first_use_checks *c, device *d);
    void (*close)(struct first_use_checks *c); /* frees it; null: nothing to free */
    char why[320];                             /* why the last check was not right */
} first_use_checks;

/* From here on c checks on the device, and device_close closes it; null: nobody checks. */
status first_use_set(device *d, first_use_checks *c);
first_use_checks *first_use_checker(const device *d);

/* Without checks, and in a dry run, everything is taken as right. */
status first_use_check(device *d, const first_use *what, bool *right);
status first_use_strike(device *d, const first_use *what, const char *why, bool died);
bool first_use_struck(const device *d, const op_impl *impl, const int *config, const int *shape);

/* Call this when everything is loaded, before the run. */
status first_use_finish(device *d);

/* For an operator with one implementation. use: see first_use. ERR_DEVICE if it is wrong on this
 * device. */
status first_use_plain(device *d, const char *op, const int shape[SHAPE_SIZES], unsigned use);

/* Fails: nothing is left that serves the shape. */
status first_use_none(const device *d, const char *op, const int shape[SHAPE_SIZES]);

#endif
