/* The paper's networks and the weights that are generated for them. */
#include <math.h>
#include <string.h>

#include "model/dit.h"
#include "model/flops.h"
#include "model/paper.h"
#include "model/vae.h"
#include "suites.h"

/* Gflops of a forward pass from Peebles & Xie 2022, tables 1 and 4 and figure 5. The paper rounds
 * them, except two that it truncates (5.566 to 5.56, 137.628 to 137.62), as marked here. Parameters
 * were counted from the tensors of PyTorch modules; the paper gives them in millions. */
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

/* Timestep features that PyTorch 2.15 computes on a CPU: get_timestep_embedding of diffusers and
 * timestep_embedding of the original program. */
static const struct {
    compat arithmetic;
    float timestep;
    float expected[8]; /* cosines 0, 1, 9, 64, sines 0, 1, 9, 127 */
} features[] = {
    {COMPAT_DIFFUSERS,
     999.0f,
     {0.9996498227f, 0.6992158294f, 0.1822134554f, -0.9781429172f, -0.0264607519f, -0.7149106264f,
      -0.983259022f, 0.0997339115f}},
    {COMPAT_DIFFUSERS,
     520.75f,
     {0.728695929f, 0.869985342f, 0.5857590437f, 0.3047384322f, -0.6848373413f, 0.4930775464f,
      0.8104852438f, 0.0520514622f}},
    {COMPAT_ORIGINAL,
     999.0f,
     {0.9996498227f, 0.9637852907f, 0.2949077189f, -0.8444697857f, -0.0264607519f, -0.2666793764f,
      0.9555257559f, 0.1071472168f}},
    {COMPAT_ORIGINAL,
     3.0f,
     {-0.9899924994f, -0.9394150376f, 0.0008990326f, 0.9995500446f, 0.1411200017f, 0.3427818418f,
      0.9999995828f, 0.0003223823f}},
};

START_TEST(timestep_features_are_those_of_pytorch)
{
    float frequencies[128], out[256];
    dit_frequencies(frequencies, features[_i].arithmetic);
    dit_features(out, features[_i].timestep, frequencies);
    const float found[] = {out[0], out[1], out[9], out[64], out[128], out[129], out[137], out[255]};
    for (int j = 0; j < 8; j++) ck_assert_float_eq_tol(found[j], features[_i].expected[j], 1.2e-7f);
}
END_TEST

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
    static const char *const wrong[] = {"DiT-XL/3",
                                        "DiT-M/2",
                                        "dit-XL/2",
                                        "DiT-XL/2-",
                                        "DiT-XL",
                                        "DiT-XL/2-adaln",
                                        "DiT-XL/2-in-context-",
                                        "XL/2",
                                        "",
                                        "DiT-XL/2-adaLN-Zero"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        model m;
        ck_assert_int_eq(paper_model(&m, wrong[i], 256), ERR_USAGE);
        ck_assert_ptr_nonnull(strstr(fail_line(), "expected DiT-S, DiT-B"));
    }
}
END_TEST

/* The values are from a transcription in Python of FNV-1a, lowbias32 and the scale. */
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
    tcase_add_loop_test(tests, timestep_features_are_those_of_pytorch, 0,
                        sizeof features / sizeof *features);
    tcase_add_test(tests, other_names_are_refused);
    tcase_add_test(tests, generated_values_are_always_the_same);
    tcase_add_test(tests, generated_values_keep_the_size_of_activations);
    suite_add_tcase(suite, tests);
    return suite;
}
