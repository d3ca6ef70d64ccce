/* The child's side of a search (search.h): tries one candidate after another on a device, beside
 * the best so far. Lines it understands, and its one line of answer to each:
 *
 *     shape gemm 512x4608x1152         ready | failed WHY
 *     try gpu 64 128 16 ...            time ... | wrong WHY | failed WHY | again
 *     hold                             held
 *
 * hold: the last candidate takes its place. again: only a fresh child can try this one. */
#ifndef DITCL_TRIALS_CONTEST_H
#define DITCL_TRIALS_CONTEST_H

#include <stdio.h>

#include "device/device.h"
#include "device/record.h"

/* Of one call: what a line that begins with "time" says. */
typedef struct {
    double seconds, held; /* the candidate's; of the one which is held, measured in turns, or 0 */
    bool by_device;       /* by the device's own clock, not the wall's */
    double executed[N_UNITS]; /* operations that are really done, by unit */
} contest_time;

/* false: it is no such line. */
bool contest_parse(contest_time *time, const char *line);

/* Answers until the end of `in`. */
status contest_serve(device *d, FILE *in, FILE *out);

#endif
