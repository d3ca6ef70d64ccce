/* Answers first-use checks (ops/first_use.h): what was never used on a device, with its driver and
 * these kernels, runs in a child first (checker_child.h), since drivers are known to crash, to hang
 * and to compute wrong. What was found is remembered (device/verdicts.h). */
#ifndef DITCL_CHECK_CHECKER_H
#define DITCL_CHECK_CHECKER_H

#include "device/device.h"

/* FEATURES: features are probed, and nothing else. REMEMBERED: and what was struck out before is
 * not used. ALL: and what was not used before is checked. */
typedef enum { CHECK_FEATURES, CHECK_REMEMBERED, CHECK_ALL } checker_level;

/* *out: for the settings' checks, with which the device is opened next, and which closes it. say:
 * called with a line about what is done; may be null. ERR_MEMORY only. */
status checker_open(first_use_checks **out, const device_info *info,
                    const device_settings *settings, checker_level level,
                    void (*say)(const char *line));

/* Everything is loaded: checks what all runs on this device have in common by a tiny network, if
 * that was not done yet, and ends the child. ERR_DEVICE where the network comes out wrong. Does
 * nothing where nobody checks. */
status checker_settle(device *d);

/* Seconds in which a child must answer. DITCL_CHECK_SECONDS sets another number. */
enum { CHECKER_SECONDS = 120 };

#endif
