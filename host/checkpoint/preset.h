/* The recommended settings of a model: the file ditcl.conf in its folder. They are the defaults of
 * sampling, which the command line overrides.
 *
 *     # a comment, also behind a setting
 *     sampler            dpm++
 *     steps              20
 *     cfg                3
 *     guidance-interval  100,900
 *
 * The words are the options of `ditcl sample`. Each may be missing. */
#ifndef DITCL_CHECKPOINT_PRESET_H
#define DITCL_CHECKPOINT_PRESET_H

#include <stdbool.h>

#include "base/status.h"

#define PRESET_FILE "ditcl.conf"

enum { PRESET_WORD = 64 };

typedef struct {
    bool there;                 /* the folder has the file */
    int sampler;                /* a sampler_kind, or -1 */
    double guidance;            /* negative: not set */
    char steps[PRESET_WORD];    /* "": not set */
    char interval[PRESET_WORD]; /* "": not set */
} preset;

/* Reads the file of a folder, if it has one. ERR_FORMAT with the line for anything else than the
 * settings above. */
status preset_read(preset *p, const char *folder);

/* Parses "LO,HI". */
bool preset_interval(double *low, double *high, const char *typed);

#endif
