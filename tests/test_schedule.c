/* Schedules against diffusers' own schedulers and a numpy transcription of the original's
 * equations: trajectories of six numbers under a toy network (scripts/oracle_schedule.py made the
 * expected values). The step below is the formula of cl/step.clh, written once more. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "sample/schedule.h"
#include "suites.h"

enum { WIDTH = 6 };

typedef struct {
    compat arithmetic;
    sampler_kind sampler;
    const char *config, *steps;
    double eta;
    bool learned, invert;
    diffusion_form diffusion;
    int n_rows;
    double first, last, timesteps; /* timesteps: their sum, each times its row's number, from 1 */
    long long draws;               /* the sum of the numbers of rows that draw noise */
    float expected[WIDTH];
} trajectory;

static const trajectory trajectories[] = {
#include "data/schedule.inc"
};
enum { N_TRAJECTORIES = sizeof trajectories / sizeof *trajectories };

/* the configuration of each of diffusers' KarrasDiffusionSchedulers, as from_config of each of our
 * classes reads it (scripts/oracle_from_config.py) */
#include "data/from_config.inc"
enum {
    N_FROM_CONFIG = sizeof from_config / sizeof *from_config,
    N_NOT_FROM_CONFIG = sizeof not_from_config / sizeof *not_from_config
};

static float toy(float x, float t)
{
    return (float)(0.3 * cos((double)t / 100.0)) * x + 0.1f;
}

static float toy_variance(float x, float t)
{
    return 0.8f * sinf(0.01f * x + (float)((double)t / 70.0));
}

static float take_step(const schedule_row *row, float x, float n, float *kept)
{
    const step_coefficients *r = &row->step;
    float o = toy(x, row->timestep), f = (toy_variance(x, row->timestep) + 1) / 2;
    float x0 = r->x0_x * x + r->x0_o * o, eps = r->eps_x * x + r->eps_o * o;
    if (r->clip > 0) x0 = fminf(fmaxf(x0, -r->clip), r->clip);
    float s = r->noise;
    if (row->learned) s *= expf(0.5f * (f * r->log_max + (1 - f) * r->log_min));
    float next = r->to_x0 * x0 + r->to_eps * eps + r->to_x * x + s * n;
    if (r->to_kept != 0) next += r->to_kept * *kept;
    *kept = r->keep_x0 * x0 + r->keep_eps * eps + r->keep_x * x;
    return next;
}

/* Relative L2 distance of the trajectory's end. */
static double run(const schedule *s, const trajectory *c)
{
    double difference = 0, norm = 0;
    for (int j = 0; j < WIDTH; j++) {
        float x = (float)(1.3 * cos(1.9 * j + 0.4)) * s->initial_scale, kept = NAN;
        for (int i = 0; i < s->n_rows; i++)
            x = take_step(&s->rows[i], x, (float)(1.4 * sin(1.7 * i + 2.3 * j + 0.5)), &kept);
        difference += pow(x - c->expected[j], 2);
        norm += pow(c->expected[j], 2);
    }
    return sqrt(difference / norm);
}

/* Only rounding differs. The largest measured error is 2.1e-6 (1000 steps). */
static void check_trajectory(const trajectory *c)
{
    schedule_config config;
    schedule s;
    ck_assert_msg(config_parse_schedule(&config, c->config, "test", NULL) == OK, "%s", fail_line());
    const schedule_options options = {c->arithmetic, c->sampler, c->steps,    c->eta,
                                      c->learned,    c->invert,  c->diffusion};
    ck_assert_msg(schedule_init(&s, &config, &options) == OK, "%s steps %s: %s", c->config,
                  c->steps, fail_line());
    double timesteps = 0;
    long long draws = 0;
    for (int i = 0; i < s.n_rows; i++) {
        timesteps += (i + 1.0) * (double)s.rows[i].timestep;
        if (s.rows[i].draws) draws += i + 1;
    }
    ck_assert_int_eq(s.n_rows, c->n_rows);
    ck_assert_float_eq(s.rows[0].timestep, (float)c->first);
    ck_assert_float_eq(s.rows[s.n_rows - 1].timestep, (float)c->last);
    /* torch spreads times between 0 and 1 with another last bit */
    double rounding = config.flow ? 1e-6 : 1e-12;
    ck_assert_double_eq_tol(timesteps, c->timesteps, rounding * c->timesteps + 1e-12);
    ck_assert_int_eq(draws, c->draws);
    double error = run(&s, c);
    ck_assert_msg(error < 1e-5, "%s %s %s%s eta %g steps %s: relative error %.2e",
                  c->arithmetic == COMPAT_ORIGINAL ? "original" : "diffusers",
                  sampler_names[c->sampler], c->invert ? "inverted " : "", c->config, c->eta,
                  c->steps, error);
    schedule_free(&s);
    config_free_schedule(&config);
}

START_TEST(test_trajectory)
{
    check_trajectory(&trajectories[_i]);
}
END_TEST

START_TEST(test_from_config)
{
    check_trajectory(&from_config[_i]);
}
END_TEST

/* A value that the class accepts and ditcl does not: the message names one of these keys. */
START_TEST(test_not_from_config)
{
    schedule_config config, resolved;
    char keys[100], *key = keys;
    bool named = false;
    ck_assert_int_eq(config_parse_schedule(&config, not_from_config[_i].config, "test", NULL), OK);
    ck_assert_int_eq(config_resolve_schedule(&resolved, &config, not_from_config[_i].sampler),
                     ERR_FORMAT);
    snprintf(keys, sizeof keys, "%s", not_from_config[_i].keys);
    for (char *word = strtok_r(key, " ", &key); word; word = strtok_r(NULL, " ", &key))
        named |= strstr(fail_line(), word) != NULL;
    ck_assert_msg(named, "%s: %s", not_from_config[_i].keys, fail_line());
    config_free_schedule(&config);
}
END_TEST

/* A shipped spacing, number by number: facts of the published program. */
START_TEST(test_known_spacings)
{
    schedule_config config;
    schedule s;
    ck_assert_int_eq(config_original_schedule(&config, SAMPLER_DDPM, true), OK);
    schedule_options options = {COMPAT_ORIGINAL, SAMPLER_DDPM, "50", .learned = true};
    ck_assert_int_eq(schedule_init(&s, &config, &options), OK);
    static const int begin[] = {0, 20, 41, 61, 82, 102}, end[] = {958, 979, 999};
    for (int i = 0; i < 6; i++) ck_assert_int_eq((int)s.rows[49 - i].timestep, begin[i]);
    for (int i = 0; i < 3; i++) ck_assert_int_eq((int)s.rows[2 - i].timestep, end[i]);
    schedule_free(&s);
    options.sampler = SAMPLER_DDIM;
    options.steps = "ddim50";
    ck_assert_int_eq(schedule_init(&s, &config, &options), OK);
    for (int i = 0; i < 50; i++) ck_assert_int_eq((int)s.rows[i].timestep, 980 - 20 * i);
    schedule_free(&s);
}
END_TEST

static const struct {
    compat arithmetic;
    sampler_kind sampler;
    const char *config, *steps;
    double eta;
    bool learned;
    bool invert;
    status expected;
    const char *word; /* must be in the message */
} refusals[] = {
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, "", "0", 0, true, false, ERR_USAGE, "steps"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, "", "-5", 0, true, false, ERR_USAGE, "steps"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, "", "50x", 0, true, false, ERR_USAGE, "steps"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, "", "", 0, true, false, ERR_USAGE, "steps"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, "", "1001", 0, true, false, ERR_USAGE, "1000"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, "", "99999999999999999999999", 0, true, false, ERR_USAGE,
     "steps"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, "", "ddim50", 0, true, false, ERR_USAGE, "original"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, "", "10", -0.1, true, false, ERR_USAGE, "eta"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, "", "10", 1.1, true, false, ERR_USAGE, "eta"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, "", "10", NAN, true, false, ERR_USAGE, "eta"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, ",\"steps_offset\":1", "1000", 0, true, false, ERR_FORMAT,
     "steps_offset"},
    {COMPAT_DIFFUSERS, SAMPLER_DDPM, ",\"variance_type\":\"learned_range\"", "10", 0, false, false,
     ERR_FORMAT, "learned_range"},
    {COMPAT_DIFFUSERS, SAMPLER_DDPM, ",\"variance_type\":\"fixed_large_log\"", "10", 0, false,
     false, ERR_FORMAT, "fixed_large_log"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, ",\"beta_start\":1e-30,\"beta_end\":1e-30", "10", 0.5, true,
     false, ERR_FORMAT, "finite"},
    {COMPAT_ORIGINAL, SAMPLER_DDPM, "", "1", 0, true, false, ERR_USAGE, "at least 2"},
    {COMPAT_ORIGINAL, SAMPLER_DDIM, "", "1", 0, true, false, ERR_USAGE, "at least 2"},
    {COMPAT_ORIGINAL, SAMPLER_DDIM, "", "1001", 0, true, false, ERR_USAGE, "1000"},
    {COMPAT_ORIGINAL, SAMPLER_DDIM, "", "ddim300", 0, true, false, ERR_USAGE, "stride"},
    {COMPAT_ORIGINAL, SAMPLER_DDIM, "", "ddim", 0, true, false, ERR_USAGE, "steps"},
    {COMPAT_ORIGINAL, SAMPLER_DDIM, "", "ddim-5", 0, true, false, ERR_USAGE, "steps"},
    {COMPAT_ORIGINAL, SAMPLER_DDPM, ",\"prediction_type\":\"v_prediction\"", "10", 0, true, false,
     ERR_FORMAT, "v_prediction"},
    {COMPAT_ORIGINAL, SAMPLER_DDPM, "", "1,0", 0, true, false, ERR_USAGE, "at least 2"},
    {COMPAT_ORIGINAL, SAMPLER_DDPM, "", ",", 0, true, false, ERR_USAGE, "between the commas"},
    {COMPAT_ORIGINAL, SAMPLER_DDPM, "", "10,,10", 0, true, false, ERR_USAGE, "between"},
    {COMPAT_ORIGINAL, SAMPLER_DDPM, "", "10,10,", 0, true, false, ERR_USAGE, "between"},
    {COMPAT_ORIGINAL, SAMPLER_DDPM, "", "10,-1", 0, true, false, ERR_USAGE, "between"},
    {COMPAT_ORIGINAL, SAMPLER_DDPM, "", "10,99999999999999999999999", 0, true, false, ERR_USAGE,
     "steps"},
    {COMPAT_ORIGINAL, SAMPLER_DDPM, "", "10,501", 0, true, false, ERR_USAGE, "section 2 has 500"},
    {COMPAT_DIFFUSERS, SAMPLER_DDPM, "", "10,10", 0, true, false, ERR_USAGE, "original"},
    {COMPAT_ORIGINAL, SAMPLER_EULER, "", "10,10", 0, true, false, ERR_USAGE, "original"},
    {COMPAT_ORIGINAL, SAMPLER_DPM, "", "ddim10", 0, true, false, ERR_USAGE, "original"},
    {COMPAT_ORIGINAL, SAMPLER_DPM, "", "10,10", 0, true, false, ERR_USAGE, "ddpm or ddim"},
    {COMPAT_DIFFUSERS, SAMPLER_SDE, "", "10", 0, true, false, ERR_USAGE,
     "DiT models: expected ddpm, ddim, dpm++, euler"},
    {COMPAT_DIFFUSERS, SAMPLER_DDPM, "", "10", 0, true, true, ERR_USAGE, "inverted"},
    {COMPAT_DIFFUSERS, SAMPLER_HEUN, "", "10", 0, true, true, ERR_USAGE, "expected ddim"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, "", "10", 0.5, true, true, ERR_USAGE, "eta"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, ",\"timestep_spacing\":\"linspace\"", "10", 0, true, true,
     ERR_FORMAT, "linspace"},
    {COMPAT_DIFFUSERS, SAMPLER_DDIM, ",\"prediction_type\":\"sample\"", "10", 0, true, true,
     ERR_FORMAT, "sample"},
};

static const struct {
    sampler_kind sampler;
    const char *config, *steps;
    bool invert;
    diffusion_form diffusion;
    const char *word;
} flow_refusals[] = {
    {SAMPLER_DDPM, "", "10", false, DIFFUSION_SIGMA, "SiT models: expected euler, heun"},
    {SAMPLER_DDIM, "", "10", true, DIFFUSION_SIGMA, "SiT"},
    {SAMPLER_DPM, "", "10", false, DIFFUSION_SIGMA, "dpm++"},
    {SAMPLER_SDE, "", "10", true, DIFFUSION_SIGMA, "inverted for SiT models: expected euler"},
    {SAMPLER_HEUN, "", "10", false, DIFFUSION_LINEAR, "sde"},
    {SAMPLER_HEUN, "", "1", false, DIFFUSION_SIGMA, "at least 2"},
    {SAMPLER_HEUN, "", "0", false, DIFFUSION_SIGMA, "steps"},
    {SAMPLER_HEUN, "", "ddim10", false, DIFFUSION_SIGMA, "original"},
    {SAMPLER_HEUN, "", "5,5", false, DIFFUSION_SIGMA, "original"},
    {SAMPLER_SDE, "", "10", false, DIFFUSION_SBDM, "finite"},
    {SAMPLER_EULER, ",\"path_type\":\"VP\",\"prediction\":\"noise\"", "10", true, DIFFUSION_SIGMA,
     "finite"},
};

START_TEST(test_flow_refusal)
{
    char json[200];
    schedule_config config;
    schedule s;
    snprintf(json, sizeof json, "{\"_class_name\":\"SiT\"%s}", flow_refusals[_i].config);
    ck_assert_int_eq(config_parse_schedule(&config, json, "test", NULL), OK);
    const schedule_options options = {.sampler = flow_refusals[_i].sampler,
                                      .steps = flow_refusals[_i].steps,
                                      .invert = flow_refusals[_i].invert,
                                      .diffusion = flow_refusals[_i].diffusion};
    ck_assert_int_ne(schedule_init(&s, &config, &options), OK);
    ck_assert_ptr_null(s.rows);
    ck_assert_msg(strstr(fail_line(), flow_refusals[_i].word) != NULL, "%s", fail_line());
}
END_TEST

START_TEST(test_refusal)
{
    char json[200];
    schedule_config config;
    schedule s;
    snprintf(json, sizeof json, "{\"_class_name\":\"DDIMScheduler\"%s}", refusals[_i].config);
    ck_assert_int_eq(config_parse_schedule(&config, json, "test", NULL), OK);
    const schedule_options options = {
        refusals[_i].arithmetic, refusals[_i].sampler, refusals[_i].steps, refusals[_i].eta,
        refusals[_i].learned,    refusals[_i].invert,  DIFFUSION_SIGMA};
    status st = schedule_init(&s, &config, &options);
    ck_assert_int_eq(st, refusals[_i].expected);
    ck_assert_ptr_null(s.rows);
    ck_assert_msg(strstr(fail_line(), refusals[_i].word) != NULL, "%s", fail_line());
    config_free_schedule(&config);
}
END_TEST

/* alpha or sigma of a path of SiT (Ma et al. 2024, table 1; VP: Ho et al. 2020). */
static double path_value(int path, bool of_noise, double t)
{
    double square, log_alpha = -0.25 * (1 - t) * (1 - t) * 19.9 - 0.5 * (1 - t) * 0.1;
    switch (path) {
    case 0: return of_noise ? 1 - t : t;
    case 1: return of_noise ? cos(M_PI * t / 2) : sin(M_PI * t / 2);
    default: square = exp(2 * log_alpha); return sqrt(of_noise ? 1 - square : square);
    }
}

static double path_slope(int path, bool of_noise, double t)
{
    const double h = 1e-5;
    return (path_value(path, of_noise, t + h) - path_value(path, of_noise, t - h)) / (2 * h);
}

/* A network that is right about data and noise: the estimate is the data. */
START_TEST(test_flow_estimate)
{
    static const char *const paths[] = {"Linear", "GVP", "VP"};
    static const char *const predictions[] = {"velocity", "noise", "score"};
    int path = _i % 3, predicts = _i / 3;
    const double data = 0.75, noise = -1.25;
    char json[200];
    schedule_config config;
    schedule s;
    snprintf(json, sizeof json,
             "{\"_class_name\":\"SiT\",\"path_type\":\"%s\",\"prediction\":\"%s\"}", paths[path],
             predictions[predicts]);
    ck_assert_int_eq(config_parse_schedule(&config, json, "test", NULL), OK);
    const schedule_options options = {.sampler = SAMPLER_HEUN, .steps = "9"};
    ck_assert_int_eq(schedule_init(&s, &config, &options), OK);
    for (int i = 2; i + 2 < s.n_rows; i++) { /* at the ends float32 has few digits left */
        const schedule_row *row = &s.rows[i];
        double t = (double)row->timestep, sigma = path_value(path, true, t);
        double x = path_value(path, false, t) * data + sigma * noise;
        double velocity = path_slope(path, false, t) * data + path_slope(path, true, t) * noise;
        double output = predicts == 0 ? velocity : predicts == 1 ? noise : -noise / sigma;
        double found = (double)row->estimate_x * x + (double)row->estimate_o * output;
        ck_assert_msg(fabs(found - data) < 2e-3, "%s, %s, t %g: found %g, expected %g", paths[path],
                      predictions[predicts], t, found, data);
    }
    schedule_free(&s);
}
END_TEST

Suite *suite_schedule(void)
{
    Suite *suite = suite_create("schedule");
    TCase *tests = tcase_create("trajectories");
    tcase_add_loop_test(tests, test_trajectory, 0, N_TRAJECTORIES);
    tcase_add_loop_test(tests, test_from_config, 0, N_FROM_CONFIG);
    tcase_add_loop_test(tests, test_not_from_config, 0, N_NOT_FROM_CONFIG);
    tcase_add_test(tests, test_known_spacings);
    suite_add_tcase(suite, tests);
    tests = tcase_create("estimates");
    tcase_add_loop_test(tests, test_flow_estimate, 0, 9);
    suite_add_tcase(suite, tests);
    tests = tcase_create("refusals");
    tcase_add_loop_test(tests, test_refusal, 0, sizeof refusals / sizeof *refusals);
    tcase_add_loop_test(tests, test_flow_refusal, 0, sizeof flow_refusals / sizeof *flow_refusals);
    suite_add_tcase(suite, tests);
    return suite;
}
