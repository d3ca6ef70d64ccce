/* Whole models against PyTorch, diffusers and the original program: every row of
 * tests/data/cases.txt and compat/cases.txt, on every wanted device. Forward passes call the model
 * layer; sampling and decoding run the commands that a user types. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <stb_image.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/cli.h"
#include "device.h"
#include "files/npy.h"
#include "listed.h"
#include "model/dit.h"
#include "ops/ops.h"
#include "part.h"
#include "sample/pipeline.h"
#include "scratch.h"
#include "suites.h"

/* The folder of the current list. Paths in the list are relative to it. */
static const char *folder;

/* The kernel family of forward passes. */
static kernel_family family_wanted;

/* The tolerance of GEMM with inputs of 16 bits. */
static const double BF16_TOLERANCE = 5e-2, FP16_TOLERANCE = 5e-2 / 8;

enum { COLUMNS = 18, PATH = 4096 };
typedef enum {
    KIND,
    NAME,
    MODEL,
    VAE,
    HEADS,
    CLASSES,
    N,
    SEED,
    STEPS,
    SAMPLER,
    ETA,
    CFG,
    CFG_CHANNELS,
    COMPAT,
    LATENTS_IN,
    EXPECTED,
    TOLERANCE,
    MORE
} column;

typedef struct {
    char *word[COLUMNS];
} row;

static bool given(const row *r, column c)
{
    return strcmp(r->word[c], "-") != 0;
}

static const char *data_path(char out[PATH], const char *name)
{
    ck_assert_int_eq(file_join(out, PATH, folder, name), OK);
    return out;
}

/* ---- one forward pass ---- */

static int parse_labels(int *labels, const row *r)
{
    int n = 0;
    for (const char *at = r->word[CLASSES]; at; at = strchr(at, ',')) {
        if (*at == ',') at++;
        labels[n++] = atoi(at);
    }
    return n;
}

/* kept: the weights of the conditioning stay on the device, as in runs of many steps. */
static status forward_on(device *d, model *m, const row *r, bool kept, float **got, size_t *count)
{
    char path[PATH];
    npy x = {0};
    float timesteps[16];
    int labels[16], rows[16], n = parse_labels(labels, r);
    dit t = {0};
    buf latents = {0}, out = {0}, on_device = {0};
    status st = OK;
    for (int i = 0; i < n; i++) {
        timesteps[i] = (float)atof(r->word[STEPS]);
        rows[i] = i;
    }
    TRY(npy_read(&x, data_path(path, r->word[LATENTS_IN])));
    *count = x.count / (size_t)m->dit.in_channels * (size_t)m->dit.out_channels;
    TRY(memory_alloc(got, *count, sizeof **got));
    TRY(dit_load(&t, d, m, &(dit_run){.batch = n, .last_batch = n, .rows = n, .keep_adaln = kept}));
    TRY(buffer_create(d, &latents, x.count, "latents"));
    TRY(buffer_upload(d, latents, 0, x.data, x.count));
    TRY(buffer_create(d, &on_device, (size_t)n, "rows"));
    TRY(buffer_upload(d, on_device, 0, rows, (size_t)n));
    TRY(buffer_create(d, &out, *count, "prediction"));
    TRY(dit_modulate(&t, n, timesteps, labels));
    TRY(dit_forward(&t, out, latents, 0, n, n, on_device, 0, 0));
    TRY(buffer_download(d, out, 0, *got, *count));
done:
    buffer_release(d, &latents);
    buffer_release(d, &out);
    buffer_release(d, &on_device);
    dit_free(&t);
    npy_free(&x);
    return st;
}

static double run_forward(const device_info *info, const row *r, precision p)
{
    char path[PATH], vae_path[PATH], expected[PATH];
    model_request request = {
        .name = data_path(path, r->word[MODEL]), .forced = -1, .need_dit = true};
    if (given(r, VAE)) request.vae = data_path(vae_path, r->word[VAE]);
    if (given(r, HEADS)) request.heads = atoi(r->word[HEADS]);
    if (given(r, COMPAT)) request.forced = strcmp(r->word[COMPAT], "original") ? 1 : 0;
    model m;
    device d = {0};
    double worst = 0;
    status st = model_open(&m, &request);
    const device_settings settings = {.family = family_wanted, .precision = p, .no_cache = true};
    if (st == OK) st = device_open(&d, info, &settings);
    for (int kept = 0; kept < 2 && st == OK; kept++) {
        if (emulated() && kept != (int)(test_seed % 2)) continue; /* the seed selects one of them */
        float *got = NULL;
        size_t count = 0;
        st = forward_on(&d, &m, r, kept, &got, &count);
        if (st == OK)
            worst = fmax(worst, listed_error(got, count, data_path(expected, r->word[EXPECTED])));
        free(got);
    }
    ck_assert_msg(st == OK, "%s: %s", r->word[NAME], fail_line());
    device_close(&d);
    model_close(&m);
    return worst;
}

/* ---- commands ---- */

static void add_option(words *w, const row *r, const char *name, column c)
{
    if (!given(r, c)) return;
    words_add(w, name);
    words_add(w, r->word[c]);
}

static void add_sampling(words *w, const row *r)
{
    add_option(w, r, "--heads", HEADS);
    add_option(w, r, "--class", CLASSES);
    add_option(w, r, "-n", N);
    add_option(w, r, "--seed", SEED);
    add_option(w, r, "--steps", STEPS);
    add_option(w, r, "--sampler", SAMPLER);
    if (!strcmp(r->word[SAMPLER], "ddim")) add_option(w, r, "--eta", ETA);
    add_option(w, r, "--cfg", CFG);
    add_option(w, r, "--cfg-channels", CFG_CHANNELS);
    add_option(w, r, "--compat", COMPAT);
    for (const char *at = given(r, MORE) ? r->word[MORE] : ""; *at;) {
        char word[80];
        size_t length = strcspn(at, ";");
        ck_assert_uint_lt(length, sizeof word);
        snprintf(word, sizeof word, "%.*s", (int)length, at);
        words_add(w, word);
        at += length + (at[length] == ';');
    }
}

/* The fraction of values that differ from the expected pictures, which stand one above the other in
 * one file; 1 if any value is off by more than 1. */
static double picture_error(const row *r, const char *pictures)
{
    char path[PATH];
    int width, height, channels, n_pictures = 0, most = 0;
    size_t n_off = 0, at = 0;
    unsigned char *want =
        stbi_load(data_path(path, r->word[EXPECTED]), &width, &height, &channels, 3);
    ck_assert_msg(want && channels == 3, "%s: %s", path, want ? "no colours" : "cannot be read");
    size_t count = (size_t)width * (size_t)height * 3;
    while (at < count) {
        char name[32];
        int w, h;
        snprintf(name, sizeof name, "%06d.png", n_pictures++);
        ck_assert_int_eq(file_join(path, PATH, pictures, name), OK);
        unsigned char *got = stbi_load(path, &w, &h, &channels, 3);
        ck_assert_msg(got && w == width && (size_t)w * (size_t)h * 3 <= count - at, "%s: %d x %d",
                      path, w, h);
        for (size_t i = 0; i < (size_t)w * (size_t)h * 3; i++, at++) {
            int off = abs((int)got[i] - (int)want[at]);
            n_off += off > 0;
            if (off > most) most = off;
        }
        stbi_image_free(got);
        remove(path);
    }
    stbi_image_free(want);
    printf("%zu of %zu values differ, by %d at most: ", n_off, count, most);
    return most > 1 ? 1 : (double)n_off / (double)count;
}

static double run_command(const device_info *info, const row *r, precision p)
{
    char path[PATH], *out = NULL;
    words w = {0};
    bool decode = !strcmp(r->word[KIND], "decode"), picture = !strcmp(r->word[KIND], "picture");
    ck_assert_int_eq(memory_strdup(&out, scratch_path(picture ? "pictures" : "out.npy")), OK);
    words_add(&w, data_path(path, r->word[MODEL]));
    words_add(&w, "--quiet");
    words_add(&w, "--device");
    words_add(&w, info->id);
    words_add(&w, "--precision");
    words_add(&w, precision_names[p]);
    if (given(r, VAE)) {
        words_add(&w, "--vae");
        words_add(&w, data_path(path, r->word[VAE]));
    }
    if (given(r, LATENTS_IN)) {
        words_add(&w, decode ? "--latents" : "--latents-in");
        words_add(&w, data_path(path, r->word[LATENTS_IN]));
    }
    if (picture) mkdir(out, 0700); /* from an earlier case */
    words_add(&w, decode || picture ? "--out" : "--latents-out");
    words_add(&w, out);
    if (!decode && !picture && !(given(r, MORE) && strstr(r->word[MORE], "--invert"))) {
        words_add(&w, "--out");
        words_add(&w, scratch_path("out.png"));
    }
    if (!decode) add_sampling(&w, r);
    status st = (decode ? cli_decode : cli_sample)(w.n, w.word);
    ck_assert_msg(st == OK, "%s: %s", r->word[NAME], fail_line());
    double error = picture ? picture_error(r, out)
                           : listed_file_error(out, data_path(path, r->word[EXPECTED]));
    free(out);
    words_free(&w);
    return error;
}

/* ---- the list ---- */

/* Parses one line of the list. False for comments. */
static bool parse_row(row *r, char *line)
{
    char *save;
    int n = 0;
    if (*line == '#' || !*line) return false;
    for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        ck_assert_int_lt(n, COLUMNS);
        r->word[n++] = word;
    }
    ck_assert_int_eq(n, COLUMNS);
    return true;
}

/* Runs one case on one device. Returns whether it is right. narrow: some GEMM is not fp32. */
static bool check_row(const device_info *info, const row *r, precision p, bool narrow,
                      double *worst)
{
    double error =
        !strcmp(r->word[KIND], "forward") ? run_forward(info, r, p) : run_command(info, r, p);
    double fp32 = atof(r->word[TOLERANCE]) * (narrow ? AUTO_FACTOR : 1);
    double most = p == PRECISION_BF16   ? BF16_TOLERANCE
                  : p == PRECISION_FP16 ? FP16_TOLERANCE
                                        : fp32;
    bool good = error <= most;
    printf("%-7s %-44s %s %s  err %.1e / tol %.0e  %s\n", r->word[KIND], r->word[NAME],
           info->platform, precision_names[p], error, most, good ? "ok" : "WRONG");
    fflush(stdout);
    if (error > *worst) *worst = error;
    return good;
}

typedef bool by_precision[N_PRECISIONS];

/* For each device: the precisions in which its GEMM is not fp32. */
static by_precision *find_narrow(const device_list *devices)
{
    by_precision *narrow;
    ck_assert_int_eq(memory_alloc(&narrow, (size_t)devices->n, sizeof *narrow), OK);
    for (int i = 0; i < devices->n; i++)
        for (int p = 0; p < N_PRECISIONS; p++) {
            device d;
            const device_settings settings = {.precision = (precision)p};
            ck_assert_msg(device_open(&d, &devices->items[i], &settings) == OK, "%s", fail_line());
            narrow[i][p] = gemm_input_error(&d, 64, 64, 64) > 0;
            device_close(&d);
        }
    return narrow;
}

/* Whether an emulator runs this case: the first of each of these models. */
static bool is_next(const row *r, const char *const *wanted, int done)
{
    int n = 0;
    while (n < done && wanted[n]) n++;
    return wanted[n] && strstr(r->word[NAME], wanted[n]);
}

static void check_kind(const char *kind, const char *where, const char *const *for_emulator)
{
    const device_list *devices = wanted_devices();
    char path[PATH], *list, *save;
    by_precision *narrow = find_narrow(devices);
    folder = where;
    ck_assert_msg(file_read_text(&list, data_path(path, "cases.txt"), 1 << 20) == OK, "%s",
                  fail_line());
    int n = 0, failed = 0;
    double worst = 0;
    for (char *line = strtok_r(list, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        row r;
        if (!parse_row(&r, line) || strcmp(r.word[KIND], kind)) continue;
        /* an emulator is a thousand times slower */
        if (emulated() && !is_next(&r, for_emulator, n)) continue;
        for (int i = 0; i < devices->n; i++) {
            const device_info *info = &devices->items[i];
            const bool *differs = narrow[i];
            failed += !check_row(info, &r, PRECISION_AUTO, differs[PRECISION_AUTO], &worst);
            if (differs[PRECISION_BF16] && strcmp(kind, "picture")) /* far more than rounding */
                failed += !check_row(info, &r, PRECISION_BF16, true, &worst);
        }
        n++;
    }
    printf("%s: %d cases, %d wrong, largest error %.1e\n", kind, n, failed, worst);
    free(list);
    free(narrow);
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(failed, 0);
}

static const char models[] = DITCL_SOURCE_DIR "/tests/data";

/* For an emulator: the smallest model, and the models with kernels of their own. */
static const char *const smallest[] = {"plain32", NULL};
static const char *const of_designs[] = {"plain32", "cross36", "context52", NULL};

START_TEST(forward_passes_match)
{
    check_kind("forward", models, of_designs);
}
END_TEST

/* Emulated matrix units of GPUs; the seed selects them. */
START_TEST(forward_passes_on_units_match)
{
    static const char *const units[] = {"mma", "dpas8", "dpas16", "wmma", "wmma2", "mfma", "mfma1"};
    static const precision precisions[] = {PRECISION_AUTO, PRECISION_BF16, PRECISION_FP16};
    const device_list *devices = wanted_devices();
    char path[PATH], *list, *save;
    double worst = 0;
    int n = 0, failed = 0;
    /* takes minutes on an emulator; and units that the run claims must stay claimed */
    if (emulated() || getenv("DITCL_FEATURES")) return;
    folder = models;
    claim_matrix_unit(units[test_seed % 6]);
    family_wanted = FAMILY_GPU;
    ck_assert_int_eq(file_read_text(&list, data_path(path, "cases.txt"), 1 << 20), OK);
    for (char *line = strtok_r(list, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        row r;
        if (!parse_row(&r, line) || strcmp(r.word[KIND], "forward")) continue;
        if (!is_next(&r, of_designs, n)) continue;
        for (int i = 0; i < devices->n; i++)
            for (int p = 0; p < 3; p++)
                if (part_takes_unit(3 * n + p))
                    failed += !check_row(&devices->items[i], &r, precisions[p], true, &worst);
        n++;
    }
    family_wanted = FAMILY_AUTO;
    claim_matrix_unit(NULL);
    free(list);
    ck_assert_int_eq(n, 3);
    ck_assert_int_eq(failed, 0);
}
END_TEST

START_TEST(decoded_pictures_match)
{
    check_kind("decode", models, smallest);
}
END_TEST

START_TEST(sampled_latents_match)
{
    check_kind("sample", models, smallest);
}
END_TEST

/* ditcl draws the pictures that diffusers and the original program draw (scripts/oracle_compat.py).
 */
START_TEST(pictures_equal_the_programs)
{
    if (emulated()) {
        printf("*** SKIPPED: 50 steps and more take an emulator hours ***\n");
        return;
    }
    check_kind("picture", DITCL_SOURCE_DIR "/tests/data/compat", smallest);
}
END_TEST

Suite *suite_models(void)
{
    Suite *s = suite_create("models");
    TCase *all = tcase_create("cases");
    tcase_add_checked_fixture(all, scratch_open, scratch_close);
    tcase_add_test(all, forward_passes_match);
    tcase_add_test(all, forward_passes_on_units_match);
    tcase_add_test(all, decoded_pictures_match);
    tcase_add_test(all, sampled_latents_match);
    tcase_set_timeout(all, 0);
    suite_add_tcase(s, all);
    return s;
}

Suite *suite_compat(void)
{
    Suite *s = suite_create("compat");
    TCase *pictures = tcase_create("pictures");
    tcase_add_checked_fixture(pictures, scratch_open, scratch_close);
    tcase_add_test(pictures, pictures_equal_the_programs);
    tcase_set_timeout(pictures, 0);
    suite_add_tcase(s, pictures);
    return s;
}
