/* host/trials/fit.c: every candidate computes right; a stored choice is used and nothing is
 * measured then; what is measured is stored. Knows no time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "device.h"
#include "ops/ops.h"
#include "scratch.h"
#include "suites.h"
#include "trials/fit.h"
#include "trials/stored.h"
#include "trials/trial.h"

enum { GEMM, CONV, N_OPERATORS };
static const int shapes[N_OPERATORS][TUNING_SIZES] = {{256, 768, 2304}, {1024, 256, 256, 1}};

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

/* What serves, and its known values that fit. */
typedef struct {
    const tuning *t;
    const int *values[64];
    int n;
} candidates;

static candidates find(const device *d, int op)
{
    static int (*const kinds[])(const device *, const int *, const tuning **) = {gemm_kinds,
                                                                                conv_kinds};
    const tuning *all[TUNING_KINDS];
    candidates c = {0};
    ck_assert_int_gt(kinds[op](d, shapes[op], all), 0);
    c.t = all[0];
    for (int i = 0; i < c.t->n_known && c.n < 64; i++)
        if (c.t->fits(d, c.t->known[i], shapes[op])) c.values[c.n++] = c.t->known[i];
    return c;
}

/* Whether the device uses these values, of a candidate. */
static bool uses(const device *d, const candidates *c, int op, int which)
{
    const int *v = tuning_values_for(d, c->t, shapes[op]);
    return v && !memcmp(v, c->values[which], sizeof(int[TUNING_VALUES]));
}

START_TEST(every_candidate_is_right)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++)
        for (int op = 0; op < N_OPERATORS; op++) {
            device d = open_one(&devices->items[i], PRECISION_FP32);
            int n = find(&d, op).n;
            device_close(&d);
            for (int c = 1; c < n; c++) { /* the first is what all other tests take */
                d = open_one(&devices->items[i], PRECISION_FP32);
                candidates all = find(&d, op);
                ck_assert_int_eq(tuning_set(&d, all.t, NULL, all.values[c]), OK);
                trial_tally tally;
                for (int t = 0; trials[t]; t++) {
                    if (strcmp(trials[t]->name, all.t->op) != 0) continue;
                    ck_assert_msg(trial_check(&d, trials[t], test_seed, true, NULL, stdout,
                                              &tally) == OK, "%s", fail_line());
                    ck_assert_int_gt(tally.cases, 0);
                    ck_assert_msg(tally.failed == 0, "%s: candidate %d", all.t->op, c);
                }
                device_close(&d);
            }
        }
}
END_TEST

/* A store whose line names candidate c, but for a change. */
static void write_store(const device *d, const candidates *all, int c, const char *kernels,
                        int more)
{
    int values[TUNING_VALUES];
    store s = {0};
    memcpy(values, all->values[c], sizeof values);
    values[all->t->n - 1] += more;
    ck_assert_int_eq(stored_put(&s, d, all->t, NULL, values), OK);
    if (kernels) snprintf(s.lines[0].kernels, STORE_HASH, "%s", kernels);
    ck_assert_msg(store_save(&s, &d->info) == OK, "%s", fail_line());
    store_free(&s);
}

/* Products' weights are packed with the candidate's values. */
static void expect_packed(device *d, const int *values)
{
    enum { COLUMNS = 1000, DEPTH = 8 };
    static const float zeros[COLUMNS * DEPTH];
    gemm_weight w;
    ck_assert_int_eq(gemm_weight_upload(d, &w, zeros, zeros, 256, COLUMNS, DEPTH, "test"), OK);
    ck_assert_mem_eq(w.use.values, values, sizeof(int[TUNING_VALUES]));
    gemm_weight_free(d, &w);
}

START_TEST(a_stored_choice_is_used)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < devices->n; i++)
        for (int op = 0; op < N_OPERATORS; op++) {
            device d = open_one(&devices->items[i], PRECISION_FP32);
            candidates all = find(&d, op);
            for (int c = 0; c < all.n; c++) {
                write_store(&d, &all, c, NULL, 0);
                tuning_forget(&d);
                fit_device(&d, false, say);
                ck_assert(uses(&d, &all, op, c));
                ck_assert_int_eq(warned, 0);
                if (op == GEMM) expect_packed(&d, all.values[c]);
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
        for (int op = 0; op < N_OPERATORS; op++) {
            device d = open_one(&devices->items[i], PRECISION_FP32);
            candidates all = find(&d, op);
            if (all.n > 1) {
                warned = 0;
                write_store(&d, &all, 1, "0123456789abcdef", 0);
                fit_device(&d, false, say);
                ck_assert_int_eq(warned, 1);
                ck_assert_msg(strstr(last_warning, "other kernels"), "%s", last_warning);
                ck_assert(uses(&d, &all, op, 0));
                write_store(&d, &all, 1, NULL, 7);
                fit_device(&d, false, say);
                ck_assert_int_eq(warned, 2);
                ck_assert_msg(strstr(last_warning, "no such candidate"), "%s", last_warning);
                ck_assert(uses(&d, &all, op, 0));
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
        bool emulated = d.info.quirk.has[QUIRK_POISON_BUFFERS];
        int chosen[N_OPERATORS][TUNING_VALUES];
        setenv("DITCL_FIT", "off", 1);
        said = 0;
        fit_device(&d, true, say);
        ck_assert_int_eq(said, 0);
        unsetenv("DITCL_FIT");
        fit_device(&d, true, say);
        ck_assert_int_eq(said, !emulated); /* that it measures, or that tune would */
        ck_assert_int_eq(store_path(path, sizeof path, info), OK);
        ck_assert_int_eq(file_exists(path), !emulated);
        for (int op = 0; op < N_OPERATORS; op++)
            memcpy(chosen[op], tuning_values_for(&d, find(&d, op).t, shapes[op]),
                   sizeof chosen[op]);
        device_close(&d);
        for (int again = 0; again < 2; again++) {
            d = open_one(info, PRECISION_FP32);
            fit_device(&d, true, say);
            ck_assert_int_eq(said, !emulated); /* not measured again */
            for (int op = 0; op < N_OPERATORS; op++)
                ck_assert_mem_eq(tuning_values_for(&d, find(&d, op).t, shapes[op]), chosen[op],
                                 sizeof chosen[op]);
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
