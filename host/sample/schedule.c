/* Schedules of DDPM and DDIM in both arithmetics. See schedule.h.
 *
 * Original: Nichol & Dhariwal 2021 (learned range, respacing), Song et al. 2021 (DDIM), with tables
 * in double as the program published with the DiT paper keeps them. diffusers: the tables and the
 * order of operations of its DDPMScheduler and DDIMScheduler, 0.42.1, in float32. Where those do
 * something odd (an extra timestep -1 for some trailing spacings), so do we. */
#include "sample/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/memory.h"
#include "base/text.h"

enum { ORIGINAL_MIN_STEPS = 2 };

/* What both arithmetics start from. */
typedef struct {
    const schedule_config *config;
    const char *steps; /* as typed, for messages */
    int n_steps;       /* the number in it */
    bool strided;      /* "ddimN" */
    sampler_kind sampler;
    double eta;
    bool learned;
} request;

/* ---- betas ---- */

/* The cosine schedule's cumulative product at t in 0..1. */
static double cosine_product(double t)
{
    const double pi = 3.14159265358979323846;
    double c = cos((t + 0.008) / 1.008 * pi / 2);
    return c * c;
}

static double cosine_beta(int i, int n)
{
    double beta = 1 - cosine_product((double)(i + 1) / n) / cosine_product((double)i / n);
    return beta < 0.999 ? beta : 0.999;
}

/* numpy's linspace. */
static double linspace_double(double first, double last, int n, int i)
{
    if (n > 1 && i == n - 1) return last;
    return n > 1 ? i * ((last - first) / (n - 1)) + first : first;
}

/* torch's linspace in float32: from both ends to the middle. */
static float linspace_float(float first, float last, int n, int i)
{
    if (n == 1) return first;
    float step = (last - first) / (float)(n - 1);
    return i < n / 2 ? first + step * (float)i : last - step * (float)(n - 1 - i);
}

static double beta_double(const schedule_config *c, int i)
{
    double root;
    switch (c->betas) {
    case BETAS_SCALED_LINEAR:
        root = linspace_double(sqrt(c->beta_start), sqrt(c->beta_end), c->n_train, i);
        return root * root;
    case BETAS_COSINE: return cosine_beta(i, c->n_train);
    case BETAS_TRAINED: return c->trained_betas[i];
    default: return linspace_double(c->beta_start, c->beta_end, c->n_train, i);
    }
}

static float beta_float(const schedule_config *c, int i)
{
    float root;
    switch (c->betas) {
    case BETAS_SCALED_LINEAR:
        root = linspace_float((float)sqrt(c->beta_start), (float)sqrt(c->beta_end), c->n_train, i);
        return root * root;
    case BETAS_COSINE: return (float)cosine_beta(i, c->n_train);
    case BETAS_TRAINED: return (float)c->trained_betas[i];
    default: return linspace_float((float)c->beta_start, (float)c->beta_end, c->n_train, i);
    }
}

/* ---- the original's arithmetic ---- */

/* Marks the timesteps of "N": evenly spread, both ends included, rounded half to even. */
static void mark_spread(unsigned char *kept, int n_train, int n_steps)
{
    double stride = (double)(n_train - 1) / (n_steps - 1), at = 0;
    for (int i = 0; i < n_steps; i++, at += stride) kept[(int)rint(at)] = 1;
}

/* Marks the timesteps of "ddimN": the smallest whole stride that gives exactly N. */
static status mark_strided(unsigned char *kept, const request *q)
{
    int n_train = q->config->n_train;
    for (int stride = 1; stride < n_train; stride++) {
        if ((n_train - 1) / stride + 1 != q->n_steps) continue;
        for (int t = 0; t < n_train; t += stride) kept[t] = 1;
        return OK;
    }
    return fail(ERR_USAGE, "steps %s: no whole stride through %d timesteps gives %d of them",
                q->steps, n_train, q->n_steps);
}

/* One kept timestep: the respaced beta, its cumulative products, and the posterior's variance. */
typedef struct {
    int timestep;
    double beta, product, product_before, variance;
} kept_step;

/* steps[0..*n) in ascending order. */
static void respace(kept_step *steps, int *n, const schedule_config *c, const unsigned char *kept)
{
    double full = 1, last_kept = 1, product = 1;
    *n = 0;
    for (int t = 0; t < c->n_train; t++) {
        full *= 1 - beta_double(c, t);
        if (!kept[t]) continue;
        kept_step *s = &steps[(*n)++];
        *s = (kept_step){.timestep = t, .beta = 1 - full / last_kept, .product_before = product};
        product *= 1 - s->beta;
        s->product = product;
        s->variance = s->beta * (1 - s->product_before) / (1 - product);
        last_kept = full;
    }
}

static void original_ddpm(schedule_row *row, const kept_step *steps, int i, bool learned)
{
    const kept_step *s = &steps[i];
    double log_variance = log(i ? s->variance : steps[1].variance);
    double fixed = log(i ? s->beta : steps[1].variance);
    row->to_x0 = (float)(s->beta * sqrt(s->product_before) / (1 - s->product));
    row->to_x = (float)((1 - s->product_before) * sqrt(1 - s->beta) / (1 - s->product));
    row->learned = learned;
    if (learned) {
        row->log_min = (float)log_variance;
        row->log_max = (float)log(s->beta);
    }
    if (i) row->noise = learned ? 1 : expf(0.5f * (float)fixed);
}

static void original_ddim(schedule_row *row, const kept_step *s, int i, float eta)
{
    float product = (float)s->product, before = (float)s->product_before;
    float sigma = eta * sqrtf((1 - before) / (1 - product)) * sqrtf(1 - product / before);
    row->to_x0 = sqrtf(before);
    row->to_eps = sqrtf(fmaxf(1 - before - sigma * sigma, 0));
    if (i) row->noise = sigma;
}

static void original_row(schedule_row *row, const request *q, const kept_step *steps, int i)
{
    const kept_step *s = &steps[i];
    float scale = (float)sqrt(1 / s->product), spread = (float)sqrt(1 / s->product - 1);
    *row = (schedule_row){.timestep = s->timestep, .draws = true};
    if (q->config->predicts == PREDICT_SAMPLE) {
        row->x0_o = 1;
        row->eps_x = scale / spread;
        row->eps_o = -1 / spread;
    } else {
        row->x0_x = scale;
        row->x0_o = -spread;
        row->eps_o = 1;
    }
    if (q->sampler == SAMPLER_DDPM)
        original_ddpm(row, steps, i, q->learned);
    else
        original_ddim(row, s, i, (float)q->eta);
}

static status init_original(schedule *s, const request *q)
{
    status st = OK;
    unsigned char *kept = NULL;
    kept_step *steps = NULL;
    int n, n_train = q->config->n_train;
    if (q->config->predicts == PREDICT_V)
        return fail(ERR_FORMAT, "prediction_type v_prediction: the original arithmetic has only "
                                "epsilon and sample");
    if (q->n_steps < ORIGINAL_MIN_STEPS)
        return fail(ERR_USAGE,
                    "steps %s: the original arithmetic needs at least %d (one step would visit "
                    "timestep 0 alone)",
                    q->steps, ORIGINAL_MIN_STEPS);
    TRY(memory_alloc(&kept, (size_t)n_train, 1));
    TRY(memory_alloc(&steps, (size_t)n_train, sizeof *steps));
    if (q->strided)
        TRY(mark_strided(kept, q));
    else
        mark_spread(kept, n_train, q->n_steps);
    respace(steps, &n, q->config, kept);
    TRY(memory_alloc(&s->rows, (size_t)n, sizeof *s->rows));
    s->n_rows = n;
    for (int i = 0; i < n; i++) original_row(&s->rows[n - 1 - i], q, steps, i);
done:
    free(kept);
    free(steps);
    return st;
}

/* ---- diffusers' arithmetic ---- */

/* *n timesteps, descending. Trailing spacing is numpy's arange(n_train, 0, -n_train / n_steps): its
 * length is a rounded quotient, so there may be one timestep more, which is -1. */
static status space_diffusers(int **timesteps, int *n, const request *q)
{
    const schedule_config *c = q->config;
    double down = -((double)c->n_train / q->n_steps), first = c->n_train;
    double difference = (first + down) - first; /* as arange computes it */
    *n = c->spaced == SPACING_TRAILING ? (int)ceil((0 - first) / down) : q->n_steps;
    status st = memory_alloc(timesteps, (size_t)*n, sizeof **timesteps);
    if (st != OK) return st;
    for (int i = 0; i < *n; i++) {
        int up = *n - 1 - i, t;
        if (c->spaced == SPACING_TRAILING)
            t = (int)rint(first + i * difference) - 1;
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

/* The products of the timestep and of the one before it. Negative timesteps count from the end, as
 * an index of a tensor does. */
typedef struct {
    float now, before;
} products;

/* x0 and eps from the prediction. */
static void diffusers_prediction(schedule_row *row, prediction predicts, float product)
{
    float signal = sqrtf(product), spread = sqrtf(1 - product);
    switch (predicts) {
    case PREDICT_SAMPLE:
        row->x0_o = 1;
        row->eps_x = 1 / spread;
        row->eps_o = -signal / spread;
        break;
    case PREDICT_V:
        row->x0_x = signal;
        row->x0_o = -spread;
        row->eps_x = spread;
        row->eps_o = signal;
        break;
    default:
        row->x0_x = 1 / signal;
        row->x0_o = -spread / signal;
        row->eps_o = 1;
    }
}

static void diffusers_ddim(schedule_row *row, products p, float eta)
{
    float variance = (1 - p.before) / (1 - p.now) * (1 - p.now / p.before);
    float sigma = eta > 0 ? eta * sqrtf(variance) : 0;
    row->to_x0 = sqrtf(p.before);
    row->to_eps = sqrtf(fmaxf(1 - p.before - sigma * sigma, 0));
    row->noise = sigma;
    row->draws = eta > 0;
}

static void diffusers_ddpm(schedule_row *row, products p, variance_kind kind)
{
    float alpha = p.now / p.before, beta = 1 - alpha;
    float variance = fmaxf((1 - p.before) / (1 - p.now) * beta, 1e-20f);
    row->to_x0 = sqrtf(p.before) * beta / (1 - p.now);
    row->to_x = sqrtf(alpha) * (1 - p.before) / (1 - p.now);
    row->draws = row->timestep > 0;
    row->learned = kind == VARIANCE_LEARNED_RANGE;
    if (row->learned) {
        row->log_min = logf(variance);
        row->log_max = logf(beta);
    }
    if (!row->draws) return;
    switch (kind) {
    case VARIANCE_LEARNED_RANGE: row->noise = 1; break;
    case VARIANCE_FIXED_LARGE: row->noise = sqrtf(beta); break;
    case VARIANCE_FIXED_SMALL_LOG: row->noise = expf(0.5f * logf(variance)); break;
    default: row->noise = sqrtf(variance);
    }
}

static void diffusers_row(schedule_row *row, const request *q, const float *table,
                          const int *timesteps, int n, int i)
{
    const schedule_config *c = q->config;
    int t = timesteps[i], before = -1;
    if (q->sampler == SAMPLER_DDIM)
        before = t - c->n_train / q->n_steps;
    else if (i + 1 < n)
        before = timesteps[i + 1];
    bool to_first = q->sampler == SAMPLER_DDIM && !c->set_alpha_to_one;
    products p = {.now = table[t < 0 ? c->n_train + t : t], .before = to_first ? table[0] : 1};
    if (before >= 0) p.before = table[before];
    *row = (schedule_row){.timestep = t};
    row->clip = c->clip_sample ? (float)c->clip_sample_range : 0;
    diffusers_prediction(row, c->predicts, p.now);
    if (q->sampler == SAMPLER_DDPM)
        diffusers_ddpm(row, p, c->variance);
    else
        diffusers_ddim(row, p, (float)q->eta);
}

/* The network and the scheduler must agree about the variance before a step is made. */
static status check_variance(const request *q)
{
    if (q->sampler != SAMPLER_DDPM) return OK;
    if (q->config->variance == VARIANCE_LEARNED_RANGE && !q->learned)
        return fail(ERR_FORMAT, "variance_type learned_range: the transformer has no variance "
                                "channels (out_channels must be twice in_channels)");
    if (q->config->variance == VARIANCE_FIXED_LARGE_LOG)
        return fail(ERR_FORMAT, "variance_type fixed_large_log is not supported: its DDPM step "
                                "takes the root of a negative number");
    return OK;
}

static status init_diffusers(schedule *s, const request *q)
{
    status st = OK;
    float *table = NULL;
    int *timesteps = NULL, n;
    double product = 1; /* torch's cumprod of float32 runs in double */
    TRY(check_variance(q));
    if (q->strided)
        return fail(ERR_USAGE,
                    "steps %s: this spacing belongs to the original arithmetic; type "
                    "a number",
                    q->steps);
    TRY(space_diffusers(&timesteps, &n, q));
    TRY(memory_alloc(&table, (size_t)q->config->n_train, sizeof *table));
    for (int i = 0; i < q->config->n_train; i++)
        table[i] = (float)(product *= 1 - beta_float(q->config, i));
    TRY(memory_alloc(&s->rows, (size_t)n, sizeof *s->rows));
    s->n_rows = n;
    for (int i = 0; i < n; i++) diffusers_row(&s->rows[i], q, table, timesteps, n, i);
done:
    free(timesteps);
    free(table);
    return st;
}

/* ---- both ---- */

static status parse_steps(request *q)
{
    uint64_t number;
    const char *digits = q->steps;
    if (text_prefix_nocase(digits, "ddim")) {
        q->strided = true;
        digits += strlen("ddim");
    }
    if (!text_to_uint(digits, &number) || number == 0)
        return fail(ERR_USAGE,
                    "steps \"%.60s\": expected a number from 1 to %d, or ddim and a "
                    "number",
                    q->steps, q->config->n_train);
    if (number > (uint64_t)q->config->n_train)
        return fail(ERR_USAGE, "steps %.60s: the model was trained with %d, more cannot be taken",
                    q->steps, q->config->n_train);
    q->n_steps = (int)number;
    return OK;
}

/* Extreme betas must not reach the device as infinities. */
static status check_rows(const schedule *s)
{
    for (int i = 0; i < s->n_rows; i++) {
        const schedule_row *r = &s->rows[i];
        const float all[] = {r->x0_x,   r->x0_o, r->eps_x,   r->eps_o,   r->clip, r->to_x0,
                             r->to_eps, r->to_x, r->log_min, r->log_max, r->noise};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            if (!float_is_finite(all[k]))
                return fail(ERR_FORMAT,
                            "the scheduler's betas leave no finite coefficients at timestep %d",
                            r->timestep);
    }
    return OK;
}

status schedule_init(schedule *s, const schedule_config *config, compat arithmetic,
                     sampler_kind sampler, const char *steps, double eta, bool learned)
{
    request q = {config, steps, 0, false, sampler, eta, learned};
    *s = (schedule){0};
    if (sampler == SAMPLER_DDIM && !(eta >= 0 && eta <= 1))
        return fail(ERR_USAGE, "eta %g: expected 0 to 1", eta);
    status st = parse_steps(&q);
    if (st == OK) st = arithmetic == COMPAT_ORIGINAL ? init_original(s, &q) : init_diffusers(s, &q);
    if (st == OK) st = check_rows(s);
    if (st != OK) schedule_free(s);
    return st;
}

void schedule_free(schedule *s)
{
    free(s->rows);
    *s = (schedule){0};
}
