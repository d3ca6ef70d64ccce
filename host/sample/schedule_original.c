/* DDPM and DDIM as in the program published with the DiT paper: Nichol & Dhariwal 2021 (learned
 * range, respacing), Song et al. 2021 (DDIM and its inversion). Tables are double. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "sample/sampler.h"

enum { MIN_STEPS = 2 };

/* Marks n_steps of the timesteps first..first+size: evenly spaced, both ends included, rounded half
 * to even. If n_steps is 1, marks the first. */
static void mark_spread(unsigned char *chosen, int first, int size, int n_steps)
{
    double stride = n_steps > 1 ? (double)(size - 1) / (n_steps - 1) : 1, at = 0;
    for (int i = 0; i < n_steps; i++, at += stride) chosen[first + (int)rint(at)] = 1;
}

/* Marks the timesteps of "a,b,c": a from the first of three equal sections, b from the second, and
 * so on. If the sections do not divide evenly, the first ones are one longer. *n = the number of
 * marks. */
static status mark_sections(unsigned char *chosen, const sampling *q, int *n)
{
    int n_train = q->config.n_train, n_sections = 1, first = 0;
    for (const char *c = q->steps; *c; c++) n_sections += *c == ',';
    const char *at = q->steps;
    *n = 0;
    for (int i = 0; i < n_sections; i++, at += strcspn(at, ",") + 1) {
        char word[24];
        uint64_t count;
        int size = n_train / n_sections + (i < n_train % n_sections ? 1 : 0);
        snprintf(word, sizeof word, "%.*s", (int)strcspn(at, ","), at);
        if (strcspn(at, ",") >= sizeof word || !text_to_uint(word, &count))
            return fail(ERR_USAGE, "steps \"%.60s\": expected numbers between the commas",
                        q->steps);
        if (count > (uint64_t)size)
            return fail(ERR_USAGE, "steps %.60s: section %d has %d timesteps, not %s", q->steps,
                        i + 1, size, word);
        mark_spread(chosen, first, size, (int)count);
        first += size;
        *n += (int)count;
    }
    return OK;
}

/* Marks the timesteps of "ddimN": the smallest integer stride that gives exactly N. */
static status mark_strided(unsigned char *chosen, const sampling *q)
{
    int n_train = q->config.n_train;
    for (int stride = 1; stride < n_train; stride++) {
        if ((n_train - 1) / stride + 1 != q->n_steps) continue;
        for (int t = 0; t < n_train; t += stride) chosen[t] = 1;
        return OK;
    }
    return fail(ERR_USAGE, "steps %s: no integer stride through %d timesteps gives %d of them",
                q->steps, n_train, q->n_steps);
}

/* One chosen timestep: the respaced beta, its cumulative alpha products, and the posterior
 * variance. */
typedef struct {
    int timestep;
    double beta, product, product_before, variance;
} chosen_step;

/* steps[0..*n) in ascending order. */
static void respace(chosen_step *steps, int *n, const schedule_config *c,
                    const unsigned char *chosen)
{
    double full = 1, last_chosen = 1, product = 1;
    *n = 0;
    for (int t = 0; t < c->n_train; t++) {
        full *= 1 - beta_double(c, t);
        if (!chosen[t]) continue;
        chosen_step *s = &steps[(*n)++];
        *s =
            (chosen_step){.timestep = t, .beta = 1 - full / last_chosen, .product_before = product};
        product *= 1 - s->beta;
        s->product = product;
        s->variance = s->beta * (1 - s->product_before) / (1 - product);
        last_chosen = full;
    }
}

static void original_ddpm(schedule_row *row, const chosen_step *steps, int i, bool learned)
{
    const chosen_step *s = &steps[i];
    double log_variance = log(i ? s->variance : steps[1].variance);
    double fixed = log(i ? s->beta : steps[1].variance);
    row->step.to_x0 = (float)(s->beta * sqrt(s->product_before) / (1 - s->product));
    row->step.to_x = (float)((1 - s->product_before) * sqrt(1 - s->beta) / (1 - s->product));
    row->learned = learned;
    if (learned) {
        row->step.log_min = (float)log_variance;
        row->step.log_max = (float)log(s->beta);
    }
    if (i) row->step.noise = learned ? 1 : expf(0.5f * (float)fixed);
}

static void original_ddim(schedule_row *row, const chosen_step *s, int i, float eta)
{
    float product = (float)s->product, before = (float)s->product_before;
    float sigma = eta * sqrtf((1 - before) / (1 - product)) * sqrtf(1 - product / before);
    row->step.to_x0 = sqrtf(before);
    row->step.to_eps = sqrtf(fmaxf(1 - before - sigma * sigma, 0));
    if (i) row->step.noise = sigma;
}

/* The inversion: from this step's level to the next one's. The last step ends in noise alone. */
static void original_inverse(schedule_row *row, const chosen_step *steps, int n, int i)
{
    float next = i + 1 < n ? (float)steps[i + 1].product : 0;
    row->step.to_x0 = sqrtf(next);
    row->step.to_eps = sqrtf(1 - next);
    row->draws = false;
}

static void original_row(schedule_row *row, const sampling *q, const chosen_step *steps, int n,
                         int i)
{
    const chosen_step *s = &steps[i];
    float scale = (float)sqrt(1 / s->product), spread = (float)sqrt(1 / s->product - 1);
    *row = (schedule_row){.timestep = (float)s->timestep,
                          .draws = true,
                          .signal = (float)sqrt(s->product),
                          .spread = (float)sqrt(1 - s->product)};
    if (q->config.predicts == PREDICT_SAMPLE) {
        row->step.x0_o = 1;
        row->step.eps_x = scale / spread;
        row->step.eps_o = -1 / spread;
    } else {
        row->step.x0_x = scale;
        row->step.x0_o = -spread;
        row->step.eps_o = 1;
    }
    if (q->options.sampler == SAMPLER_DDPM)
        original_ddpm(row, steps, i, q->options.learned);
    else if (q->options.invert)
        original_inverse(row, steps, n, i);
    else
        original_ddim(row, s, i, (float)q->options.eta);
}

status sampler_original(schedule *s, const sampling *q)
{
    status st = OK;
    unsigned char *chosen = NULL;
    chosen_step *steps = NULL;
    int n_train = q->config.n_train, n = q->n_steps;
    if (q->config.predicts == PREDICT_V)
        return fail(ERR_FORMAT, "prediction_type v_prediction: the original arithmetic has only "
                                "epsilon and sample");
    TRY(memory_alloc(&chosen, (size_t)n_train, 1));
    TRY(memory_alloc(&steps, (size_t)n_train, sizeof *steps));
    if (q->sections)
        TRY(mark_sections(chosen, q, &n));
    else if (q->strided)
        TRY(mark_strided(chosen, q));
    else
        mark_spread(chosen, 0, n_train, n);
    if (n < MIN_STEPS) {
        st = fail(ERR_USAGE,
                  "steps %s: the original arithmetic needs at least %d (one step would visit "
                  "timestep 0 alone)",
                  q->steps, MIN_STEPS);
        goto done;
    }
    respace(steps, &n, &q->config, chosen);
    TRY(memory_alloc(&s->rows, (size_t)n, sizeof *s->rows));
    s->n_rows = n;
    for (int i = 0; i < n; i++)
        original_row(&s->rows[q->options.invert ? i : n - 1 - i], q, steps, n, i);
done:
    free(chosen);
    free(steps);
    return st;
}
