/* Encoding, initial pictures, masks, and interpolation of classes and noise. Runs the commands of
 * tests/data/pictures.txt on every wanted device. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "device.h"
#include "listed.h"
#include "sample/image.h"
#include "sample/interpolate.h"
#include "sample/picture.h"
#include "scratch.h"
#include "suites.h"

static const char folder[] = DITCL_SOURCE_DIR "/tests/data";

enum { PATH = 4096 };

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
    interpolate_noise(out, opposite, opposite, 4, 5); /* the angle is 0: no division by zero */
    for (int i = 0; i < 20; i++)
        ck_assert_double_eq_tol((double)out[i], (double)opposite[i % 4], 1e-6);
}
END_TEST

START_TEST(a_strength_leaves_as_many_steps_as_diffusers)
{
    /* int(steps * strength) in double: 0.29 * 100 gives 28 */
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
    /* a step with two predictions counts once */
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

static const char *data_path(char out[PATH], const char *name)
{
    ck_assert_int_eq(file_join(out, PATH, folder, name), OK);
    return out;
}

static void read_good(png *p, const char *name)
{
    char path[PATH];
    ck_assert_msg(png_read(p, data_path(path, name)) == OK, "%s", fail_line());
}

/* Largest difference of two pictures of one size. */
static int difference(const png *a, const png *b)
{
    int most = 0;
    ck_assert_int_eq(a->width, b->width);
    ck_assert_int_eq(a->height, b->height);
    for (int i = 0; i < a->width * a->height * 3; i++)
        if (abs(a->rgb[i] - b->rgb[i]) > most) most = abs(a->rgb[i] - b->rgb[i]);
    return most;
}

START_TEST(every_kind_of_png_is_read)
{
    static const char *const names[] = {
        "grey", "grey-1-bit", "grey-16-bit", "palette", "alpha", "interlaced",
        /* turned as diffusers' load_image turns them; 0 and 9 are no valid orientations */
        "orientation-0", "orientation-1", "orientation-2", "orientation-3", "orientation-4",
        "orientation-5", "orientation-6", "orientation-7", "orientation-8", "orientation-9",
        "orientation-after-pixels", "orientation-zTXt", "orientation-tEXt", "orientation-xmp",
        "orientation-xmp-and-exif"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[80];
        png p, want;
        snprintf(name, sizeof name, "pictures/png/%s.png", names[i]);
        read_good(&p, name);
        snprintf(name, sizeof name, "pictures/png/%s-rgb.png", names[i]);
        read_good(&want, name);
        ck_assert_msg(difference(&p, &want) == 0, "%s", names[i]);
        png_free(&p);
        png_free(&want);
        png_free(&want);
    }
}
END_TEST

START_TEST(pictures_are_scaled_as_pillow_does)
{
    static const int sizes[][2] = {{16, 16}, {57, 20}, {100, 90}};
    for (int i = 0; i < 3; i++) {
        char name[80];
        png p, want;
        read_good(&p, "pictures/png/scaled.png");
        snprintf(name, sizeof name, "pictures/png/scaled-%dx%d.png", sizes[i][0], sizes[i][1]);
        read_good(&want, name);
        ck_assert_int_eq(picture_fit(&p, sizes[i][0], sizes[i][1]), OK);
        ck_assert_int_le(difference(&p, &want),
                         1); /* Pillow rounds to 8 bits between scaling rows and columns */
        png_free(&p);
        png_free(&want);
    }
}
END_TEST

static void refuse(const unsigned char *bytes, size_t size, const char *part)
{
    png p;
    scratch_write("bad.png", bytes, size);
    fail_clear();
    ck_assert_msg(png_read(&p, scratch_path("bad.png")) != OK, "accepted; expected \"%s\"", part);
    scratch_expect_message(scratch_path("bad.png"), part);
    ck_assert_ptr_null(p.rgb);
}

START_TEST(broken_pictures_are_refused)
{
    enum { WIDTH_AT = 16, DATA_AT = 41 };
    char path[PATH];
    png p;
    size_t size;
    unsigned char *bytes = scratch_read(data_path(path, "pictures/png/scaled.png"), &size);
    for (size_t n = 0; n < size; n += n < 60 ? 1 : 97)
        refuse(bytes, n, n < 33 ? "not a PNG" : "damaged");
    bytes[DATA_AT + 4] ^= 0x55;
    refuse(bytes, size, "damaged");
    bytes[WIDTH_AT] = 0x7f;
    refuse(bytes, size, "expected 1 to 16384 per side");
    memset(bytes + WIDTH_AT, 0, 4);
    refuse(bytes, size, "expected 1 to 16384 per side");
    free(bytes);
    ck_assert_int_ne(png_read(&p, data_path(path, "pictures/png/bomb.png")), OK);
    ck_assert_ptr_null(p.rgb);
    ck_assert_int_ne(png_read(&p, folder), OK);
}
END_TEST

/* ---- the list ---- */

/* Adds a word of the list: "@NAME" is a file of tests/data, OUT the array to compare. */
static void add_listed(words *w, const char *word, const char *out)
{
    char path[PATH];
    if (!strcmp(word, "OUT")) word = out;
    words_add(w, *word == '@' ? data_path(path, word + 1) : word);
}

/* Where the mask is black, the picture equals the initial one exactly; elsewhere it differs. */
static void check_kept(void)
{
    png got, known, white;
    int differ = 0;
    ck_assert_msg(png_read(&got, scratch_path("out.png")) == OK, "%s", fail_line());
    read_good(&known, "pictures/initial.png");
    read_good(&white, "pictures/mask.png");
    ck_assert_int_eq(got.width, known.width);
    for (int i = 0; i < got.width * got.height; i++) {
        bool same = !memcmp(got.rgb + 3 * i, known.rgb + 3 * i, 3);
        if (!image_is_white(white.rgb + 3 * i)) ck_assert_msg(same, "pixel %d", i);
        differ += !same;
    }
    ck_assert_int_gt(differ, 0);
    png_free(&got);
    png_free(&known);
    png_free(&white);
}

/* line: name command expected tolerance arguments... Returns whether the result is right. */
static bool check_line(char *line, const device_info *info, double factor)
{
    char *save, *name = strtok_r(line, " ", &save), *verb = strtok_r(NULL, " ", &save);
    char *expected = strtok_r(NULL, " ", &save), *tolerance = strtok_r(NULL, " ", &save), *out;
    char path[PATH];
    words w = {0};
    bool encode = !strcmp(verb, "encode");
    ck_assert_int_eq(memory_strdup(&out, scratch_path("out.npy")), OK);
    for (char *word = strtok_r(NULL, " ", &save); word; word = strtok_r(NULL, " ", &save))
        add_listed(&w, word, out);
    words_add(&w, "--quiet");
    words_add(&w, "--device");
    words_add(&w, info->id);
    if (!encode) {
        words_add(&w, "--latents-out");
        words_add(&w, out);
        words_add(&w, "--out");
        words_add(&w, scratch_path("out.png"));
    }
    status st = encode ? cli_encode(w.n, w.word) : cli_sample(w.n, w.word);
    ck_assert_msg(st == OK, "%s: %s", name, fail_line());
    if (!strcmp(name, "inpainting-original")) check_kept();
    double error = listed_file_error(out, data_path(path, expected));
    double most = atof(tolerance) * factor;
    printf("%-8s %-20s %s  err %.1e / tol %.0e  %s\n", verb, name, info->platform, error, most,
           error <= most ? "ok" : "WRONG");
    fflush(stdout);
    words_free(&w);
    free(out);
    return error <= most;
}

START_TEST(commands_match_their_oracle)
{
    const device_list *devices = wanted_devices();
    char path[PATH], *list, *save;
    int n = 0, failed = 0;
    data_path(path, "pictures.txt");
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
            if (emulated() && strncmp(line, "no-quant-s", 10) != 0) continue;
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
    tcase_add_checked_fixture(all, scratch_open, scratch_close);
    tcase_add_test(all, every_kind_of_png_is_read);
    tcase_add_test(all, pictures_are_scaled_as_pillow_does);
    tcase_add_test(all, broken_pictures_are_refused);
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
