/* What a search (search.h) tries next for a shape: what is known to be good, what was good for
 * other shapes, neighbours of the best, chance. */
#ifndef DITCL_TUNE_PROPOSE_H
#define DITCL_TUNE_PROPOSE_H

#include "tune/search.h"

typedef struct {
    int kind; /* of the row's */
    int values[TUNING_VALUES];
} candidate;

/* By chance, 0 to n - 1. */
int draw_below(search *s, int n);

/* *c = what is best for another shape of the row's class, and was not tried here, while few were; c
 * null: only says whether there is one. */
bool propose_like(const search *s, const search_row *r, candidate *c);

/* *c = one that fits the row's shape and was not tried there; false: there is none left. */
bool propose(search *s, search_row *r, candidate *c);

#endif
