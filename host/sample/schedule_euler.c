/* Euler's and Heun's methods on noise levels (Karras et al. 2022, algorithm 1 without churn), as in
 * EulerDiscreteScheduler and HeunDiscreteScheduler of diffusers 0.42.1. There the sample is y =
 * data + sigma * noise, and the network takes y / sqrt(sigma^2 + 1), which equals ditcl's latents.
 * So the rows scale x on the way in and out. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "sample/sampler.h"

static float euler_timestep(const sampling *q, int n, int i)
{
    const schedule_config *c = &q->config;
    switch (c->spaced) {
    case SPACING_LEADING: return (float)((n - 1 - i) * (c->n_train / n) + c->steps_offset);
    case SPACING_TRAILING: return (float)trailing_timestep(c->n_train, q->n_steps, i);
    default: return (float)linspace_double(0, c->n_train - 1, n, n - 1 - i);
    }
}

/* Computes the levels, and the scale of the noise that sampling starts from. */
static status euler_levels(schedule *s, sigmas *levels, const sampling *q)
{
    status st = OK;
    const schedule_config *c = &q->config;
    float *table = NULL, most = 0;
    int n = c->spaced == SPACING_TRAILING ? trailing_count(c->n_train, q->n_steps) : q->n_steps;
    TRY(sigmas_table(&table, c));
    TRY(sigmas_alloc(levels, n, c, table));
    for (int i = 0; i < n; i++) {
        levels->timesteps[i] = euler_timestep(q, n, i);
        levels->levels[i] = (float)sigma_at(table, c->n_train, (double)levels->timesteps[i]);
        most = fmaxf(most, levels->levels[i]);
    }
    float first = sqrtf(levels->levels[0] * levels->levels[0] + 1);
    s->initial_scale = (c->spaced == SPACING_LEADING ? sqrtf(most * most + 1) : most) / first;
done:
    free(table);
    return st;
}

/* The coefficients of one prediction, at level i. */
static schedule_row euler_row(const sampling *q, const sigmas *s, int i)
{
    float sigma = s->levels[i], scale = sqrtf(sigma * sigma + 1);
    schedule_row row = {.timestep = s->timesteps[i], .signal = 1 / scale, .spread = sigma / scale};
    predict_x0(&row.step, q->config.predicts, row.signal, row.spread);
    return row;
}

/* sqrt(sigma^2 + 1) of level i; 1 for the last level, since the result is not scaled. */
static float scale_at(const sigmas *s, int i)
{
    return i < s->n ? sqrtf(s->levels[i] * s->levels[i] + 1) : 1;
}

/* y' = y + (y - x0) / sigma * dt */
static void euler_step(step_coefficients *step, const sigmas *s, int i)
{
    float now = s->levels[i], next = s->levels[i + 1], out = scale_at(s, i + 1);
    step->to_x = scale_at(s, i) * (next / now) / out;
    step->to_x0 = (1 - next / now) / out;
}

status sampler_euler(schedule *s, const sampling *q)
{
    status st = OK;
    sigmas levels = {0};
    TRY(euler_levels(s, &levels, q));
    TRY(memory_alloc(&s->rows, (size_t)levels.n, sizeof *s->rows));
    s->n_rows = levels.n;
    for (int i = 0; i < levels.n; i++) {
        s->rows[i] = euler_row(q, &levels, i);
        euler_step(&s->rows[i].step, &levels, i);
    }
done:
    sigmas_free(&levels);
    return st;
}

/* The first prediction keeps y + slope * dt / 2. The second adds its own half. */
static void heun_rows(schedule_row *first, schedule_row *second, const sampling *q, const sigmas *s,
                      int i)
{
    float now = s->levels[i], next = s->levels[i + 1], half = (next - now) / 2;
    float out = scale_at(s, i + 1);
    first->step.keep_x = scale_at(s, i) * (1 + half / now);
    first->step.keep_x0 = -half / now;
    *second = euler_row(q, s, i + 1);
    second->between = true;
    second->step.clip = first->step.clip;
    second->step.to_kept = 1 / out;
    second->step.to_x = half / next;
    second->step.to_x0 = -half / next / out;
}

status sampler_heun(schedule *s, const sampling *q)
{
    status st = OK;
    const schedule_config *c = &q->config;
    sigmas levels = {0};
    TRY(euler_levels(s, &levels, q));
    TRY(memory_alloc(&s->rows, (size_t)levels.n * 2 - 1, sizeof *s->rows));
    s->n_rows = levels.n * 2 - 1;
    for (int i = 0; i < levels.n; i++) {
        schedule_row *first = &s->rows[2 * i];
        *first = euler_row(q, &levels, i);
        first->step.clip = c->clip_sample ? (float)c->clip_sample_range : 0;
        euler_step(&first->step, &levels, i);
        if (i + 1 < levels.n) heun_rows(first, first + 1, q, &levels, i);
    }
done:
    sigmas_free(&levels);
    return st;
}
