/* The environment variables that ditcl reads, as data: what each may be. Read elsewhere, checked
 * here, before a device is opened. docs/design.md explains them. */
#ifndef DITCL_CLI_ENVIRONMENT_H
#define DITCL_CLI_ENVIRONMENT_H

#include "base/status.h"
#include "device/device.h"

/* ERR_USAGE for the first variable that has a value ditcl does not know: its name, the value, what
 * is accepted. An empty one counts as unset. */
status environment_check(void);

/* A line to d->settings.warn for each implementation that is named and cannot serve on d. */
void environment_warn(const device *d);

#endif
