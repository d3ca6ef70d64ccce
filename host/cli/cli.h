/* The commands: each speaks to people and computes nothing. */
#ifndef DITCL_CLI_CLI_H
#define DITCL_CLI_CLI_H

#include "base/status.h"
#include "cli/options.h"
#include "device/device.h"

/* A command: its words behind its name. */
status cli_devices(int argc, char **argv);
status cli_sample(int argc, char **argv);
status cli_decode(int argc, char **argv);
status cli_info(int argc, char **argv);
status cli_check(int argc, char **argv);

/* Options that several commands have, as table rows. */
#define OPTION_DEVICE(where)                                                                       \
    {"device", 0, OPTION_TEXT, where, "SEL",                                                       \
     "an index of `ditcl devices`, P:D, gpu, cpu, accelerator, or part of a platform's or "        \
     "device's name [DITCL_DEVICE, else the best]", 0, 0, NULL}
#define OPTION_QUIET(where)                                                                        \
    {"quiet", 'q', OPTION_FLAG, where, NULL, "print errors only", 0, 0, NULL}
#define OPTION_VERBOSE(where)                                                                      \
    {"verbose", 'v', OPTION_FLAG, where, NULL, "say what is done and how long it takes", 0, 0, NULL}
#define OPTION_JSON(where)                                                                         \
    {"json", 0, OPTION_FLAG, where, NULL, "print JSON, for programs", 0, 0, NULL}

/* Opens the device that selector, else DITCL_DEVICE, names; an automatic choice is named on stderr
 * unless quiet. */
status cli_open_device(device *d, const char *selector, bool quiet);

/* Prints "ditcl: warning: ..." on stderr. */
void cli_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
