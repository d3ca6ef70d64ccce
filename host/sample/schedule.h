/* Timesteps and coefficients of each step, in the arithmetic of the program that the sampler comes
 * from (original: double tables, cast to float at use; diffusers: float32 tables). Every sampler is
 * a table of rows. The step kernel knows no sampler: cl/step.clh has the formula that it applies.
 *
 * Latents are always the network's input: signal * data + spread * noise. A sampler that is written
 * for data + sigma * noise has this scaling in its coefficients. */
#ifndef DITCL_SAMPLE_SCHEDULE_H
#define DITCL_SAMPLE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "checkpoint/config.h"
#include "cl/step.clh"

typedef struct {
    float timestep;       /* the network's input */
    float signal, spread; /* of x before this step */
    step_coefficients step;
    /* the network's estimate of the finished latents: estimate_x x + estimate_o o, then clamped as
     * x0 is */
    float estimate_x, estimate_o;
    bool learned; /* the step uses the variance channels */
    /* the program draws from its generator in this step, even if it does not use the values */
    bool draws;
    bool between; /* the second prediction of a step: sampling cannot start here */
} schedule_row;

typedef struct {
    schedule_row *rows; /* in sampling order, from noise to picture */
    int n_rows;
    bool keeps;          /* some row keeps a tensor for the next row */
    float initial_scale; /* factor of the standard normal noise that sampling starts from */
} schedule;

/* The amount of noise of a run along SiT's path (its diffusion coefficient), by the names of SiT's
 * program. */
#define DIFFUSION_FORMS(X)                                                                         \
    X(SIGMA, "sigma")                                                                              \
    X(CONSTANT, "constant")                                                                        \
    X(SBDM, "sbdm")                                                                                \
    X(LINEAR, "linear")                                                                            \
    X(DECREASING, "decreasing")                                                                    \
    X(INCREASING_DECREASING, "increasing-decreasing")
#define DIFFUSION_FORM(constant, name) DIFFUSION_##constant,
typedef enum { DIFFUSION_FORMS(DIFFUSION_FORM) } diffusion_form;
#undef DIFFUSION_FORM

typedef struct {
    compat arithmetic;
    sampler_kind sampler;
    /* "50"; the original's DDPM and DDIM also take "ddim50" and "10,15,20". For SiT: the number of
     * points of the path, both ends included */
    const char *steps;
    double eta;   /* of DDIM */
    bool learned; /* the model has variance channels */
    bool invert;  /* from picture to noise: DDIM, and SiT without noise */
    diffusion_form diffusion;
} schedule_options;

/* Indexed by diffusion_form; ends with null. */
extern const char *const diffusion_names[];

/* ERR_USAGE for options that contradict each other, ERR_FORMAT for a configuration that this
 * sampler cannot use. */
status schedule_init(schedule *s, const schedule_config *config, const schedule_options *options);
void schedule_free(schedule *s);

/* The number of steps, of which some have two rows. */
int schedule_steps(const schedule *s);

/* Makes sampling begin at this row, without the tensor that earlier rows would have kept. */
status schedule_begin(schedule *s, int row);

#endif
