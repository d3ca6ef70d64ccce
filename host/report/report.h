/* The report of a device: its properties, the result of every operator test, its speed. A child
 * process examines the device and sends each result at once, so a driver that crashes or hangs ends
 * only the child.
 *
 * The report is JSON. It has no host name, user name, path (base/privacy.h) or terminal control
 * character. */
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
    bool small;           /* for emulators: small shapes and no measurements */
    bool whole;           /* false: only the operator tests */
    double model_seconds; /* a model that would take longer is skipped */
} report_request;

/* ---- the child, which sends to the parent ---- */

/* Sends what is known before the device is opened. */
status report_send_info(FILE *to, const device_info *info);
/* Sends all the rest. The device must be open without probes and stored configurations. Failures of
 * operator tests and measurements are part of the report. */
status report_send_device(FILE *to, device *d, const report_request *q);
/* Sends the stored failure, which ends the examination. */
void report_send_failure(FILE *to);

/* ---- the parent ---- */

typedef struct {
    json_build b;
    json_t *root, *devices;
} report;

/* The result of one device. */
typedef struct {
    int cases, failed;
    bool ended;           /* the child ended before its last message */
    char why[FAIL_BYTES]; /* the reason; "": none */
} report_outcome;

/* Starts a report with date, version, system, and the platforms without a device. After a failure,
 * too, call report_free. */
status report_begin(report *r, const device_list *list);
/* Starts the child with these arguments, which end with a null; hands its lines to `tell`; adds
 * the device to the report. Kills a child that sends nothing for `silence` seconds. */
status report_add(report *r, const device_info *info, const char *const *args, double silence,
                  void (*tell)(const char *line), report_outcome *o);
/* Adds the hash of all other content. */
status report_seal(report *r);
void report_free(report *r);

/* Appends the text of the sealed report. */
status report_text(report *r, text *out);

/* Reads a report. ERR_FORMAT if the file is no report, or its hash does not match. */
status report_verify(const char *path);

#endif
