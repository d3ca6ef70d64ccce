/* ditcl init: weights as the original program initialises them, in files of each design. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "model/dit.h"
#include "model/flops.h"
#include "model/init.h"
#include "model/paper.h"
#include "scratch.h"
#include "suites.h"

static const char *const names[] = {"DiT-S/8", "DiT-S/8-adaLN", "DiT-S/8-cross-attention",
                                    "DiT-S/8-in-context"};

enum { CLASSES = 11, DEPTH = 2 };

/* Writes the first blocks of a network of the paper. Returns the file's path. */
static const char *write_model(const char *name, const char *file, uint64_t seed, dtype type)
{
    static char path[4096];
    model m;
    text_copy(path, sizeof path, scratch_path(file));
    ck_assert_int_eq(paper_model(&m, name, 256), OK);
    m.dit.depth = DEPTH;
    m.dit.n_classes = CLASSES;
    status st = init_write(&m, path, &(init_request){.seed = seed, .type = type});
    ck_assert_msg(st == OK, "%s", fail_line());
    model_close(&m);
    return path;
}

static void open_written(model *m, const char *path)
{
    status st = model_open(
        m, &(model_request){.name = path, .forced = -1, .need_dit = true, .vae_use = VAE_UNUSED});
    if (st == OK) st = dit_check(m);
    ck_assert_msg(st == OK, "%s", fail_line());
}

/* Checks the mean and the standard deviation of a random tensor, or the value of a constant one. */
static void check_tensor(const tensor *t, const dit_config *c)
{
    float *x, *positions;
    double mean = 0, square = 0, least = INFINITY, most = -INFINITY, n = (double)t->count;
    double sides = n / (double)t->dims[0] + (double)t->dims[0];
    bool table = strstr(t->name, "embedding_table") != NULL;
    bool bias = strstr(t->name, ".bias") != NULL;
    ck_assert_int_eq(memory_alloc(&x, t->count, sizeof *x), OK);
    tensor_to_float(x, t, 0, t->count);
    for (size_t i = 0; i < t->count; i++) {
        mean += (double)x[i] / n;
        square += (double)x[i] * (double)x[i] / n;
        least = fmin(least, (double)x[i]);
        most = fmax(most, (double)x[i]);
    }
    if (!strcmp(t->name, "pos_embed")) {
        ck_assert_int_eq(memory_alloc(&positions, t->count, sizeof *positions), OK);
        dit_positions(positions, c->latent_size / c->patch, c->width);
        ck_assert_mem_eq(positions, x, t->count * sizeof *x);
        free(positions);
    } else if (bias || strstr(t->name, "adaLN_modulation") || strstr(t->name, "final_layer.lin")) {
        ck_assert_msg(least == 0 && most == 0, "%s is not 0", t->name);
    } else if (strstr(t->name, "norm")) {
        ck_assert_msg(least == 1 && most == 1, "%s is not 1", t->name);
    } else {
        bool normal = table || strstr(t->name, "t_embedder");
        double deviation = normal ? 0.02 : sqrt(2.0 / sides);
        ck_assert_double_eq_tol(mean, 0.0, 6 * deviation / sqrt(n));
        ck_assert_double_eq_tol(sqrt(square), deviation, 6 * deviation / sqrt(n));
        ck_assert_double_lt(fmax(-least, most) / deviation, normal ? 6.5 : sqrt(3.0) * 1.00001);
        ck_assert_double_gt(fmin(-least, most) / deviation, normal ? 3.0 : 1.71);
    }
    free(x);
}

START_TEST(all_tensors_are_initialised_as_the_original_does)
{
    model m;
    uint64_t count = 0;
    open_written(&m, write_model(names[_i], "a.safetensors", 7, DTYPE_F32));
    ck_assert_int_eq(m.dit.design, _i);
    ck_assert_int_eq(m.dit.depth, DEPTH);
    ck_assert_int_eq(m.dit.n_classes, CLASSES);
    ck_assert_int_eq(m.dit.heads, 6);
    for (size_t i = 0; i < m.dit_weights.file.n_tensors; i++) {
        check_tensor(&m.dit_weights.file.tensors[i], &m.dit);
        count += m.dit_weights.file.tensors[i].count;
    }
    ck_assert_uint_eq(count, flops_parameters(&m.dit));
    model_close(&m);
}
END_TEST

/* The values are from a transcription in Python: FNV-1a, splitmix64, Xavier's bound, Box-Muller. */
START_TEST(values_are_always_the_same)
{
    static const struct {
        const char *name;
        size_t at;
        float value;
    } expected[] = {
        {"blocks.1.attn.qkv.weight", 0, 0.020792873212485574f},
        {"blocks.1.attn.qkv.weight", 1, -0.0040515893924748525f},
        {"blocks.1.attn.qkv.weight", 200000, -0.054485850196215324f},
        {"x_embedder.proj.weight", 0, 0.018902500951382087f},
        {"x_embedder.proj.weight", 5, 0.00972038249692269f},
        {"y_embedder.embedding_table.weight", 0, 0.012268687379103287f},
        {"y_embedder.embedding_table.weight", 1, -0.00030543890460366514f},
        {"y_embedder.embedding_table.weight", 4000, 0.0036974981041753077f},
    };
    model m;
    open_written(&m, write_model(names[0], "a.safetensors", 7, DTYPE_F32));
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const tensor *t = tensor_find(&m.dit_weights.file, expected[i].name);
        float got;
        ck_assert_ptr_nonnull(t);
        tensor_to_float(&got, t, expected[i].at, 1);
        ck_assert_float_eq_tol(got, expected[i].value, 1e-8f);
    }
    model_close(&m);
}
END_TEST

START_TEST(seeds_and_types_make_the_difference)
{
    size_t sizes[4];
    unsigned char *bytes[4];
    write_model(names[3], "0.safetensors", 1, DTYPE_F32);
    write_model(names[3], "1.safetensors", 1, DTYPE_F32);
    write_model(names[3], "2.safetensors", 2, DTYPE_F32);
    write_model(names[3], "3.safetensors", 1, DTYPE_BF16);
    for (int i = 0; i < 4; i++) {
        char name[] = "0.safetensors";
        name[0] = (char)('0' + i);
        bytes[i] = scratch_read(scratch_path(name), &sizes[i]);
    }
    ck_assert_uint_eq(sizes[0], sizes[1]);
    ck_assert_uint_eq(sizes[0], sizes[2]);
    ck_assert_uint_lt(sizes[3], sizes[0] / 2 + 10000);
    ck_assert_int_eq(memcmp(bytes[0], bytes[1], sizes[0]), 0);
    ck_assert_int_ne(memcmp(bytes[0], bytes[2], sizes[0]), 0);
    for (int i = 0; i < 4; i++) free(bytes[i]);
    ck_assert_int_eq(scratch_count(), 4);
}
END_TEST

Suite *suite_init(void)
{
    Suite *suite = suite_create("init");
    TCase *tests = tcase_create("files");
    tcase_add_checked_fixture(tests, scratch_open, scratch_close);
    tcase_add_loop_test(tests, all_tensors_are_initialised_as_the_original_does, 0,
                        sizeof names / sizeof *names);
    tcase_add_test(tests, values_are_always_the_same);
    tcase_add_test(tests, seeds_and_types_make_the_difference);
    suite_add_tcase(suite, tests);
    return suite;
}
