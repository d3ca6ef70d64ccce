/* Which timesteps are visited, and the few numbers each step needs, in the arithmetic of the
 * program the sampler comes from (original: double tables cast to float at use; diffusers: float32
 * tables). Every sampler is one table of rows; the step kernel knows no sampler.
 *
 * With x the current latents, o the model's output for them (guided), v its variance channels in
 * [-1, 1], n standard normal noise, k what the row before kept:
 *   x0   = x0_x * x + x0_o * o           (then clamped to +-clip where clip > 0)
 *   eps  = eps_x * x + eps_o * o
 *   x'   = to_x0 * x0 + to_eps * eps + to_x * x + to_kept * k + s * n
 *   k'   = keep_x0 * x0 + keep_eps * eps + keep_x * x
 *   s    = noise                                    without a learned variance
 *   s    = noise * exp(0.5 * (f * log_max + (1 - f) * log_min)), f = (v + 1) / 2   with one
 *
 * Latents are always what the network takes: signal * data + spread * noise. A sampler that is
 * written for data + sigma * noise has its scaling in the coefficients.
 */
#ifndef DITCL_SAMPLE_SCHEDULE_H
#define DITCL_SAMPLE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "checkpoint/config.h"

typedef struct {
    float timestep;       /* what the network is told */
    float signal, spread; /* what x is made of before this step */
    float x0_x, x0_o, eps_x, eps_o;
    float clip; /* 0: none */
    float to_x0, to_eps, to_x, to_kept;
    float keep_x0, keep_eps, keep_x;
    float noise;  /* 0: this step adds none */
    bool learned; /* the variance channels are used */
    float log_min, log_max;
    bool draws;   /* the program draws from its generator in this step, used or not */
    bool between; /* the second evaluation of a step: sampling cannot start here */
} schedule_row;

typedef struct {
    schedule_row *rows; /* in the order of sampling, from noise to picture */
    int n_rows;
    bool keeps;          /* some row keeps something for the next */
    float initial_scale; /* of the standard normal noise that sampling starts from */
} schedule;

/* How much noise a walk along SiT's path has. */
typedef enum {
    DIFFUSION_SIGMA,
    DIFFUSION_CONSTANT,
    DIFFUSION_SBDM,
    DIFFUSION_LINEAR,
    DIFFUSION_DECREASING,
    DIFFUSION_INCREASING_DECREASING
} diffusion_form;

typedef struct {
    compat arithmetic;
    sampler_kind sampler;
    /* "50"; the original's DDPM and DDIM also "ddim50" and "10,15,20". Of SiT the points of the
     * path, both ends included */
    const char *steps;
    double eta;   /* DDIM's */
    bool learned; /* the model has variance channels */
    bool invert;  /* from picture to noise: DDIM, and SiT without noise */
    diffusion_form diffusion;
} schedule_options;

/* By sampler_kind and diffusion_form, as a user types them; ends with a null. */
extern const char *const sampler_names[], *const diffusion_names[];

/* ERR_USAGE for options that cannot be, ERR_FORMAT for a configuration that cannot be sampled
 * so. */
status schedule_init(schedule *s, const schedule_config *config, const schedule_options *options);
void schedule_free(schedule *s);

/* Steps, of which some have two rows. */
int schedule_steps(const schedule *s);

/* Sampling begins at this row, without what rows before it would have kept. */
status schedule_begin(schedule *s, int row);

#endif
