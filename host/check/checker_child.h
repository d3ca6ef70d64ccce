/* The child's side of first-use checks (checker.h): what may crash or hang runs here. The child
 * reads lines, and replies to some with one line:
 *
 *     feature NAME SIZE REQUIRED           no reply; the numbers are those of sub-groups
 *     probe NAME                           yes SIZE REQUIRED / no WHY / cannot WHY / lost WHY
 *     check OP SIZES USE [IMPL 64 16 ...] right / wrong WHY / failed WHY / cannot WHY / lost WHY
 *     avoid OP IMPL [MT=64 NT=16 ...]      no reply; the network must not use this configuration,
 *                                          or this implementation at all
 *     network                              right ERROR / wrong WHY / failed WHY / cannot WHY /
 *                                          absent WHY / lost WHY
 *
 * lost: the driver gave up the device, and the child ends. cannot: memory ran out, which tells
 * nothing about the device. absent: the network's files are missing. The operator test of an
 * operator that only some models use (cross, blend, downsample, condition) is its check. */
#ifndef DITCL_CHECK_CHECKER_CHILD_H
#define DITCL_CHECK_CHECKER_CHILD_H

#include <stdio.h>

#include "device/device.h"

/* d: opened with settings.unprobed. Replies to lines until the end of `in`. */
status checker_serve(device *d, FILE *in, FILE *out);

#endif
