/* Which timesteps are visited, and the few numbers each step needs, in the arithmetic of the
 * program the model comes from (original: double tables cast to float at use; diffusers: float32
 * tables). Every sampler of this kind is one table of rows; the step kernel knows no sampler.
 *
 * With x the current latents, o the model's output (guided), v its variance channels in [-1, 1],
 * n standard normal noise:
 *   x0   = x0_x * x + x0_o * o           (then clamped to +-clip where clip > 0)
 *   eps  = eps_x * x + eps_o * o
 *   x'   = to_x0 * x0 + to_eps * eps + to_x * x + s * n
 *   s    = noise                                    without a learned variance
 *   s    = noise * exp(0.5 * (f * log_max + (1 - f) * log_min)), f = (v + 1) / 2   with one
 */
#ifndef DITCL_SAMPLE_SCHEDULE_H
#define DITCL_SAMPLE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "model/config.h"

typedef struct {
    int timestep; /* what the network is told */
    float x0_x, x0_o, eps_x, eps_o;
    float clip; /* 0: none */
    float to_x0, to_eps, to_x;
    float noise; /* 0: this step adds none */
    bool learned; /* the variance channels are used */
    float log_min, log_max;
    bool draws;         /* the program draws from its generator in this step, used or not */
} schedule_row;

typedef struct {
    schedule_row *rows; /* in the order of sampling, from noise to picture */
    int n_rows;
} schedule;

/* steps: "50"; with COMPAT_ORIGINAL also "ddim50" (the spacing of that name). learned: the model
 * has variance channels. eta: DDIM's. ERR_USAGE for steps that cannot be, ERR_FORMAT for a
 * configuration that cannot be sampled so. */
status schedule_init(schedule *s, const schedule_config *config, compat arithmetic,
                     sampler_kind sampler, const char *steps, double eta, bool learned);
void schedule_free(schedule *s);

#endif
