/* The next candidate of a search (search.h) for a shape: shipped configurations, the best ones of
 * other shapes, neighbours of the best, random ones. */
#ifndef DITCL_TUNE_PROPOSE_H
#define DITCL_TUNE_PROPOSE_H

#include "tune/search.h"

typedef struct {
    int kind; /* index of the implementation in the row */
    int values[CONFIG_VALUES];
} proposal;

/* A random number, 0 to n - 1. */
int draw_below(search *s, int n);

/* *c = the best candidate of another shape of the row's bucket, if it was not tried here and few
 * candidates were; c null: only returns whether there is one. */
bool propose_like(const search *s, const search_row *r, proposal *c);

/* *c = a candidate that fits the row's shape and was not tried there. false: none is left. */
bool propose(search *s, search_row *r, proposal *c);

#endif
