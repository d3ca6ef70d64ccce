/* Finds the sampler that is asked for, reads the number of steps, and looks over the rows that it
 * made. See schedule.h; the samplers are in schedule_*.c. */
#include "sample/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/text.h"
#include "sample/sampler.h"

const char *const sampler_names[] = {"ddpm", "ddim", "dpm++", "euler", "heun", NULL};

typedef status sampler(schedule *s, const sampling *q);

/* Of each kind: in the original's arithmetic, and in diffusers'. The original program has but two;
 * its models are sampled by the others as diffusers does. */
static sampler *const samplers[][2] = {
    [SAMPLER_DDPM] = {sampler_original, sampler_diffusers},
    [SAMPLER_DDIM] = {sampler_original, sampler_diffusers},
    [SAMPLER_DPM] = {sampler_dpm, sampler_dpm},
    [SAMPLER_EULER] = {sampler_euler, sampler_euler},
    [SAMPLER_HEUN] = {sampler_heun, sampler_heun},
};

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
        return fail(ERR_USAGE, "steps %.60s: the model was trained with %d, more cannot be taken",
                    q->steps, most);
    q->n_steps = (int)number;
    return OK;
}

/* Extreme betas must not reach the device as infinities. */
static status check_rows(const schedule *s)
{
    for (int i = 0; i < s->n_rows; i++) {
        const schedule_row *r = &s->rows[i];
        const float all[] = {r->x0_x,    r->x0_o,     r->eps_x,  r->eps_o,  r->clip,
                             r->to_x0,   r->to_eps,   r->to_x,   r->log_min, r->log_max,
                             r->noise,   r->to_kept,  r->keep_x0, r->keep_eps, r->keep_x,
                             r->signal,  r->spread};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            if (!float_is_finite(all[k]))
                return fail(ERR_FORMAT,
                            "the scheduler's betas leave no finite coefficients at timestep %g",
                            (double)r->timestep);
    }
    return OK;
}

static status check_options(const sampling *q)
{
    const schedule_options *o = &q->options;
    bool original = samplers[o->sampler][o->arithmetic == COMPAT_DIFFUSERS] == sampler_original;
    if (o->sampler == SAMPLER_DDIM && !(o->eta >= 0 && o->eta <= 1))
        return fail(ERR_USAGE, "eta %g: expected 0 to 1", o->eta);
    if (o->invert && o->sampler != SAMPLER_DDIM)
        return fail(ERR_USAGE, "the %s sampler cannot be inverted, ddim can",
                    sampler_names[o->sampler]);
    if (o->invert && o->eta > 0)
        return fail(ERR_USAGE, "eta %g: only ddim without noise (eta 0) can be inverted", o->eta);
    if ((q->strided || q->sections) && !original)
        return fail(ERR_USAGE,
                    "steps %.60s: this spacing belongs to ddpm and ddim in the original "
                    "arithmetic; type a number",
                    q->steps);
    return OK;
}

status schedule_init(schedule *s, const schedule_config *config, const schedule_options *options)
{
    sampling q = {.config = *config, .options = *options, .steps = options->steps};
    *s = (schedule){.initial_scale = 1};
    config_settle_schedule(&q.config, options->sampler);
    status st = parse_steps(&q);
    if (st == OK) st = check_options(&q);
    if (st == OK)
        st = samplers[options->sampler][options->arithmetic == COMPAT_DIFFUSERS](s, &q);
    if (st == OK) st = check_rows(s);
    for (int i = 0; st == OK && i < s->n_rows; i++) s->keeps |= s->rows[i].to_kept != 0;
    if (st != OK) schedule_free(s);
    return st;
}

status schedule_begin(schedule *s, int row)
{
    if (row < 0 || row >= s->n_rows)
        return fail(ERR_USAGE, "step %d: there are only %d", row, s->n_rows);
    schedule_row *r = &s->rows[row];
    if (r->between) return fail(ERR_USAGE, "step %d is the second half of one", row);
    r->to_x0 += r->to_kept; /* as if the last x0 had been this one: a step of first order */
    r->to_kept = 0;
    return OK;
}

void schedule_free(schedule *s)
{
    free(s->rows);
    *s = (schedule){0};
}
