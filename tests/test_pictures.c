/* Pictures that go in: encoded, what runs begin with, keep a part of, or have between two classes
 * and two noises. Every line of tests/data/pictures.txt, by the command that a user types, on every
 * wanted device. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "device.h"
#include "files/npy.h"
#include "sample/image.h"
#include "sample/interpolate.h"
#include "scratch.h"
#include "suites.h"

static const char folder[] = DITCL_SOURCE_DIR "/tests/data";

enum { PATH = 4096, WORDS = 48 };

/* Where products are not fp32's, beside the tolerance of fp32: as in test_models.c. */
static const double AUTO_FACTOR = 5;

/* ---- without a device ---- */

START_TEST(noise_goes_on_a_circle)
{
    const float a[] = {3, 0, 0, 0}, b[] = {0, 3, 0, 0}, opposite[] = {2, 1, 0, 1};
    float out[5 * 4];
    interpolate_noise(out, a, b, 4, 5);
    for (int i = 0; i < 5; i++) {
        double angle = i * 3.14159265358979323846 / 8;
        ck_assert_double_eq_tol((double)out[4 * i], 3 * cos(angle), 1e-6);
        ck_assert_double_eq_tol((double)out[4 * i + 1], 3 * sin(angle), 1e-6);
        ck_assert_float_eq(out[4 * i + 2], 0);
    }
    interpolate_noise(out, opposite, opposite, 4, 5); /* no angle: nothing is divided by zero */
    for (int i = 0; i < 20; i++)
        ck_assert_double_eq_tol((double)out[i], (double)opposite[i % 4], 1e-6);
}
END_TEST

START_TEST(a_strength_leaves_as_many_steps_as_diffusers)
{
    /* int(steps * strength), the product in double: 0.29 of 100 are 28 */
    static const struct {
        int steps;
        double strength;
        int left;
    } cases[] = {{50, 0.6, 30}, {100, 0.29, 28}, {10, 1.0, 10}, {7, 0.5, 3}, {50, 0.01, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        schedule_row rows[100] = {0};
        schedule s = {.rows = rows, .n_rows = cases[i].steps};
        ck_assert_int_eq(image_first_step(&s, cases[i].strength), cases[i].steps - cases[i].left);
    }
    /* a step of two evaluations is one */
    schedule_row rows[9] = {0};
    for (int i = 1; i < 9; i += 2) rows[i].between = true;
    schedule s = {.rows = rows, .n_rows = 9};
    ck_assert_int_eq(image_first_step(&s, 0.5), 6);
    ck_assert_int_eq(image_first_step(&s, 1.0), 0);
}
END_TEST

START_TEST(a_mask_is_reduced_to_the_latents)
{
    unsigned char rgb[4 * 6 * 3] = {0};
    float mask[2 * 3];
    memset(rgb + (1 * 6 + 3) * 3, 255, 3); /* row 1, column 3 */
    memset(rgb + (2 * 6 + 0) * 3, 127, 3); /* still black */
    ck_assert_uint_eq(image_reduce_mask(mask, rgb, 6, 4, 2), 1);
    for (int i = 0; i < 6; i++) ck_assert_float_eq(mask[i], i == 1);
}
END_TEST

/* ---- the list ---- */

typedef struct {
    char *word[WORDS];
    int n;
} words;

static void add(words *w, const char *value)
{
    ck_assert_int_lt(w->n, WORDS);
    ck_assert_int_eq(memory_strdup(&w->word[w->n++], value), OK);
}

/* A word of the list: "@..." is a file of tests/data, OUT the array that is asked for. */
static void add_listed(words *w, const char *word, const char *out)
{
    char path[PATH];
    if (!strcmp(word, "OUT")) word = out;
    if (*word == '@') {
        ck_assert_int_eq(file_join(path, PATH, folder, word + 1), OK);
        word = path;
    }
    add(w, word);
}

static double relative_error(const char *got_path, const char *expected)
{
    char path[PATH];
    npy got, want;
    double squares = 0, scale = 0;
    ck_assert_int_eq(file_join(path, PATH, folder, expected), OK);
    ck_assert_msg(npy_read(&want, path) == OK, "%s", fail_line());
    ck_assert_msg(npy_read(&got, got_path) == OK, "%s", fail_line());
    ck_assert_uint_eq(got.count, want.count);
    for (size_t i = 0; i < want.count; i++) {
        double off = (double)got.data[i] - (double)want.data[i];
        squares += off * off;
        scale += (double)want.data[i] * (double)want.data[i];
    }
    npy_free(&got);
    npy_free(&want);
    return sqrt(squares / scale);
}

/* line: name command expected tolerance words... Returns whether it is right. */
static bool check_line(char *line, const device_info *info, double factor)
{
    char *save, *name = strtok_r(line, " ", &save), *verb = strtok_r(NULL, " ", &save);
    char *expected = strtok_r(NULL, " ", &save), *tolerance = strtok_r(NULL, " ", &save), *out;
    words w = {0};
    bool encode = !strcmp(verb, "encode");
    ck_assert_int_eq(memory_strdup(&out, scratch_path("out.npy")), OK);
    for (char *word = strtok_r(NULL, " ", &save); word; word = strtok_r(NULL, " ", &save))
        add_listed(&w, word, out);
    add(&w, "--quiet");
    add(&w, "--device");
    add(&w, info->id);
    if (!encode) {
        add(&w, "--latents-out");
        add(&w, out);
        add(&w, "--out");
        add(&w, scratch_path("out.png"));
    }
    status st = encode ? cli_encode(w.n, w.word) : cli_sample(w.n, w.word);
    ck_assert_msg(st == OK, "%s: %s", name, fail_line());
    double error = relative_error(out, expected), most = atof(tolerance) * factor;
    printf("%-8s %-20s %s  err %.1e / tol %.0e  %s\n", verb, name, info->platform, error, most,
           error <= most ? "ok" : "WRONG");
    fflush(stdout);
    for (int i = 0; i < w.n; i++) free(w.word[i]);
    free(out);
    return error <= most;
}

START_TEST(commands_match_their_oracle)
{
    const device_list *devices = wanted_devices();
    const char *small = getenv("DITCL_TEST_SMALL");
    char path[PATH], *list, *save;
    int n = 0, failed = 0;
    ck_assert_int_eq(file_join(path, PATH, folder, "pictures.txt"), OK);
    for (int i = 0; i < devices->n; i++) {
        device d;
        ck_assert_msg(device_open(&d, &devices->items[i], &(device_settings){0}) == OK, "%s",
                      fail_line());
        double factor = gemm_input_error(&d, 64, 64, 64) > 0 ? AUTO_FACTOR : 1;
        device_close(&d);
        ck_assert_msg(file_read_text(&list, path, 1 << 20) == OK, "%s", fail_line());
        for (char *line = strtok_r(list, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
            if (*line == '#') continue;
            /* an emulator is a thousand times slower */
            if (small && *small == '1' && strncmp(line, "no-quant-s", 10) != 0) continue;
            failed += !check_line(line, &devices->items[i], factor);
            n++;
        }
        free(list);
    }
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(failed, 0);
}
END_TEST

Suite *suite_begin(void)
{
    Suite *s = suite_create("begin");
    TCase *all = tcase_create("all");
    tcase_add_test(all, noise_goes_on_a_circle);
    tcase_add_test(all, a_strength_leaves_as_many_steps_as_diffusers);
    tcase_add_test(all, a_mask_is_reduced_to_the_latents);
    suite_add_tcase(s, all);
    return s;
}

Suite *suite_pictures(void)
{
    Suite *s = suite_create("pictures");
    TCase *all = tcase_create("list");
    tcase_add_checked_fixture(all, scratch_open, scratch_close);
    tcase_add_test(all, commands_match_their_oracle);
    tcase_set_timeout(all, 0);
    suite_add_tcase(s, all);
    return s;
}
