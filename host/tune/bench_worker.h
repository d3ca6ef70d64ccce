/* The benchmark worker: the child process of a search (search.h). It builds, checks and times one
 * candidate after another on a device, in turns with a baseline, the best candidate so far. It
 * reads one request a line and writes one line in reply:
 *
 *     shape gemm 512x4608x1152         ready | failed WHY
 *     build gpu 64 128 16 ...          right BITS | wrong WHY | failed WHY | retry
 *     time SECONDS                     time ... | failed WHY
 *     verify                           right | wrong WHY | failed WHY
 *     keep                             kept
 *     baseline gpu 64 128 16 ...       kept | failed WHY | retry
 *
 * build: makes a candidate and checks samples of one result; BITS is a hash of that result.
 * time: times the candidate and the baseline in turns, for about SECONDS at most.
 * verify: checks the whole result of a GEMM.
 * keep: the candidate becomes the baseline. baseline: this configuration does.
 * retry: only a new child can do this, since a library has settings that last for a process.
 * In place of failed: "cannot WHY" if memory ran out; "lost WHY" if the driver gave up the device,
 * after which the child ends. */
#ifndef DITCL_TUNE_BENCH_WORKER_H
#define DITCL_TUNE_BENCH_WORKER_H

#include <stdio.h>

#include "device/device.h"
#include "device/record.h"

/* A candidate is better if its time is below this factor times the best one. A smaller gain may be
 * noise. */
#define CANDIDATE_BETTER 0.97

/* The reply to "time": seconds are of one call. */
typedef struct {
    double seconds;           /* of the candidate */
    double baseline;          /* seconds of the baseline, measured in turns; 0: there is none */
    bool by_device;           /* by the clock of the device; false: by the wall clock */
    double executed[N_ROOFS]; /* operations really executed, by roof */
} candidate_time;

/* Returns false if the line is not a valid reply to "time". */
bool candidate_time_parse(candidate_time *time, const char *line);

/* Replies until the end of `in`. */
status bench_worker_serve(device *d, FILE *in, FILE *out);

#endif
