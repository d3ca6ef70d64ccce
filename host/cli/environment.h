/* The table of ditcl's environment variables. environment.c checks their values before a device is
 * opened; other files read them. docs/environment.md lists them. */
#ifndef DITCL_CLI_ENVIRONMENT_H
#define DITCL_CLI_ENVIRONMENT_H

#include "base/status.h"
#include "device/device.h"

/* ERR_USAGE for the first variable with an unknown value; the message has its name, the value, and
 * the accepted values. An empty variable counts as unset. */
status environment_check(void);

/* Calls visit for each variable that users may set, with what it does. */
void environment_visit(void (*visit)(const char *name, const char *what));

/* Calls d->settings.warn for each named implementation that cannot serve on d. */
void environment_warn(const device *d);

#endif
