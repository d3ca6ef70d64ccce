/* What a user can send about a device: what it is, whether every kernel is right on it, how fast it
 * is. A child process of this program examines the device and sends what it found as it goes, so
 * that a driver that crashes or hangs takes nothing with it but itself.
 *
 * The report is JSON. No host name, user name or path may be in it (base/privacy.h); nothing may be
 * in it that a terminal would obey. */
#ifndef DITCL_REPORT_REPORT_H
#define DITCL_REPORT_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/text.h"
#include "device/device.h"
#include "files/json_build.h"

typedef struct {
    const char *const *operators; /* names of operator tests; n_operators 0: all */
    int n_operators;
    unsigned seed;
    bool small;           /* for emulators: small shapes, and nothing is measured */
    bool whole;           /* false: the operator tests alone */
    double model_seconds; /* a model that would take longer is skipped */
} report_request;

/* ---- the child, which sends to the parent ---- */

/* What can be said before the device is opened. */
status report_send_info(FILE *to, const device_info *info);
/* All the rest, of a device that was opened without probes and stored configurations. Operator
 * tests and measurements that fail are sent. */
status report_send_device(FILE *to, device *d, const report_request *q);
/* The stored failure, which ends the examination. */
void report_send_failure(FILE *to);

/* ---- the parent ---- */

typedef struct {
    json_build b;
    json_t *root, *devices;
} report;

/* How one device did. */
typedef struct {
    int cases, failed;
    bool ended;           /* the child did not come to its end */
    char why[FAIL_BYTES]; /* what it ended with; "" */
} report_outcome;

/* Begins with date, version, system, and the platforms without a device. Frees nothing on failure:
 * call report_free. */
status report_begin(report *r, const device_list *list);
/* Starts the child with these arguments (ends with null), prints its lines to `lines`, and adds the
 * device. A child that says nothing for so many seconds is killed. */
status report_add(report *r, const device_info *info, const char *const *args, double silence,
                  FILE *lines, report_outcome *o);
/* Adds the hash over all the rest. */
status report_seal(report *r);
void report_free(report *r);

/* Appends the sealed report as a file holds it. */
status report_text(report *r, text *out);

/* Reads a report. ERR_FORMAT if it is none, or its hash is not that of the rest. */
status report_verify(const char *path);

#endif
