/* Matrix units that take subnormal fp16 numbers for 0 (MATRIX_UNIT_FLUSHES of cl/mma.clh),
 * emulated: weights of any magnitude keep the accuracy of fp16, since their rows are scaled.
 * Without the scaling, the same unit loses small weights. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "device.h"
#include "device/mma.h"
#include "ops/ops.h"
#include "optest/optest.h"
#include "part.h"
#include "scratch.h"
#include "suites.h"

/* Rows of weights have these magnitudes, and one row is 0: 2^-4, 2^-5, ... A row of 2^-15 is
 * subnormal in fp16. */
enum { ROWS = 33, FIRST_EXPONENT = -4, EMPTY_ROW = 20 };

/* A number between -1 and 1. */
static float next(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / (float)(1 << 23) - 1.0f;
}

static void fill_weights(float *w, int rows, int depth, unsigned *state)
{
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < depth; k++)
            w[r * depth + k] = r == EMPTY_ROW ? 0.0f : ldexpf(next(state), FIRST_EXPONENT - r);
}

/* The largest relative L2 error of the results of one row of weights. got [results][rows]. */
static double worst_row(const float *got, const double *expected, int results, int rows)
{
    double worst = 0;
    for (int r = 0; r < rows; r++) {
        double wrong = 0, all = 0;
        for (int i = 0; i < results; i++) {
            double e = expected[i * rows + r], x = got[i * rows + r];
            wrong += (x - e) * (x - e);
            all += e * e;
        }
        if (r == EMPTY_ROW)
            ck_assert_double_eq(wrong, 0);
        else
            worst = fmax(worst, sqrt(wrong / all));
    }
    return worst;
}

#define DONE(call) ck_assert_msg((call) == OK, "%s", fail_line())

static double gemm_error(device *d, unsigned *state)
{
    enum { M = 17, K = 83 };
    static float a[M * K], w[ROWS * K], bias[ROWS], got[M * ROWS];
    static double expected[M * ROWS];
    gemm_weight packed = {0};
    gemm_buffers b = {.w = &packed};
    op_plan p;
    size_t scratch;
    fill_weights(w, ROWS, K, state);
    for (int i = 0; i < M * K; i++) a[i] = next(state);
    for (int i = 0; i < M * ROWS; i++) {
        expected[i] = 0;
        for (int k = 0; k < K; k++)
            expected[i] += (double)a[i / ROWS * K + k] * (double)w[i % ROWS * K + k];
    }
    DONE(gemm_weight_upload(d, &packed, w, bias, M, ROWS, K, "weight"));
    ck_assert_str_eq(packed.use.impl ? gemm_name(d, M, ROWS, K) : "", "gpu_mma");
    DONE(gemm_scratch(d, &scratch, &packed, M));
    DONE(buffer_create(d, &b.out, M * ROWS, "out"));
    DONE(buffer_create(d, &b.a, M * K, "a"));
    DONE(buffer_create(d, &b.scratch, scratch + 1, "scratch"));
    DONE(buffer_upload(d, b.a, 0, a, M * K));
    DONE(gemm_plan(d, &p, &packed, M, (gemm_epilogue){0}));
    DONE(op_gemm(d, &p, &b));
    DONE(buffer_download(d, b.out, 0, got, M * ROWS));
    buffer_release(d, &b.out);
    buffer_release(d, &b.a);
    buffer_release(d, &b.scratch);
    gemm_weight_free(d, &packed);
    return worst_row(got, expected, M, ROWS);
}

enum { H = 3, W = 5, CHANNELS = 12 };

/* expected [H * W][ROWS] of x [H * W][CHANNELS] and w [ROWS][CHANNELS][3][3]. */
static void convolve(double *expected, const float *x, const float *w)
{
    for (int i = 0; i < H * W * ROWS; i++) expected[i] = 0;
    for (int p = 0; p < H * W; p++)
        for (int tap = 0; tap < 9; tap++) {
            int y = p / W + tap / 3 - 1, column = p % W + tap % 3 - 1;
            if (y < 0 || y >= H || column < 0 || column >= W) continue;
            for (int r = 0; r < ROWS; r++)
                for (int c = 0; c < CHANNELS; c++)
                    expected[p * ROWS + r] += (double)x[(y * W + column) * CHANNELS + c] *
                                              (double)w[(r * CHANNELS + c) * 9 + tap];
        }
}

static double conv_error(device *d, unsigned *state)
{
    static float x[H * W * CHANNELS], w[ROWS * CHANNELS * 9], bias[ROWS], got[H * W * ROWS];
    static double expected[H * W * ROWS];
    conv_weight packed = {0};
    conv_buffers b = {.w = &packed};
    const picture_shape s = {1, H, W, CHANNELS};
    const conv_layer like = {H * W, CHANNELS, ROWS, 1, 0};
    op_plan p;
    fill_weights(w, ROWS, CHANNELS * 9, state);
    for (int i = 0; i < H * W * CHANNELS; i++) x[i] = next(state);
    convolve(expected, x, w);
    ck_assert_str_eq(conv_name(d, like), "gpu_mma");
    DONE(conv_weight_upload(d, &packed, w, bias, like, "weight"));
    DONE(buffer_create(d, &b.out, H * W * ROWS, "out"));
    DONE(buffer_create(d, &b.x, H * W * CHANNELS, "x"));
    DONE(buffer_upload(d, b.x, 0, x, H * W * CHANNELS));
    b.affine = b.residual = b.scratch = b.x; /* not read */
    DONE(conv_plan(d, &p, &packed, s, 0));
    DONE(op_conv3x3(d, &p, &b));
    DONE(buffer_download(d, b.out, 0, got, H * W * ROWS));
    buffer_release(d, &b.out);
    buffer_release(d, &b.x);
    conv_weight_free(d, &packed);
    return worst_row(got, expected, H * W, ROWS);
}

static void open_flushing(device *d, const device_info *info, bool scaled)
{
    const device_settings settings = {
        .family = FAMILY_GPU, .no_cache = true, .precision = PRECISION_FP16};
    device_info flushing = *info;
    flushing.quirk.has[QUIRK_FLUSHES_SUBNORMALS] = scaled;
    claim_matrix_unit("mfma");
    DONE(device_open(d, &flushing, &settings));
    claim_matrix_unit(NULL);
    ck_assert_int_eq(mma_flushes(d), scaled);
}

/* The errors on a unit that flushes, with and without the scaling of weights. */
static void measure(const device_info *info, bool scaled, double *gemm, double *conv)
{
    device d;
    unsigned state = test_seed;
    open_flushing(&d, info, scaled);
    *gemm = gemm_error(&d, &state);
    *conv = conv_error(&d, &state);
    printf("%s, subnormal weights %s: relative error of GEMM %.1e, of convolution %.1e\n",
           d.info.platform, scaled ? "scaled" : "flushed", *gemm, *conv);
    device_close(&d);
}

START_TEST(small_weights_are_not_flushed)
{
    const device_list *devices = wanted_devices();
    const double input_error = 0x1p-11;
    if (emulated()) return; /* an emulator takes minutes */
    for (int i = 0; i < devices->n; i++) {
        double gemm, conv;
        measure(&devices->items[i], true, &gemm, &conv);
        ck_assert_double_lt(gemm, input_error);
        ck_assert_double_lt(conv, input_error);
        scratch_kernels("mma.clh", "#ifdef MATRIX_UNIT_FLUSHES\n#define MMA_INPUT",
                        "#if 1\n#define MMA_INPUT");
        measure(&devices->items[i], false, &gemm, &conv);
        unsetenv("DITCL_CL_DIR");
        ck_assert_double_gt(gemm, 0.5);
        ck_assert_double_gt(conv, 0.5);
    }
}
END_TEST

/* With every epilogue; and attention, whose inputs are not scaled. */
START_TEST(operators_are_right_where_subnormals_are_flushed)
{
    static const char *const operators[] = {"gemm", "conv", "attention"};
    const device_list *devices = wanted_devices();
    if (emulated()) return; /* an emulator takes minutes */
    for (int i = 0; i < devices->n; i++) {
        device d;
        optest_tally tally;
        open_flushing(&d, &devices->items[i], true);
        DONE(optest_check(&d, part_whole(operators[_i]), test_seed, true, NULL, stdout, &tally));
        ck_assert_int_gt(tally.cases, 0);
        ck_assert_int_eq(tally.failed, 0);
        device_close(&d);
    }
}
END_TEST

Suite *suite_flush(void)
{
    Suite *s = suite_create("flush");
    TCase *c = tcase_create("weights");
    tcase_add_checked_fixture(c, scratch_open, scratch_close);
    tcase_add_test(c, small_weights_are_not_flushed);
    tcase_add_loop_test(c, operators_are_right_where_subnormals_are_flushed, 0, 3);
    tcase_set_timeout(c, 0);
    suite_add_tcase(s, c);
    return s;
}
