/* First-use checks (ops/first_use.h). A program that never ran on a device, with its driver and
 * these kernels, runs in a child process first (checker_child.h), because drivers crash, hang and
 * compute wrong results. The verdicts are stored (check/verdicts.h). */
#ifndef DITCL_CHECK_CHECKER_H
#define DITCL_CHECK_CHECKER_H

#include "device/device.h"

/* FEATURES: only probes features. REMEMBERED: also uses the stored verdicts. ALL: also checks
 * kernels that have no verdict. */
typedef enum { CHECK_FEATURES, CHECK_REMEMBERED, CHECK_ALL } checker_level;

/* d: opened with settings.unprobed. Probes the features of d. From then on, a kernel is checked
 * before its first use on d, until device_close. say (may be null) receives lines about
 * progress. */
status checker_open(device *d, checker_level level, void (*say)(const char *line));

/* The child must reply within this many seconds. DITCL_CHECK_SECONDS overrides this. */
enum { CHECKER_SECONDS = 120 };

#endif
