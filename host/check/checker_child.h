/* The child's side of first-use checks (checker.h): what may crash or hang happens here. Lines it
 * understands, and its one line of answer:
 *
 *     feature NAME SIZE REQUIRED           no answer; the numbers: of sub-groups
 *     probe NAME                           yes SIZE REQUIRED | no WHY | cannot WHY | lost WHY
 *     check OP SIZES USE [IMPL 64 16 ...]  right | wrong WHY | failed WHY | cannot WHY | lost WHY
 *     avoid OP IMPL [MT=64 NT=16 ...]      no answer; the network must do without this
 *                                          configuration, or without the implementation
 *     network                              right ERROR | wrong WHY | failed WHY | cannot WHY |
 *                                          absent WHY | lost WHY
 *
 * lost: the driver gave up the device, and the child ends. cannot: memory ran out, which says
 * nothing of the device. absent: the network's files are not there. An operator that only some
 * models use (cross, blend, downsample, condition) is checked by its operator test. */
#ifndef DITCL_CHECK_CHECKER_CHILD_H
#define DITCL_CHECK_CHECKER_CHILD_H

#include <stdio.h>

#include "device/device.h"

/* d: opened with settings.unprobed. Answers until the end of `in`. */
status checker_serve(device *d, FILE *in, FILE *out);

#endif
