/* What a search (search.h) tries next for a shape: what is known to be good, what was good for
 * other shapes, neighbours of the best, chance. */
#ifndef DITCL_TRIALS_PROPOSE_H
#define DITCL_TRIALS_PROPOSE_H

#include "trials/search.h"

typedef struct {
    int kind; /* of the row's */
    int values[TUNING_VALUES];
} candidate;

/* *c = one that fits the row's shape and was not tried there; false: there is none left. */
bool propose(search *s, search_row *r, candidate *c);

#endif
