/* host/tune/fit.c: every candidate is right. A stored configuration is used, and then nothing is
 * measured. A measured one is stored. No test depends on time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "device.h"
#include "device/span.h"
#include "ops/ops.h"
#include "optest/optest.h"
#include "part.h"
#include "scratch.h"
#include "suites.h"
#include "tune/measure.h"
#include "tune/search.h"

enum { GEMM, CONV, N_FITTED };
static const int shapes[N_FITTED][SHAPE_SIZES] = {{256, 768, 2304}, {1024, 256, 256, 1}};

static int said, warned;
static char last_warning[300];

static void say(const char *line)
{
    (void)line;
    said++;
}

static void warn(const char *line)
{
    snprintf(last_warning, sizeof last_warning, "%s", line);
    warned++;
}

static void open_config(void)
{
    wanted_devices();
    scratch_open();
    setenv("XDG_CONFIG_HOME", scratch_folder(), 1);
    unsetenv("DITCL_FIT");
    said = warned = 0;
    srand(test_seed);
}

static void close_config(void)
{
    setenv("DITCL_FIT", "off", 1);
    scratch_close();
}

static device open_one(const device_info *info, precision p)
{
    device d;
    const device_settings settings = {.precision = p, .no_cache = true, .warn = warn};
    ck_assert_msg(device_open(&d, info, &settings) == OK, "%s", fail_line());
    return d;
}

/* The untuned implementation, and those of its default configurations that fit. */
typedef struct {
    const op_impl *t;
    const int *values[64];
    int n;
} candidates;

static candidates find(const device *d, int op)
{
    static const operator* const of[] = {&operators[OP_GEMM], &operators[OP_CONV]};
    const op_impl *all[MOST_IMPLS];
    candidates c = {0};
    ck_assert_int_gt(operator_impls(of[op], d, shapes[op], all), 0);
    c.t = all[0];
    for (int i = 0; i < c.t->n_configs && c.n < 64; i++)
        if (c.t->fits(d, c.t->configs[i], shapes[op])) c.values[c.n++] = c.t->configs[i];
    return c;
}

/* Whether the device uses the configuration of a candidate. */
static bool uses(const device *d, const candidates *c, int op, int which)
{
    const int *v = configuration_for(d, c->t, shapes[op]);
    return v && !memcmp(v, c->values[which], sizeof(int[CONFIG_VALUES]));
}

/* Whether these values serve case i; *amount = its work. */
static bool serve_case(double *amount, const device *d, const operator* o, const op_impl *t,
                       const int *values, int i)
{
    const op_impl *all[MOST_IMPLS];
    int shape[SHAPE_SIZES];
    bool serves = false;
    part_shape(shape, amount, part_whole(o->op), i);
    for (int k = operator_impls(o, d, shape, all) - 1; k >= 0; k--) serves |= all[k] == t;
    return serves && configuration_valid(d, t, values, shape);
}

/* Draws a few of the small cases that these values fit, since each case builds one program or
 * several. If there is none, takes the smallest case that they fit. */
static optest some_cases(const device *d, const operator* o, const op_impl *t, const int *values)
{
    enum { SOME = 4, DRAWS = 1000 };
    static const double MOST_WORK = 4e6;
    const optest *whole = part_whole(o->op);
    double amount, least = 0.0;
    int cases[SOME], n = 0;
    for (int draw = 0; draw < DRAWS && n < SOME; draw++) {
        int i = rand() % whole->n_cases;
        bool serves = serve_case(&amount, d, o, t, values, i);
        for (int c = 0; c < n; c++) serves &= cases[c] != i;
        if (serves && amount <= (emulated() ? MOST_WORK / 12 : MOST_WORK)) cases[n++] = i;
    }
    for (int i = 0, found = n; i < whole->n_cases && !found; i++)
        if (serve_case(&amount, d, o, t, values, i) && (!n || amount < least)) {
            least = amount;
            cases[0] = i;
            n = 1;
        }
    ck_assert_msg(n > 0, "%s %s: no case", o->op, t->name);
    return part_of(whole, cases, n);
}

static const operator* operator_of(const op_impl *t)
{
    int i = 0;
    while (strcmp(operators[i].op, t->op) != 0) i++;
    return &operators[i];
}

START_TEST(every_candidate_is_right)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++)
        for (int op = 0; op < N_FITTED; op++) {
            device d = open_one(&devices->items[i], PRECISION_FP32);
            int n = find(&d, op).n;
            device_close(&d);
            for (int c = 1; c < n; c++) { /* the first is what all other tests take */
                d = open_one(&devices->items[i], PRECISION_FP32);
                candidates all = find(&d, op);
                ck_assert_int_eq(configuration_set(&d, all.t, NULL, all.values[c]), OK);
                optest_tally tally;
                const optest some = some_cases(&d, operator_of(all.t), all.t, all.values[c]);
                ck_assert_msg(
                    optest_check(&d, &some, test_seed, emulated(), NULL, stdout, &tally) == OK,
                    "%s", fail_line());
                ck_assert_int_gt(tally.cases, 0);
                ck_assert_msg(tally.failed == 0, "%s: candidate %d", all.t->op, c);
                device_close(&d);
            }
        }
}
END_TEST

/* Writes a store with a changed line for candidate c. */
static void write_store(const device *d, const candidates *all, int c, const char *kernels,
                        int more)
{
    candidate is = candidate_of(all->t, all->values[c]);
    store s = {0};
    is.config[all->t->n - 1] += more;
    ck_assert_int_eq(store_put(&s, d, &is, NULL, false), OK);
    if (kernels) snprintf(s.lines[0].kernels, STORE_HASH, "%s", kernels);
    ck_assert_msg(store_save(&s, &d->info) == OK, "%s", fail_line());
    store_free(&s);
}

/* Packs the weights of a GEMM with the candidate's configuration. */
static void expect_packed(device *d, const int *values)
{
    const int *s = shapes[GEMM];
    float *zeros = calloc((size_t)s[1] * (size_t)s[2], sizeof *zeros);
    gemm_weight w;
    ck_assert_ptr_nonnull(zeros);
    ck_assert_int_eq(gemm_weight_upload(d, &w, zeros, zeros, s[0], s[1], s[2], "test"), OK);
    free(zeros);
    ck_assert_mem_eq(w.use.config, values, sizeof(int[CONFIG_VALUES]));
    gemm_weight_free(d, &w);
}

START_TEST(a_stored_choice_is_used)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++)
        for (int op = 0; op < N_FITTED; op++) {
            device d = open_one(&devices->items[i], PRECISION_FP32);
            candidates all = find(&d, op);
            for (int c = 0; c < all.n && all.t->n; c++) {
                write_store(&d, &all, c, NULL, 0);
                configuration_forget(&d);
                tune_fit(&d, false, say);
                ck_assert(uses(&d, &all, op, c));
                ck_assert_int_eq(warned, 0);
                if (op == GEMM) expect_packed(&d, all.values[c]);
            }
            device_close(&d);
        }
    ck_assert_int_eq(said, 0);
}
END_TEST

/* An outdated choice does not serve. The configuration that cl/devices ships for the device
 * serves instead, or if there is none, the first default configuration. */
START_TEST(outdated_choices_are_ignored)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++)
        for (int op = 0; op < N_FITTED; op++) {
            device d = open_one(&devices->items[i], PRECISION_FP32);
            candidates all = find(&d, op);
            int shipped[CONFIG_VALUES];
            store_apply_shipped(&d);
            memcpy(shipped, configuration_for(&d, all.t, shapes[op]), sizeof shipped);
            configuration_forget(&d);
            if (all.n > 1) {
                warned = 0;
                write_store(&d, &all, 1, "0123456789abcdef", 0);
                tune_fit(&d, false, say);
                ck_assert_int_eq(warned, 1);
                ck_assert_msg(strstr(last_warning, "other kernels"), "%s", last_warning);
                ck_assert_mem_eq(configuration_for(&d, all.t, shapes[op]), shipped, sizeof shipped);
                write_store(&d, &all, 1, NULL, 7);
                tune_fit(&d, false, say);
                ck_assert_int_eq(warned, 2);
                ck_assert_msg(strstr(last_warning, "no such candidate"), "%s", last_warning);
                ck_assert_mem_eq(configuration_for(&d, all.t, shapes[op]), shipped, sizeof shipped);
            }
            device_close(&d);
        }
}
END_TEST

/* ---- shapes ---- */

static status put_for_shape(device *d, const op_impl *t, const int *shape, const int *values,
                            const char *from, const char *to)
{
    store s = {0};
    text all = {0};
    status st = OK;
    const candidate c = candidate_of(t, values);
    TRY(store_put(&s, d, &c, shape, true));
    if (from) { /* as an editor would */
        char line[400], *at;
        TRY(store_save(&s, &d->info));
        TRY(store_text(&s, &d->info, &all));
        char path[4096];
        TRY(store_path(path, sizeof path, &d->info));
        ck_assert_ptr_nonnull(at = strstr(all.data, from));
        snprintf(line, sizeof line, "%s%s", to, at + strlen(from));
        *at = 0;
        FILE *f = fopen(path, "w");
        ck_assert_ptr_nonnull(f);
        fputs(all.data, f);
        fputs(line, f);
        fclose(f);
    } else {
        TRY(store_save(&s, &d->info));
    }
done:
    text_free(&all);
    store_free(&s);
    return st;
}

/* A line for one shape, with the last configuration of the last implementation, serves that shape
 * alone. */
START_TEST(a_choice_for_a_shape_is_used_there_alone)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        device d = open_one(&devices->items[i], PRECISION_AUTO);
        const op_impl *all[MOST_IMPLS];
        const int *shape = shapes[GEMM], other[SHAPE_SIZES] = {256, 768, 2000};
        int n = operator_impls(&operators[OP_GEMM], &d, shape, all);
        const op_impl *t = all[n - 1];
        int last = t->n_configs - 1;
        while (last > 0 && !t->fits(&d, t->configs[last], shape)) last--;
        const int *values = t->configs[last];
        const char *before = gemm_name(&d, other[0], other[1], other[2]);
        ck_assert(t->fits(&d, values, shape));
        ck_assert_msg(put_for_shape(&d, t, shape, values, NULL, NULL) == OK, "%s", fail_line());
        tune_fit(&d, false, say);
        ck_assert_int_eq(warned, 0);
        ck_assert_str_eq(gemm_name(&d, shape[0], shape[1], shape[2]), t->name);
        ck_assert_mem_eq(configuration_for(&d, t, shape), values, sizeof(int[CONFIG_VALUES]));
        if (strncmp(before, "clblast", 7)) /* one process has only one set of parameters */
            ck_assert_str_eq(gemm_name(&d, other[0], other[1], other[2]), before);
        device_close(&d);
        d = open_one(&devices->items[i],
                     PRECISION_BF16); /* what was measured holds for another precision */
        tune_fit(&d, false, say);
        ck_assert_int_eq(warned, 0);
        ck_assert_ptr_null(configuration_serving(&d, "gemm", shape));
        device_close(&d);
    }
}
END_TEST

/* The second implementation serves, in one precision, every shape that has no line of its own. */
START_TEST(a_choice_for_all_shapes_serves_them)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        device d = open_one(&devices->items[i], PRECISION_AUTO);
        const op_impl *all[MOST_IMPLS];
        const int other[] = {33, 96, 200};
        store s = {0};
        ck_assert_int_ge(operator_impls(&operators[OP_GEMM], &d, shapes[GEMM], all), 2);
        const op_impl *t = all[1];
        ck_assert_str_ne(gemm_name(&d, other[0], other[1], other[2]), t->name);
        const candidate c = candidate_of(t, t->configs[0]);
        ck_assert_int_eq(store_put(&s, &d, &c, NULL, true), OK);
        ck_assert_msg(store_save(&s, &d.info) == OK, "%s", fail_line());
        store_free(&s);
        tune_fit(&d, false, say);
        ck_assert_int_eq(warned, 0);
        ck_assert_str_eq(gemm_name(&d, other[0], other[1], other[2]), t->name);
        device_close(&d);
        d = open_one(&devices->items[i], PRECISION_FP32);
        tune_fit(&d, false, say);
        ck_assert_ptr_null(configuration_serving(&d, "gemm", shapes[GEMM]));
        device_close(&d);
    }
}
END_TEST

static const struct {
    const char *from, *to, *says;
} bad_choices[] = {
    {"256x768x2304", "256x768", "no such shape"},
    {"256x768x2304", "256x768x2304x1", "no such shape"},
    {"256x768x2304", "0x768x2304", "no such shape"},
    {" auto ", " fp9 ", "no such shape"},
    {"gemm ", "gem ", "no such operator"},
    {"use=", "use=x", "no such implementation"},
    {" WGD=", " WGX=", "no such candidate"},
    {" WGD=", " X=1 WGD=", "a value too many"},
    {" WGD=", " WGD=1", "not among the choices"},
    {" PADA=", " PADA=7", "not among the choices"},
    {" WGD=64 MDIMCD=16", " WGD=8 MDIMCD=16", "more than this device has"},
    {"kernels=", "kernels=0123456789abcdef #", "other kernels"},
};

START_TEST(bad_choices_are_ignored)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        device d = open_one(&devices->items[i], PRECISION_AUTO);
        const op_impl *all[MOST_IMPLS], *t = NULL;
        const int *shape = shapes[GEMM];
        for (int n = operator_impls(&operators[OP_GEMM], &d, shape, all) - 1; n >= 0 && !t; n--)
            if (!strcmp(all[n]->name, "clblast_direct")) t = all[n];
        ck_assert_ptr_nonnull(t);
        const char *before = gemm_name(&d, shape[0], shape[1], shape[2]);
        warned = 0;
        ck_assert_msg(put_for_shape(&d, t, shape, t->configs[t->n_configs - 1],
                                    bad_choices[_i].from, bad_choices[_i].to) == OK,
                      "%s", fail_line());
        tune_fit(&d, false, say);
        ck_assert_int_eq(warned, 1);
        ck_assert_msg(strstr(last_warning, bad_choices[_i].says), "%s: %s", bad_choices[_i].to,
                      last_warning);
        ck_assert_str_eq(gemm_name(&d, shape[0], shape[1], shape[2]), before);
        device_close(&d);
    }
}
END_TEST

/* Every configuration that fits is right. The test checks random configurations of each
 * implementation. */
static void check_some(const device_info *info, kernel_family family, const operator* o)
{
    enum { EACH = 2, DRAWS = 3000 };
    const int shape[SHAPE_SIZES] = {64, 64, 64, o->n_sizes == 4 ? 1 : 0};
    const device_settings settings = {.family = family, .no_cache = true};
    const op_impl *all[MOST_IMPLS];
    device d;
    ck_assert_int_eq(device_open(&d, info, &settings), OK);
    int n = operator_impls(o, &d, shape, all);
    for (int k = 0; k < n; k++)
        for (int i = 0, found = 0; i < DRAWS && found < EACH && all[k]->n; i++) {
            int values[CONFIG_VALUES] = {0};
            optest_tally tally;
            for (int v = 0; v < all[k]->n; v++)
                values[v] = all[k]->tunables[v].choices[rand() % all[k]->tunables[v].n];
            if (!configuration_valid(&d, all[k], values, shape)) continue;
            found++;
            configuration_forget(&d);
            setenv(strcmp(o->op, "conv") ? "DITCL_GEMM" : "DITCL_CONV", all[k]->name, 1);
            ck_assert_int_eq(configuration_set(&d, all[k], NULL, values), OK);
            const optest some = some_cases(&d, o, all[k], values);
            status st = optest_check(&d, &some, test_seed, false, NULL, stdout, &tally);
            if (st != OK && strstr(fail_line(), "CLBlast"))
                continue; /* CLBlast checks its parameters itself */
            ck_assert_msg(st == OK, "%s", fail_line());
            char options[CONFIG_OPTIONS];
            configuration_options(options, all[k], values);
            ck_assert_msg(tally.failed == 0, "%s %s%s", o->op, all[k]->name, options);
        }
    unsetenv("DITCL_GEMM");
    unsetenv("DITCL_CONV");
    device_close(&d);
}

START_TEST(values_that_fit_are_right)
{
    const device_list *devices = wanted_devices();
    const operator* o = & operators[_i];
    if (emulated()) return; /* an emulator takes too long */
    for (int i = 0; i < devices->n; i++) {
        check_some(&devices->items[i], FAMILY_AUTO, o);
        check_some(&devices->items[i], FAMILY_GPU, o);
    }
}
END_TEST

START_TEST(what_is_measured_is_stored)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++) {
        char path[4096];
        const device_info *info = &devices->items[i];
        device d = open_one(info, PRECISION_FP32);
        bool emulated = d.info.quirk.has[QUIRK_POISON_BUFFERS];
        int chosen[N_FITTED][CONFIG_VALUES];
        setenv("DITCL_FIT", "off", 1);
        said = 0;
        tune_fit(&d, true, say);
        ck_assert_int_eq(said, 0);
        unsetenv("DITCL_FIT");
        tune_fit(&d, true, say);
        ck_assert_int_eq(said, !emulated); /* what it measures, or a hint at ditcl tune */
        ck_assert_int_eq(store_path(path, sizeof path, info), OK);
        ck_assert_int_eq(file_exists(path), !emulated);
        for (int op = 0; op < N_FITTED; op++)
            memcpy(chosen[op], configuration_for(&d, find(&d, op).t, shapes[op]),
                   sizeof chosen[op]);
        device_close(&d);
        for (int again = 0; again < 2; again++) {
            d = open_one(info, PRECISION_FP32);
            tune_fit(&d, true, say);
            ck_assert_int_eq(said, !emulated); /* not measured again */
            for (int op = 0; op < N_FITTED; op++)
                ck_assert_mem_eq(configuration_for(&d, find(&d, op).t, shapes[op]), chosen[op],
                                 sizeof chosen[op]);
            device_close(&d);
        }
        ck_assert_int_eq(warned, 0);
    }
}
END_TEST

/* ---- the protocol of the benchmark worker ---- */

START_TEST(times_are_read)
{
    static const char *const bad[] = {"",
                                      "ready",
                                      "wrong time 1 1 wall 1 1",
                                      "time",
                                      "time 1 1",
                                      "time 0 1 wall 1 1",
                                      "time -1 1 wall 1 1"};
    candidate_time t;
    ck_assert(candidate_time_parse(&t, "time 0.5 0.25 device 1e9 2e9"));
    ck_assert(t.seconds == 0.5 && t.baseline == 0.25 && t.by_device);
    ck_assert(t.executed[ROOF_FP32] == 1e9 && t.executed[ROOF_16BIT] == 2e9);
    ck_assert(candidate_time_parse(&t, "time 0.5 0 wall 1e9 0") && !t.by_device &&
              t.baseline == 0.0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert(!candidate_time_parse(&t, bad[i]));
}
END_TEST

/* A time by the device's clock counts if it is plausible. */
START_TEST(clocks_are_checked)
{
    ck_assert(measure_believes(0.99, 1.0) && measure_believes(1.0, 1.0));
    ck_assert(!measure_believes(0.0, 1.0) && !measure_believes(0.4, 1.0));
    ck_assert(!measure_believes(1.1, 1.0) && !measure_believes(1e9, 1.0));
}
END_TEST

/* The device's clock gives a plausible time for work that takes a while, or 0, and then the wall
 * clock counts. Without profiling it gives 0. */
START_TEST(spans_are_measured)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++)
        for (int profiled = 0; profiled < 2; profiled++) {
            const device_settings settings = {.no_cache = true, .profiled = profiled};
            const size_t count = emulated() ? 1 << 8 : 1 << 20;
            device d;
            buf b = {0};
            op_plan fill;
            span s;
            ck_assert_int_eq(device_open(&d, &devices->items[i], &settings), OK);
            ck_assert_int_eq(buffer_create(&d, &b, count, "test"), OK);
            ck_assert_int_eq(fill_plan(&d, &fill, count), OK);
            ck_assert_int_eq(op_fill(&d, &fill, b, 1.0f), OK);
            ck_assert_int_eq(device_finish(&d), OK);
            double start = clock_seconds();
            span_begin(&s, &d);
            for (int n = 0; n < 20; n++) ck_assert_int_eq(op_fill(&d, &fill, b, 1.0f), OK);
            span_end(&s, &d);
            ck_assert_int_eq(device_finish(&d), OK);
            double wall = clock_seconds() - start, by_device = span_seconds(&s);
            printf("%s: %.3f ms, its own clock %.3f ms\n", d.info.platform, wall * 1e3,
                   by_device * 1e3);
            ck_assert(profiled ? by_device >= 0.0 : by_device == 0.0);
            ck_assert(span_seconds(&s) == 0.0); /* freed */
            buffer_release(&d, &b);
            device_close(&d);
        }
}
END_TEST

Suite *suite_fit(void)
{
    Suite *s = suite_create("fit");
    TCase *tc = tcase_create("choices");
    tcase_add_checked_fixture(tc, open_config, close_config);
    tcase_add_test(tc, a_stored_choice_is_used);
    tcase_add_test(tc, outdated_choices_are_ignored);
    tcase_add_test(tc, what_is_measured_is_stored);
    tcase_add_test(tc, every_candidate_is_right);
    tcase_add_loop_test(tc, values_that_fit_are_right, 0, 3);
    tcase_set_timeout(tc, 0);
    suite_add_tcase(s, tc);
    tc = tcase_create("lines");
    tcase_add_checked_fixture(tc, open_config, close_config);
    tcase_add_test(tc, a_choice_for_a_shape_is_used_there_alone);
    tcase_add_test(tc, a_choice_for_all_shapes_serves_them);
    tcase_add_loop_test(tc, bad_choices_are_ignored, 0, sizeof bad_choices / sizeof *bad_choices);
    suite_add_tcase(s, tc);
    tc = tcase_create("times");
    tcase_add_test(tc, times_are_read);
    tcase_add_test(tc, clocks_are_checked);
    tcase_add_test(tc, spans_are_measured);
    suite_add_tcase(s, tc);
    return s;
}
