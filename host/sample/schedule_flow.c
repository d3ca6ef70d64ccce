/* SiT (Ma et al. 2024): a path x_t = alpha(t) data + sigma(t) noise from noise (t = 0) to data (t =
 * 1). The probability flow, or a stochastic equation, is integrated along it in float32, as in the
 * program published with the paper and in torchdiffeq's fixed-grid solvers. */
#include <math.h>
#include <stdlib.h>

#include "base/fp16.h"
#include "base/memory.h"
#include "sample/sampler.h"

enum { MIN_POINTS = 2 };

static const float pi = 3.14159265358979323846f;
static const float vp_least = 0.1f, vp_most = 20.0f; /* beta of the VP path */
static const double singular = 1e-3; /* distance from an end where predictions are singular */
/* length of the last step of a stochastic run, which adds no noise */
static const double last_step = 0.04;

#define DIFFUSION_NAME(constant, name) name,
const char *const diffusion_names[] = {DIFFUSION_FORMS(DIFFUSION_NAME) NULL};

/* A point of the path. Drift and score are linear combinations of x and the model's output. */
typedef struct {
    float t, alpha, sigma;
    float drift_x, drift_o, score_x, score_o, diffusion;
    float data_x, data_o; /* the data that the output implies */
} point;

/* alpha and sigma, their derivatives, alpha' / alpha, and the diffusion of the SBDM form. */
typedef struct {
    float alpha, alpha_slope, sigma, sigma_slope, ratio, variance;
} coefficients;

static coefficients path_at(flow_path path, float t)
{
    coefficients c = {.alpha = t, .alpha_slope = 1, .sigma = 1 - t, .sigma_slope = -1};
    c.ratio = 1 / t;
    if (path == PATH_GVP) {
        float angle = t * pi / 2;
        c.alpha = sinf(angle);
        c.alpha_slope = pi / 2 * cosf(angle);
        c.sigma = cosf(angle);
        c.sigma_slope = -pi / 2 * sinf(angle);
        c.ratio = pi / (2 * tanf(angle));
    }
    if (path == PATH_VP) {
        float rest = 1 - t, range = vp_most - vp_least;
        float log_alpha = -0.25f * rest * rest * range - 0.5f * rest * vp_least;
        float square = expf(2 * log_alpha);
        c.ratio = 0.5f * rest * range + 0.5f * vp_least;
        c.alpha = expf(log_alpha);
        c.alpha_slope = c.alpha * c.ratio;
        c.sigma = sqrtf(1 - square);
        c.sigma_slope = square * (2 * c.ratio) / (-2 * c.sigma);
        c.variance = c.ratio;
        return c;
    }
    c.variance = c.ratio * (c.sigma * c.sigma) - c.sigma * c.sigma_slope;
    return c;
}

static float diffusion_at(diffusion_form form, const coefficients *c, float t)
{
    float wave;
    switch (form) {
    case DIFFUSION_CONSTANT: return 1;
    case DIFFUSION_SBDM: return c->variance;
    case DIFFUSION_LINEAR: return 1 - t;
    case DIFFUSION_DECREASING: wave = cosf(pi * t) + 1; return 0.25f * wave * wave;
    case DIFFUSION_INCREASING_DECREASING: wave = sinf(pi * t); return wave * wave;
    default: return c->sigma;
    }
}

/* Solves x = alpha data + sigma noise together with the output: velocity = alpha' data + sigma'
 * noise, or the noise, or score = -noise / sigma. */
static void find_data(point *p, prediction predicts, const coefficients *c)
{
    if (predicts == PREDICT_VELOCITY) {
        float both = c->alpha * c->sigma_slope - c->sigma * c->alpha_slope;
        p->data_x = c->sigma_slope / both;
        p->data_o = -c->sigma / both;
        return;
    }
    p->data_x = 1 / c->alpha;
    p->data_o = (predicts == PREDICT_EPSILON ? -c->sigma : c->sigma * c->sigma) / c->alpha;
}

static point point_at(const sampling *q, float t)
{
    coefficients c = path_at(q->config.path, t);
    point p = {.t = t, .alpha = c.alpha, .sigma = c.sigma, .drift_o = 1, .score_o = 1};
    if (q->config.predicts == PREDICT_VELOCITY) {
        float ratio = c.alpha / c.alpha_slope;
        float variance = c.sigma * c.sigma - ratio * c.sigma_slope * c.sigma;
        p.score_x = -1 / variance;
        p.score_o = ratio / variance;
    } else {
        if (q->config.predicts == PREDICT_EPSILON) p.score_o = -1 / c.sigma;
        p.drift_x = c.ratio;
        p.drift_o = c.variance * p.score_o;
    }
    p.diffusion = diffusion_at(q->options.diffusion, &c, t);
    find_data(&p, q->config.predicts, &c);
    return p;
}

/* The interval of t. */
static void flow_interval(double *from, double *to, const sampling *q)
{
    bool noisy = q->options.sampler == SAMPLER_SDE;
    bool velocity = q->config.predicts == PREDICT_VELOCITY, vp = q->config.path == PATH_VP;
    *from = !velocity && !vp ? singular : 0;
    *to = vp || !velocity ? 1 - singular : 1;
    if (noisy) *to = 1 - last_step;
    if (q->options.invert) {
        *from = 1 - *from;
        *to = 1 - *to;
    }
}

static schedule_row flow_row(const point *p)
{
    return (schedule_row){.timestep = p->t,
                          .signal = p->alpha,
                          .spread = p->sigma,
                          .estimate_x = p->data_x,
                          .estimate_o = p->data_o,
                          .step.eps_o = 1};
}

/* x' = x + drift * dt. noisy: the drift of the stochastic equation. */
static void flow_step(step_coefficients *step, const point *p, float dt, bool noisy)
{
    float more = noisy ? p->diffusion : 0;
    step->to_x = 1 + dt * (p->drift_x + (noisy ? more * p->score_x : 0));
    step->to_eps = dt * (p->drift_o + (noisy ? more * p->score_o : 0));
}

/* The second prediction of Heun's method, added to the tensor that the first one kept. */
static void flow_heun(schedule_row *first, schedule_row *second, const point *at, const point *next,
                      float dt)
{
    first->step.keep_x = 1 + dt / 2 * at->drift_x;
    first->step.keep_eps = dt / 2 * at->drift_o;
    *second = flow_row(next);
    second->between = true;
    second->step.to_kept = 1;
    second->step.to_x = dt / 2 * next->drift_x;
    second->step.to_eps = dt / 2 * next->drift_o;
}

status sampler_flow(schedule *s, const sampling *q)
{
    status st = OK;
    double from, to;
    bool noisy = q->options.sampler == SAMPLER_SDE, twice = q->options.sampler == SAMPLER_HEUN;
    int n = q->n_steps, rows = twice ? 2 * (n - 1) : noisy ? n : n - 1;
    if (n < MIN_POINTS)
        return fail(ERR_USAGE, "steps %s: the path needs at least %d points", q->steps, MIN_POINTS);
    flow_interval(&from, &to, q);
    if (noisy && !float_is_finite(point_at(q, (float)from).diffusion))
        return fail(ERR_USAGE, "diffusion %s: infinite where this path begins; choose another",
                    diffusion_names[q->options.diffusion]);
    TRY(memory_alloc(&s->rows, (size_t)rows, sizeof *s->rows));
    s->n_rows = rows;
    for (int i = 0; i < n - 1; i++) {
        schedule_row *row = &s->rows[twice ? 2 * i : i];
        point at = point_at(q, linspace_float((float)from, (float)to, n, i));
        point next = point_at(q, linspace_float((float)from, (float)to, n, i + 1));
        float dt = next.t - at.t;
        if (noisy) /* all strides are equal */
            dt = linspace_float((float)from, (float)to, n, 1) - (float)from;
        *row = flow_row(&at);
        flow_step(&row->step, &at, dt, noisy);
        row->draws = noisy;
        if (noisy) row->step.noise = sqrtf(2 * at.diffusion) * sqrtf(dt);
        if (twice) flow_heun(row, row + 1, &at, &next, dt);
    }
    if (noisy) {
        point end = point_at(q, (float)to);
        s->rows[n - 1] = flow_row(&end);
        flow_step(&s->rows[n - 1].step, &end, (float)last_step, true);
    }
done:
    return st;
}
