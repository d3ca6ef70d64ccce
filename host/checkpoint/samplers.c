/* The table of samplers. See samplers.h. */
#include "checkpoint/samplers.h"

#include <stdbool.h>
#include <stdio.h>

#define NAME(constant, name, ...) name,
#define FACTS(constant, name, original, diffusers, sit, scheduler, traits, what)                   \
    {scheduler, traits},
const char *const sampler_names[] = {SAMPLERS(NAME) NULL};
const sampler_facts samplers[] = {SAMPLERS(FACTS)};

sampler_set samplers_with(sampler_trait trait)
{
    sampler_set set = 0;
    for (int i = 0; i < N_SAMPLERS; i++)
        if (samplers[i].traits & trait) set |= 1u << i;
    return set;
}

sampler_set samplers_of_diffusers(void)
{
    sampler_set set = 0;
    for (int i = 0; i < N_SAMPLERS; i++)
        if (samplers[i].scheduler) set |= 1u << i;
    return set;
}

char *samplers_list(char *out, size_t size, sampler_set set)
{
    size_t used = 0;
    set &= (1u << N_SAMPLERS) - 1;
    for (int i = 0; i < N_SAMPLERS && used < size; i++) {
        if (!(set >> i & 1)) continue;
        bool last = !(set >> i >> 1);
        const char *before = last ? " or " : ", ";
        used +=
            (size_t)snprintf(out + used, size - used, "%s%s", used ? before : "", sampler_names[i]);
    }
    return out;
}
