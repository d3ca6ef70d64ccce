/* Noise levels, spread / signal, as diffusers' solvers of differential equations use them. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "sample/sampler.h"

status sigmas_table(float **out, const schedule_config *c)
{
    status st = alpha_products_float(out, c);
    for (int i = 0; st == OK && i < c->n_train; i++) (*out)[i] = sqrtf((1 - (*out)[i]) / (*out)[i]);
    return st;
}

double sigma_at(const float *table, int n_train, double timestep)
{
    if (!(timestep > 0)) return (double)table[0];
    if (timestep >= n_train - 1) return (double)table[n_train - 1];
    int below = (int)timestep;
    double slope = (double)table[below + 1] - (double)table[below];
    return slope * (timestep - below) + (double)table[below];
}

status sigmas_alloc(sigmas *s, int n, const schedule_config *c, const float *table)
{
    *s = (sigmas){.n = n};
    status st = memory_alloc(&s->timesteps, (size_t)n, sizeof *s->timesteps);
    if (st == OK) st = memory_alloc(&s->levels, (size_t)n + 1, sizeof *s->levels);
    if (st == OK && c->end == END_SIGMA_MIN) s->levels[n] = table[0];
    return st;
}

void sigmas_free(sigmas *s)
{
    free(s->timesteps);
    free(s->levels);
    *s = (sigmas){0};
}

void predict_x0(step_coefficients *step, prediction predicts, float signal, float spread)
{
    switch (predicts) {
    case PREDICT_SAMPLE: step->x0_o = 1; break;
    case PREDICT_V:
        step->x0_x = signal;
        step->x0_o = -spread;
        break;
    default: step->x0_x = 1 / signal; step->x0_o = -spread / signal;
    }
}
