/* The paper's networks and the weights that are generated for them. */
#include <math.h>
#include <string.h>

#include "model/dit.h"
#include "model/flops.h"
#include "model/paper.h"
#include "model/vae.h"
#include "suites.h"

/* Peebles & Xie 2022, tables 1, 4 and figure 5: Gflops of a forward pass, rounded; two of them are
 * cut instead (5.566 and 137.628 are printed as 5.56 and 137.62), as marked here. Parameters were
 * counted from the tensors of PyTorch modules; the paper prints them in millions. */
static const struct {
    const char *name;
    int image_size;
    double gflops;
    bool cut;
    uint64_t parameters;
} published[] = {
    {"DiT-S/8", 256, 0.36, false, 33148160},
    {"DiT-S/4", 256, 1.41, false, 32945024},
    {"DiT-S/2", 256, 6.06, false, 32963360},
    {"DiT-B/8", 256, 1.42, false, 130881536},
    {"DiT-B/4", 256, 5.56, true, 130475648},
    {"DiT-B/2", 256, 23.01, false, 130512416},
    {"DiT-L/8", 256, 5.01, false, 458594816},
    {"DiT-L/4", 256, 19.70, false, 458053760},
    {"DiT-L/2", 256, 80.71, false, 458102816},
    {"DiT-XL/8", 256, 7.39, false, 675683072},
    {"DiT-XL/4", 256, 29.05, false, 675074432},
    {"DiT-XL/2", 256, 118.64, false, 675129632},
    {"DiT-XL/2", 512, 524.60, false, 676014368},
    {"DiT-XL/2-in-context", 256, 119.37, false, 449457440},
    {"DiT-XL/2-cross-attention", 256, 137.62, true, 598286624},
    {"DiT-XL/2-adaLN", 256, 118.56, false, 600747296},
};

START_TEST(networks_cost_what_the_paper_says)
{
    model m;
    ck_assert_msg(paper_model(&m, published[_i].name, published[_i].image_size) == OK, "%s",
                  fail_line());
    double hundredths = flops_gflops(&m.dit) * 100.0;
    double printed = (published[_i].cut ? floor(hundredths) : round(hundredths)) / 100.0;
    ck_assert_str_eq(m.path, published[_i].name);
    ck_assert_double_eq_tol(printed, published[_i].gflops, 1e-9);
    ck_assert_uint_eq(flops_parameters(&m.dit), published[_i].parameters);
    ck_assert_msg(dit_check(&m) == OK && vae_check(&m) == OK, "%s", fail_line());
    model_close(&m);
}
END_TEST

START_TEST(other_names_are_refused)
{
    static const char *const wrong[] = {"DiT-XL/3", "DiT-M/2", "dit-XL/2", "DiT-XL/2-", "DiT-XL",
                                        "DiT-XL/2-adaln", "DiT-XL/2-in-context-", "XL/2", "",
                                        "DiT-XL/2-adaLN-Zero"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        model m;
        ck_assert_int_eq(paper_model(&m, wrong[i], 256), ERR_USAGE);
        ck_assert_ptr_nonnull(strstr(fail_line(), "expected DiT-S, DiT-B"));
    }
}
END_TEST

/* From a transcription in Python of FNV-1a, lowbias32 and the scale. */
START_TEST(generated_values_are_always_the_same)
{
    static const float matrix[] = {0x1.72929p-1f, 0x1.d6f192p-4f, 0x1.eb6e9ap-1f, -0x1.e261bap-1f};
    static const float bias[] = {0x1.9c0faep-5f, -0x1.523aa2p-7f, 0x1.04e05ap-5f, 0x1.85be4ep-5f};
    static const float vector[] = {0x1.090364p+0f, 0x1.0561cep+0f, 0x1.eb538ap-1f, 0x1.0a5b9cp+0f};
    weights w;
    float got[6];
    ck_assert_int_eq(weights_generate(&w, "test"), OK);
    ck_assert_int_eq(weights_read(&w, got, "a.weight", SHAPE(2, 3)), OK);
    for (int i = 0; i < 4; i++) ck_assert_float_eq_tol(got[i], matrix[i], 1e-7f);
    ck_assert_int_eq(weights_read(&w, got, "a.bias", SHAPE(4)), OK);
    for (int i = 0; i < 4; i++) ck_assert_float_eq_tol(got[i], bias[i], 1e-8f);
    ck_assert_int_eq(weights_read(&w, got, "norm.weight", SHAPE(4)), OK);
    for (int i = 0; i < 4; i++) ck_assert_float_eq_tol(got[i], vector[i], 1e-7f);
    weights_close(&w);
}
END_TEST

START_TEST(generated_values_keep_the_size_of_activations)
{
    enum { ROWS = 512, COLUMNS = 1152, N = ROWS * COLUMNS };
    static float a[N], b[N];
    weights w;
    double mean = 0, square = 0, both = 0;
    ck_assert_int_eq(weights_generate(&w, "test"), OK);
    ck_assert_int_eq(weights_read(&w, a, "blocks.0.mlp.fc1.weight", SHAPE(ROWS, COLUMNS)), OK);
    ck_assert_int_eq(weights_read(&w, b, "blocks.1.mlp.fc1.weight", SHAPE(ROWS, COLUMNS)), OK);
    for (int i = 0; i < N; i++) {
        mean += (double)a[i] / N;
        square += (double)a[i] * (double)a[i] * COLUMNS / N;
        both += (double)a[i] * (double)b[i] * COLUMNS / N;
    }
    ck_assert_double_eq_tol(mean * sqrt(COLUMNS), 0.0, 5 / sqrt(N));
    ck_assert_double_eq_tol(square, 1.0, 0.01);
    ck_assert_double_eq_tol(both, 0.0, 5 / sqrt(N));
    weights_close(&w);
}
END_TEST

Suite *suite_paper(void)
{
    Suite *suite = suite_create("paper");
    TCase *tests = tcase_create("generated");
    tcase_add_loop_test(tests, networks_cost_what_the_paper_says, 0,
                        sizeof published / sizeof *published);
    tcase_add_test(tests, other_names_are_refused);
    tcase_add_test(tests, generated_values_are_always_the_same);
    tcase_add_test(tests, generated_values_keep_the_size_of_activations);
    suite_add_tcase(suite, tests);
    return suite;
}
