/* Finds the requested sampler, parses the number of steps, and checks the rows. See schedule.h; the
 * samplers are in schedule_*.c. */
#include "sample/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "base/fp16.h"
#include "base/text.h"
#include "sample/sampler.h"

/* The columns of fill functions in the table of samplers. */
enum { BY_ORIGINAL, BY_DIFFUSERS, BY_SIT, N_COLUMNS };

#define FILLS(constant, name, original, diffusers, sit, ...) {original, diffusers, sit},
static sampler_fill *const fills[][N_COLUMNS] = {SAMPLERS(FILLS)};

static int fill_column(const sampling *q)
{
    if (q->config.flow) return BY_SIT;
    return q->options.arithmetic == COMPAT_DIFFUSERS ? BY_DIFFUSERS : BY_ORIGINAL;
}

static sampler_fill *find_fill(const sampling *q)
{
    return fills[q->options.sampler][fill_column(q)];
}

static sampler_set filled_by(sampler_fill *fill, int column)
{
    sampler_set set = 0;
    for (int i = 0; i < N_SAMPLERS; i++)
        if (fills[i][column] == fill) set |= 1u << i;
    return set;
}

static const char *model_word(const sampling *q)
{
    return q->config.flow ? "SiT" : "DiT";
}

status sampler_none(schedule *s, const sampling *q)
{
    (void)s;
    return fail(ERR_USAGE, "the %s sampler is not for %s models: expected %s",
                sampler_names[q->options.sampler], model_word(q),
                SAMPLERS_LISTED(~filled_by(sampler_none, fill_column(q))));
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
    sampler_trait inverts = q->config.flow ? INVERTS_SIT : INVERTS_DIT;
    unsigned traits = samplers[o->sampler].traits;
    if (o->diffusion != DIFFUSION_SIGMA && !(traits & USES_DIFFUSION))
        return fail(ERR_USAGE, "diffusion %s: only the %s sampler uses it",
                    diffusion_names[o->diffusion], SAMPLERS_LISTED(samplers_with(USES_DIFFUSION)));
    if (traits & USES_ETA && !(o->eta >= 0 && o->eta <= 1))
        return fail(ERR_USAGE, "eta %g: expected 0 to 1", o->eta);
    if (o->invert && !(traits & inverts))
        return fail(ERR_USAGE, "the %s sampler cannot be inverted for %s models: expected %s",
                    sampler_names[o->sampler], model_word(q),
                    SAMPLERS_LISTED(samplers_with(inverts)));
    if (o->invert && o->eta > 0)
        return fail(ERR_USAGE, "eta %g: only steps without noise (eta 0) can be inverted", o->eta);
    if ((q->strided || q->sections) && find_fill(q) != sampler_original)
        return fail(ERR_USAGE,
                    "steps %.60s: this spacing belongs to the original arithmetic of %s; type a "
                    "number",
                    q->steps, SAMPLERS_LISTED(filled_by(sampler_original, BY_ORIGINAL)));
    return OK;
}

/* SiT's rows have no x0, and their own estimate. */
static void finish_row(schedule *s, schedule_row *row)
{
    s->keeps |= row->step.to_kept != 0;
    if (row->step.x0_x == 0 && row->step.x0_o == 0) return;
    row->estimate_x = row->step.x0_x;
    row->estimate_o = row->step.x0_o;
}

status schedule_init(schedule *s, const schedule_config *config, const schedule_options *options)
{
    sampling q = {.options = *options, .steps = options->steps};
    *s = (schedule){.initial_scale = 1};
    status st = config_resolve_schedule(&q.config, config, options->sampler);
    if (st == OK) st = parse_steps(&q);
    if (st == OK) st = check_options(&q);
    if (st == OK) st = find_fill(&q)(s, &q);
    if (st == OK) st = check_rows(s);
    for (int i = 0; st == OK && i < s->n_rows; i++) finish_row(s, &s->rows[i]);
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
        return fail(ERR_USAGE, "step %d is the second prediction of a step: choose another", row);
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
