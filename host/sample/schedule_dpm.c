/* DPM-Solver++ 2M (Lu et al. 2022, algorithm 2), as in DPMSolverMultistepScheduler of diffusers
 * 0.42.1. Each step extrapolates from this x0 and the last one, in float32. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "sample/sampler.h"

enum { FEW_STEPS = 15 }; /* lower_order_final applies below this number of steps */

/* A noise level's signal, spread, and half its log signal-to-noise ratio. */
typedef struct {
    float alpha, sigma, lambda;
} level;

static level level_of(float sigma)
{
    level l = {.alpha = 1 / sqrtf(sigma * sigma + 1)};
    l.sigma = sigma * l.alpha;
    l.lambda = sigma > 0 ? logf(l.alpha) - logf(l.sigma) : INFINITY;
    return l;
}

static double dpm_timestep(const sampling *q, int i)
{
    const schedule_config *c = &q->config;
    int up = q->n_steps - i; /* from n_steps down to 1 */
    switch (c->spaced) {
    case SPACING_LEADING: return up * (c->n_train / (q->n_steps + 1)) + c->steps_offset;
    case SPACING_TRAILING: return trailing_timestep(c->n_train, q->n_steps, i);
    default: return rint(linspace_double(0, c->n_train - 1, q->n_steps + 1, up));
    }
}

static void dpm_row(schedule_row *row, const sampling *q, const sigmas *s, int i)
{
    const schedule_config *c = &q->config;
    level now = level_of(s->levels[i]), next = level_of(s->levels[i + 1]);
    float h = next.lambda - now.lambda, step = next.alpha * (expf(-h) - 1);
    bool last = i == s->n - 1 && (c->euler_at_final || c->end == END_ZERO ||
                                  (c->lower_order_final && s->n < FEW_STEPS));
    *row = (schedule_row){.timestep = s->timesteps[i], .signal = now.alpha, .spread = now.sigma};
    predict_x0(&row->step, c->predicts, now.alpha, now.sigma);
    row->step.to_x = next.sigma / now.sigma;
    row->step.to_x0 = -step;
    row->step.keep_x0 = 1;
    if (i == 0 || last || c->solver_order == 1) return;
    float h_before = now.lambda - level_of(s->levels[i - 1]).lambda, r = h_before / h;
    float slope = c->solver == SOLVER_HEUN ? next.alpha * ((expf(-h) - 1) / h + 1) : -0.5f * step;
    row->step.to_x0 += slope / r;
    row->step.to_kept = -slope / r;
}

/* The second order divides by the length of the last step, so two levels must differ. */
static status check_distinct(const sampling *q, const sigmas *s)
{
    for (int i = 1; i + 1 < s->n && q->config.solver_order == 2; i++)
        if (s->levels[i] == s->levels[i - 1])
            return fail(ERR_USAGE,
                        "steps %d: too many for dpm++, which would visit timestep %g "
                        "twice",
                        q->n_steps, (double)s->timesteps[i]);
    return OK;
}

status sampler_dpm(schedule *s, const sampling *q)
{
    status st = OK;
    const schedule_config *c = &q->config;
    float *table = NULL;
    sigmas levels = {0};
    int n = c->spaced == SPACING_TRAILING ? trailing_count(c->n_train, q->n_steps) : q->n_steps;
    TRY(sigmas_table(&table, c));
    TRY(sigmas_alloc(&levels, n, c, table));
    for (int i = 0; i < n; i++) {
        double t = dpm_timestep(q, i);
        levels.timesteps[i] = (float)t;
        levels.levels[i] = (float)sigma_at(table, c->n_train, t);
    }
    TRY(check_distinct(q, &levels));
    TRY(memory_alloc(&s->rows, (size_t)n, sizeof *s->rows));
    s->n_rows = n;
    for (int i = 0; i < n; i++) dpm_row(&s->rows[i], q, &levels, i);
done:
    sigmas_free(&levels);
    free(table);
    return st;
}
