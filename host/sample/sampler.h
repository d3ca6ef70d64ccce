/* Shared by the files of samplers. schedule.c finds the sampler and checks its rows. A new sampler
 * is a file with a function that fills the rows, and a row in checkpoint/samplers.h. */
#ifndef DITCL_SAMPLE_SAMPLER_H
#define DITCL_SAMPLE_SAMPLER_H

#include "sample/schedule.h"

typedef struct {
    schedule_config config; /* as read for this sampler */
    schedule_options options;
    const char *steps; /* as typed, for messages */
    int n_steps;       /* the number in it; 0 for sections */
    bool strided;      /* "ddimN" */
    bool sections;     /* "a,b,c" */
} sampling;

/* Allocates and fills s->rows. The functions are those that the table of samplers names. */
typedef status sampler_fill(schedule *s, const sampling *q);
#define SAMPLER_FILLS(constant, name, original, diffusers, sit, ...)                               \
    sampler_fill original, diffusers, sit;
SAMPLERS(SAMPLER_FILLS)
#undef SAMPLER_FILLS

/* ---- betas.c: tables that samplers start from ---- */

/* Beta number i of the configuration's schedule, 0 to n_train - 1. */
double beta_double(const schedule_config *c, int i);

/* out [n_train] = cumulative alpha products, alpha = 1 - beta, as in diffusers' schedulers. */
status alpha_products_float(float **out, const schedule_config *c);

/* numpy's linspace. */
double linspace_double(double first, double last, int n, int i);

/* torch's linspace in float32, which computes from both ends to the middle. */
float linspace_float(float first, float last, int n, int i);

/* numpy's arange(n_train, 0, -n_train / n_steps), rounded, minus 1. Its length is a rounded
 * quotient, so there may be one more timestep, -1. */
int trailing_count(int n_train, int n_steps);
int trailing_timestep(int n_train, int n_steps, int i);

/* ---- sigmas.c: noise levels, spread / signal ---- */

typedef struct {
    /* n timesteps and n + 1 levels; the last level is the end of sampling */
    float *timesteps, *levels;
    int n;
} sigmas;

/* diffusers' table of levels. *out has n_train of them. */
status sigmas_table(float **out, const schedule_config *c);
/* The level at a fractional timestep, as numpy's interp computes it. */
double sigma_at(const float *table, int n_train, double timestep);
/* Allocates n timesteps, and levels, and sets the last level as the configuration says. */
status sigmas_alloc(sigmas *s, int n, const schedule_config *c, const float *table);
void sigmas_free(sigmas *s);

/* Sets x0 from the prediction, for x = signal data + spread noise. */
void predict_x0(step_coefficients *step, prediction predicts, float signal, float spread);

#endif
