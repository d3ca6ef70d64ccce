/* DDPM and DDIM with the tables and the order of operations of DDPMScheduler, DDIMScheduler and
 * DDIMInverseScheduler of diffusers 0.42.1, in float32. Their oddities are kept, such as an extra
 * timestep -1 for some trailing spacings. */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "sample/sampler.h"

/* *timesteps = *n timesteps, descending. */
static status space_diffusers(int **timesteps, int *n, const sampling *q)
{
    const schedule_config *c = &q->config;
    bool trailing = c->spaced == SPACING_TRAILING;
    *n = trailing ? trailing_count(c->n_train, q->n_steps) : q->n_steps;
    status st = memory_alloc(timesteps, (size_t)*n, sizeof **timesteps);
    if (st != OK) return st;
    for (int i = 0; i < *n; i++) {
        int up = *n - 1 - i, t;
        if (trailing)
            t = trailing_timestep(c->n_train, q->n_steps, i);
        else if (c->spaced == SPACING_LINSPACE)
            t = (int)rint(linspace_double(0, c->n_train - 1, q->n_steps, up));
        else
            t = up * (c->n_train / q->n_steps) + c->steps_offset;
        if (t >= c->n_train)
            return fail(ERR_FORMAT,
                        "steps_offset %d with %d steps begins at timestep %d, the last one is %d",
                        c->steps_offset, q->n_steps, t, c->n_train - 1);
        (*timesteps)[i] = t;
    }
    return OK;
}

/* The cumulative alpha products of the timestep and of the one before. Negative timesteps count
 * from the end, like the index of a tensor. */
typedef struct {
    float now, before;
} alpha_products;

/* Sets x0 and eps from the prediction. */
static void diffusers_prediction(step_coefficients *step, prediction predicts, float product)
{
    float signal = sqrtf(product), spread = sqrtf(1 - product);
    switch (predicts) {
    case PREDICT_SAMPLE:
        step->x0_o = 1;
        step->eps_x = 1 / spread;
        step->eps_o = -signal / spread;
        break;
    case PREDICT_V:
        step->x0_x = signal;
        step->x0_o = -spread;
        step->eps_x = spread;
        step->eps_o = signal;
        break;
    default:
        step->x0_x = 1 / signal;
        step->x0_o = -spread / signal;
        step->eps_o = 1;
    }
}

static void diffusers_ddim(schedule_row *row, alpha_products p, float eta)
{
    float variance = (1 - p.before) / (1 - p.now) * (1 - p.now / p.before);
    float sigma = eta > 0 ? eta * sqrtf(variance) : 0;
    row->step.to_x0 = sqrtf(p.before);
    row->step.to_eps = sqrtf(fmaxf(1 - p.before - sigma * sigma, 0));
    row->step.noise = sigma;
    row->draws = eta > 0;
}

static void diffusers_ddpm(schedule_row *row, alpha_products p, variance_kind kind)
{
    float alpha = p.now / p.before, beta = 1 - alpha;
    float variance = fmaxf((1 - p.before) / (1 - p.now) * beta, 1e-20f);
    row->step.to_x0 = sqrtf(p.before) * beta / (1 - p.now);
    row->step.to_x = sqrtf(alpha) * (1 - p.before) / (1 - p.now);
    row->draws = row->timestep > 0;
    row->learned = kind == VARIANCE_LEARNED_RANGE;
    if (row->learned) {
        row->step.log_min = logf(variance);
        row->step.log_max = logf(beta);
    }
    if (!row->draws) return;
    switch (kind) {
    case VARIANCE_LEARNED_RANGE: row->step.noise = 1; break;
    case VARIANCE_FIXED_LARGE: row->step.noise = sqrtf(beta); break;
    case VARIANCE_FIXED_SMALL_LOG: row->step.noise = expf(0.5f * logf(variance)); break;
    default: row->step.noise = sqrtf(variance);
    }
}

static void diffusers_row(schedule_row *row, const sampling *q, const float *table,
                          const int *timesteps, int n, int i)
{
    const schedule_config *c = &q->config;
    bool ddim = q->options.sampler == SAMPLER_DDIM;
    int t = timesteps[i], before = -1;
    if (ddim)
        before = t - c->n_train / q->n_steps;
    else if (i + 1 < n)
        before = timesteps[i + 1];
    alpha_products p = {.now = table[t < 0 ? c->n_train + t : t],
                        .before = ddim && !c->set_alpha_to_one ? table[0] : 1};
    if (before >= 0) p.before = table[before];
    *row = (schedule_row){.timestep = (float)t};
    row->step.clip = c->clip_sample ? (float)c->clip_sample_range : 0;
    if (q->options.invert) { /* the same step in the other direction */
        row->signal = sqrtf(p.before);
        row->spread = sqrtf(1 - p.before);
        diffusers_prediction(&row->step, c->predicts, p.before);
        row->step.to_x0 = sqrtf(p.now);
        row->step.to_eps = sqrtf(1 - p.now);
        return;
    }
    row->signal = sqrtf(p.now);
    row->spread = sqrtf(1 - p.now);
    diffusers_prediction(&row->step, c->predicts, p.now);
    if (ddim)
        diffusers_ddim(row, p, (float)q->options.eta);
    else
        diffusers_ddpm(row, p, c->variance);
}

/* Checks that network and scheduler agree about the variance. */
static status check_variance(const sampling *q)
{
    if (q->options.sampler != SAMPLER_DDPM) return OK;
    if (q->config.variance == VARIANCE_LEARNED_RANGE && !q->options.learned)
        return fail(ERR_FORMAT, "variance_type learned_range: the transformer has no variance "
                                "channels (out_channels must be twice in_channels)");
    if (q->config.variance == VARIANCE_FIXED_LARGE_LOG)
        return fail(ERR_FORMAT, "variance_type fixed_large_log is not supported: its DDPM step "
                                "takes the square root of a negative number");
    return OK;
}

static status check_inverse(const sampling *q)
{
    if (!q->options.invert) return OK;
    if (q->config.spaced == SPACING_LINSPACE)
        return fail(ERR_FORMAT, "timestep_spacing linspace: the inversion has only leading and "
                                "trailing");
    if (q->config.predicts == PREDICT_SAMPLE && q->config.set_alpha_to_one)
        return fail(ERR_FORMAT, "prediction_type sample with set_alpha_to_one cannot be inverted: "
                                "the first step has no noise to recover");
    return OK;
}

status sampler_diffusers(schedule *s, const sampling *q)
{
    status st = OK;
    float *table = NULL;
    int *timesteps = NULL, n;
    TRY(check_variance(q));
    TRY(check_inverse(q));
    TRY(space_diffusers(&timesteps, &n, q));
    TRY(alpha_products_float(&table, &q->config));
    TRY(memory_alloc(&s->rows, (size_t)n, sizeof *s->rows));
    s->n_rows = n;
    for (int i = 0; i < n; i++)
        diffusers_row(&s->rows[q->options.invert ? n - 1 - i : i], q, table, timesteps, n, i);
done:
    free(timesteps);
    free(table);
    return st;
}
