/* The child's side of a search (search.h): tries one candidate after another on a device, beside
 * the best so far. Lines it understands, and its one line of answer to each:
 *
 *     shape gemm 512x4608x1152         ready | failed WHY
 *     build gpu 64 128 16 ...          right BITS | wrong WHY | failed WHY | again
 *     time SECONDS                     time ... | failed WHY
 *     prove                            right | wrong WHY | failed WHY
 *     hold                             held
 *     hold gpu 64 128 16 ...           held | failed WHY | again
 *
 * build makes a candidate and checks one result, of which BITS are a hash; time measures it and the
 * one that is held, in turns, for about SECONDS at most; prove checks a product as a whole. hold:
 * the candidate, or another known to be right, takes the held one's place. again: only a fresh
 * child can do this. Instead of failed: cannot WHY, where memory ran out; lost WHY, where the
 * driver gave up the device, and the child ends. */
#ifndef DITCL_TUNE_CONTEST_H
#define DITCL_TUNE_CONTEST_H

#include <stdio.h>

#include "device/device.h"
#include "device/record.h"

/* A candidate must take less than this part of the best's time to be better: less may be noise. */
#define CONTEST_BETTER 0.97

/* Of one call: what a line that begins with "time" says. */
typedef struct {
    double seconds, held; /* the candidate's; of the one which is held, measured in turns, or 0 */
    bool by_device;       /* by the device's own clock, not the wall's */
    double executed[N_ROOFS]; /* operations that are really done, by unit */
} contest_time;

/* false: it is no such line. */
bool contest_parse(contest_time *time, const char *line);

/* Answers until the end of `in`. */
status contest_serve(device *d, FILE *in, FILE *out);

#endif
