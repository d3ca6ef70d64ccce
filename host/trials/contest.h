/* The child's side of a search (search.h): tries one candidate after another on a device, beside
 * the best so far. Lines it understands, and its one line of answer to each:
 *
 *     shape gemm 512x4608x1152         ready | failed WHY
 *     try gpu 64 128 16 ...            time SECONDS SECONDS | wrong WHY | failed WHY | again
 *     hold                             held
 *
 * The times are the candidate's and, measured in turns, that of the one which is held, or 0.
 * hold: the last candidate takes its place. again: only a fresh child can try this one. */
#ifndef DITCL_TRIALS_CONTEST_H
#define DITCL_TRIALS_CONTEST_H

#include <stdio.h>

#include "device/device.h"

/* Answers until the end of `in`. */
status contest_serve(device *d, FILE *in, FILE *out);

#endif
