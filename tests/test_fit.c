/* host/trials/fit.c: every candidate computes right; a stored choice is used and nothing is
 * measured then; what is measured is stored. Knows no time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device.h"
#include "device/store.h"
#include "ops/ops.h"
#include "scratch.h"
#include "suites.h"
#include "trials/fit.h"
#include "trials/trial.h"

static const tunable *const tunables[N_TUNABLES] = {
    [TUNABLE_GEMM] = &gemm_cpu_tunable, [TUNABLE_CONV] = &conv_winograd_tunable};

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

static bool has_choice(const device *d, int t)
{
    return d->class == CLASS_CPU && tunables[t]->shape(d) && tunables[t]->candidates(d) > 1;
}

START_TEST(every_candidate_is_right)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++)
        for (int t = 0; t < N_TUNABLES; t++) {
            device d = open_one(&devices->items[i], PRECISION_FP32);
            int n = has_choice(&d, t) ? tunables[t]->candidates(&d) : 0;
            device_close(&d);
            for (int c = 1; c < n; c++) { /* the first is what all other tests take */
                d = open_one(&devices->items[i], PRECISION_FP32);
                d.choice[t] = c;
                trial_tally tally;
                for (int op = 0; trials[op]; op++) {
                    if (strcmp(trials[op]->name, tunables[t]->op) != 0) continue;
                    ck_assert_msg(trial_check(&d, trials[op], test_seed, true, NULL, stdout,
                                              &tally) == OK, "%s", fail_line());
                    ck_assert_int_gt(tally.cases, 0);
                    ck_assert_msg(tally.failed == 0, "%s: candidate %d", tunables[t]->op, c);
                }
                device_close(&d);
            }
        }
}
END_TEST

/* A store whose line for tunable t names candidate c, but for a change. */
static void write_store(const device *d, int t, int c, const char *kernels, int more)
{
    int values[TUNABLE_VALUES];
    store s = {0};
    store_line line = {0};
    tunables[t]->values(d, c, values);
    snprintf(line.op, sizeof line.op, "%s", tunables[t]->op);
    snprintf(line.shape, sizeof line.shape, "%s", tunables[t]->shape(d));
    if (kernels) snprintf(line.kernels, sizeof line.kernels, "%s", kernels);
    else ck_assert_int_eq(store_kernels(line.kernels, tunables[t]->file), OK);
    for (int i = 0; i < TUNABLE_VALUES && tunables[t]->names[i]; i++, line.n_values++) {
        snprintf(line.values[i].name, sizeof line.values[i].name, "%s", tunables[t]->names[i]);
        line.values[i].value = values[i] + more;
    }
    ck_assert_int_eq(store_put(&s, &line), OK);
    ck_assert_msg(store_save(&s, &d->info) == OK, "%s", fail_line());
    store_free(&s);
}

/* Products' weights are packed for panels of as many vectors as the candidate has. */
static void expect_panels(device *d, int c)
{
    enum { COLUMNS = 1000, DEPTH = 8 };
    static const float zeros[COLUMNS * DEPTH];
    gemm_weight w;
    int values[TUNABLE_VALUES];
    gemm_cpu_tunable.values(d, c, values);
    ck_assert_str_eq(gemm_cpu_tunable.names[0], "NV");
    size_t panel = (size_t)(values[0] * d->vector_width);
    ck_assert_int_eq(gemm_weight_upload(d, &w, zeros, zeros, COLUMNS, DEPTH, "test"), OK);
    ck_assert_uint_eq(w.matrix.count, (COLUMNS + panel - 1) / panel * panel * DEPTH);
    gemm_weight_free(d, &w);
}

START_TEST(a_stored_choice_is_used)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++)
        for (int t = 0; t < N_TUNABLES; t++) {
            device d = open_one(&devices->items[i], PRECISION_FP32);
            for (int c = 0; has_choice(&d, t) && c < tunables[t]->candidates(&d); c++) {
                write_store(&d, t, c, NULL, 0);
                d.choice[t] = 0;
                fit_device(&d, false, say);
                ck_assert_int_eq(d.choice[t], c);
                ck_assert_int_eq(warned, 0);
                if (t == TUNABLE_GEMM) expect_panels(&d, c);
            }
            device_close(&d);
        }
    ck_assert_int_eq(said, 0);
}
END_TEST

START_TEST(outdated_choices_are_ignored)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++)
        for (int t = 0; t < N_TUNABLES; t++) {
            device d = open_one(&devices->items[i], PRECISION_FP32);
            if (has_choice(&d, t)) {
                warned = 0;
                write_store(&d, t, 1, "0123456789abcdef", 0);
                fit_device(&d, false, say);
                ck_assert_int_eq(warned, 1);
                ck_assert_msg(strstr(last_warning, "other kernels"), "%s", last_warning);
                ck_assert_int_eq(d.choice[t], 0);
                write_store(&d, t, 1, NULL, 1);
                fit_device(&d, false, say);
                ck_assert_int_eq(warned, 2);
                ck_assert_msg(strstr(last_warning, "no such candidate"), "%s", last_warning);
                ck_assert_int_eq(d.choice[t], 0);
            }
            device_close(&d);
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
        bool any = false, emulated = d.info.quirk.has[QUIRK_POISON_BUFFERS];
        for (int t = 0; t < N_TUNABLES; t++) any |= has_choice(&d, t);
        setenv("DITCL_FIT", "off", 1);
        said = 0;
        fit_device(&d, true, say);
        ck_assert_int_eq(said, 0);
        unsetenv("DITCL_FIT");
        fit_device(&d, true, say);
        ck_assert_int_eq(said, any && !emulated ? 1 : 0);
        ck_assert_int_eq(store_path(path, sizeof path, info), OK);
        ck_assert_int_eq(file_exists(path), any && !emulated);
        int chosen[DEVICE_CHOICES];
        memcpy(chosen, d.choice, sizeof chosen);
        device_close(&d);
        for (int again = 0; again < 2; again++) {
            d = open_one(info, PRECISION_FP32);
            fit_device(&d, true, say);
            ck_assert_int_eq(said, any && !emulated ? 1 : 0); /* not measured again */
            ck_assert_mem_eq(chosen, d.choice, sizeof chosen);
            device_close(&d);
        }
        ck_assert_int_eq(warned, 0);
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
    tcase_set_timeout(tc, 0);
    suite_add_tcase(s, tc);
    return s;
}
