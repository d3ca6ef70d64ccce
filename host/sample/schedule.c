/* Finds the requested sampler, parses the number of steps, and checks the rows. See schedule.h; the
 * samplers are in schedule_*.c. */
#include "sample/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/fp16.h"
#include "base/text.h"
#include "sample/sampler.h"

const char *const sampler_names[] = {"ddpm", "ddim", "dpm++", "euler", "heun", "sde", NULL};

typedef status sampler(schedule *s, const sampling *q);

/* For each kind: the original's arithmetic, diffusers', SiT; null: not available. The original
 * program has only two samplers; the others sample its models as diffusers does. */
static sampler *const samplers[N_SAMPLERS][3] = {
    [SAMPLER_DDPM] = {sampler_original, sampler_diffusers, NULL},
    [SAMPLER_DDIM] = {sampler_original, sampler_diffusers, NULL},
    [SAMPLER_DPM] = {sampler_dpm, sampler_dpm, NULL},
    [SAMPLER_EULER] = {sampler_euler, sampler_euler, sampler_flow},
    [SAMPLER_HEUN] = {sampler_heun, sampler_heun, sampler_flow},
    [SAMPLER_SDE] = {NULL, NULL, sampler_flow},
};

static sampler *find_sampler(const sampling *q)
{
    const schedule_options *o = &q->options;
    return samplers[o->sampler][q->config.flow ? 2 : o->arithmetic == COMPAT_DIFFUSERS];
}

static status parse_steps(sampling *q)
{
    uint64_t number;
    int most = q->config.n_train;
    const char *digits = q->steps;
    if (strchr(digits, ',')) {
        q->sections = true;
        return OK;
    }
    if (text_prefix_nocase(digits, "ddim")) {
        q->strided = true;
        digits += strlen("ddim");
    }
    if (!text_to_uint(digits, &number) || number == 0)
        return fail(ERR_USAGE,
                    "steps \"%.60s\": expected a number from 1 to %d, ddim and a "
                    "number, or numbers for sections, with commas between",
                    q->steps, most);
    if (number > (uint64_t)most)
        return fail(ERR_USAGE, "steps %.60s: expected at most %d, as the model was trained",
                    q->steps, most);
    q->n_steps = (int)number;
    return OK;
}

/* Extreme betas must not put infinities on the device. */
static status check_rows(const schedule *s)
{
    for (int i = 0; i < s->n_rows; i++) {
        const schedule_row *r = &s->rows[i];
        float values[sizeof r->step / sizeof(float)];
        bool finite = float_is_finite(r->signal) && float_is_finite(r->spread);
        memcpy(values, &r->step, sizeof values);
        for (size_t k = 0; k < sizeof values / sizeof *values; k++)
            finite = finite && float_is_finite(values[k]);
        if (!finite)
            return fail(
                ERR_FORMAT,
                "the scheduler's values give coefficients that are not finite at timestep %g",
                (double)r->timestep);
    }
    return OK;
}

static status check_options(const sampling *q)
{
    const schedule_options *o = &q->options;
    bool invertible = o->sampler == SAMPLER_DDIM || (q->config.flow && o->sampler != SAMPLER_SDE);
    if (!find_sampler(q))
        return fail(ERR_USAGE, "the %s sampler is not for %s models: expected %s",
                    sampler_names[o->sampler], q->config.flow ? "SiT" : "DiT",
                    q->config.flow ? "euler, heun or sde" : "ddpm, ddim, dpm++, euler or heun");
    if (o->diffusion != DIFFUSION_SIGMA && o->sampler != SAMPLER_SDE)
        return fail(ERR_USAGE, "diffusion %s: only the sde sampler uses it",
                    diffusion_names[o->diffusion]);
    if (o->sampler == SAMPLER_DDIM && !(o->eta >= 0 && o->eta <= 1))
        return fail(ERR_USAGE, "eta %g: expected 0 to 1", o->eta);
    if (o->invert && !invertible)
        return fail(ERR_USAGE, "the %s sampler cannot be inverted, %s can",
                    sampler_names[o->sampler], q->config.flow ? "euler and heun" : "ddim");
    if (o->invert && o->eta > 0)
        return fail(ERR_USAGE, "eta %g: only ddim without noise (eta 0) can be inverted", o->eta);
    if ((q->strided || q->sections) && find_sampler(q) != sampler_original)
        return fail(ERR_USAGE,
                    "steps %.60s: this spacing belongs to ddpm and ddim in the original "
                    "arithmetic; type a number",
                    q->steps);
    return OK;
}

status schedule_init(schedule *s, const schedule_config *config, const schedule_options *options)
{
    sampling q = {.options = *options, .steps = options->steps};
    *s = (schedule){.initial_scale = 1};
    status st = config_resolve_schedule(&q.config, config, options->sampler);
    if (st == OK) st = parse_steps(&q);
    if (st == OK) st = check_options(&q);
    if (st == OK) st = find_sampler(&q)(s, &q);
    if (st == OK) st = check_rows(s);
    for (int i = 0; st == OK && i < s->n_rows; i++) s->keeps |= s->rows[i].step.to_kept != 0;
    if (st != OK) schedule_free(s);
    config_free_schedule(&q.config);
    return st;
}

status schedule_begin(schedule *s, int row)
{
    if (row < 0 || row >= s->n_rows)
        return fail(ERR_USAGE, "step %d: there are only %d", row, s->n_rows);
    schedule_row *r = &s->rows[row];
    if (r->between)
        return fail(ERR_USAGE, "step %d is the second evaluation of a step: choose another", row);
    /* use this x0 as the last one, which makes a step of first order */
    r->step.to_x0 += r->step.to_kept;
    r->step.to_kept = 0;
    return OK;
}

int schedule_steps(const schedule *s)
{
    int steps = 0;
    for (int i = 0; i < s->n_rows; i++) steps += !s->rows[i].between;
    return steps;
}

void schedule_free(schedule *s)
{
    free(s->rows);
    *s = (schedule){0};
}
