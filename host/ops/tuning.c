/* Which values of its tunables an operator uses. See tuning.h. */
#include "ops/tuning.h"

#include <stdio.h>

#include "device/pretend.h"

const tuning *const tunings[] = {NULL};

const int *tuning_values_for(const device *d, const tuning *t, const int *shape)
{
    const pretended *p = d->pretended;
    if (p && p->tuning == t && t->fits(d, p->values, shape)) return p->values;
    for (int i = 0; i < t->n_known; i++)
        if (t->fits(d, t->known[i], shape)) return t->known[i];
    return NULL;
}

void tuning_options(char out[TUNING_OPTIONS], const tuning *t, const int *values)
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < t->n && used < TUNING_OPTIONS; i++)
        used += (size_t)snprintf(out + used, TUNING_OPTIONS - used, " -D%s=%d",
                                 t->tunables[i].name, values[i]);
}
