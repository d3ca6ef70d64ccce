/* Configurations and class names. Defaults are those of diffusers' classes. A value that is wrong
 * or not supported is refused, and the message names its key. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/config.h"
#include "suites.h"

#define DIT "{\"_class_name\":\"DiTTransformer2DModel\""
#define VAE "{\"_class_name\":\"AutoencoderKL\""
#define DDIM "{\"_class_name\":\"DDIMScheduler\""
#define DDPM "{\"_class_name\":\"DDPMScheduler\""
#define EULER "{\"_class_name\":\"EulerDiscreteScheduler\""
#define DPM "{\"_class_name\":\"DPMSolverMultistepScheduler\""

/* ---- what is read ---- */

START_TEST(test_dit_defaults)
{
    dit_config c;
    ck_assert_int_eq(config_parse_dit(&c, DIT "}", "test", NULL), OK);
    ck_assert_int_eq(c.in_channels, 4);
    ck_assert_int_eq(c.out_channels, 4);
    ck_assert_int_eq(c.patch, 2);
    ck_assert_int_eq(c.depth, 28);
    ck_assert_int_eq(c.heads, 16);
    ck_assert_int_eq(c.head_dim, 72);
    ck_assert_int_eq(c.width, 1152);
    ck_assert_int_eq(c.n_classes, 1000);
    ck_assert_int_eq(c.latent_size, 32);
    ck_assert_float_eq(c.norm3_eps, 1e-5f);
}
END_TEST

START_TEST(test_dit_values)
{
    dit_config c;
    const char *json =
        "{\"_class_name\":\"Transformer2DModel\",\"_diffusers_version\":\"0.12.0.dev0\","
        "\"activation_fn\":\"gelu-approximate\",\"attention_bias\":true,\"attention_head_dim\":50,"
        "\"cross_attention_dim\":null,\"dropout\":0.0,\"in_channels\":3,\"out_channels\":6,"
        "\"norm_elementwise_affine\":false,\"norm_num_groups\":32,\"norm_type\":\"ada_norm_zero\","
        "\"num_attention_heads\":4,\"num_embeds_ada_norm\":7,\"num_layers\":3,\"patch_size\":8,"
        "\"num_vector_embeds\":null,\"only_cross_attention\":false,\"sample_size\":64,"
        "\"upcast_attention\":true,\"use_linear_projection\":false,\"norm_eps\":0.001}";
    ck_assert_msg(config_parse_dit(&c, json, "test", NULL) == OK, "%s", fail_line());
    ck_assert_int_eq(c.in_channels, 3);
    ck_assert_int_eq(c.out_channels, 6);
    ck_assert_int_eq(c.patch, 8);
    ck_assert_int_eq(c.depth, 3);
    ck_assert_int_eq(c.heads, 4);
    ck_assert_int_eq(c.width, 200);
    ck_assert_int_eq(c.n_classes, 7);
    ck_assert_int_eq(c.latent_size, 64);
    ck_assert_float_eq(c.norm3_eps, 1e-3f);
}
END_TEST

START_TEST(test_vae_values)
{
    vae_config c;
    ck_assert_int_eq(config_parse_vae(&c, VAE "}", "test", NULL), OK);
    ck_assert_int_eq(c.n_levels, 1);
    ck_assert_int_eq(c.channels[0], 64);
    ck_assert_int_eq(c.layers_per_block, 1);
    ck_assert_int_eq(c.groups, 32);
    ck_assert_float_eq(c.scaling_factor, 0.18215f);
    ck_assert_float_eq(c.shift_factor, 0);
    ck_assert(c.post_quant_conv && c.mid_attention);
    const char *json = VAE ",\"block_out_channels\":[8,16,24],\"up_block_types\":["
                           "\"UpDecoderBlock2D\",\"UpDecoderBlock2D\",\"UpDecoderBlock2D\"],"
                           "\"layers_per_block\":2,\"norm_num_groups\":4,\"scaling_factor\":2,"
                           "\"shift_factor\":-0.5,\"use_post_quant_conv\":false,"
                           "\"mid_block_add_attention\":false,\"latent_channels\":16}";
    ck_assert_msg(config_parse_vae(&c, json, "test", NULL) == OK, "%s", fail_line());
    ck_assert_int_eq(c.n_levels, 3);
    ck_assert_int_eq(c.channels[2], 24);
    ck_assert_int_eq(c.latent_channels, 16);
    ck_assert_float_eq(c.scaling_factor, 2);
    ck_assert_float_eq(c.shift_factor, -0.5f);
    ck_assert(!c.post_quant_conv && !c.mid_attention);
}
END_TEST

/* *out = the configuration as class_name reads it, or without class_name the file's own class. */
static void settled(schedule_config *out, const char *json, const char *class_name)
{
    schedule_config c;
    ck_assert_msg(config_parse_schedule(&c, json, "test", class_name) == OK, "%s", fail_line());
    ck_assert_msg(config_resolve_schedule(out, &c, c.sampler) == OK, "%s", fail_line());
    config_free_schedule(&c);
}

/* The class in model_index.json goes before the one in the scheduler's file, which may have none.
 */
START_TEST(test_schedule_class)
{
    schedule_config c;
    settled(&c, "{}", "EulerDiscreteScheduler");
    ck_assert(c.sampler_known && c.sampler == SAMPLER_EULER && c.spaced == SPACING_LINSPACE);
    ck_assert_str_eq(c.own_class, "");
    settled(&c, DDIM ",\"beta_end\":0.05}", "HeunDiscreteScheduler");
    ck_assert(c.sampler == SAMPLER_HEUN && c.beta_start == 0.00085 && c.beta_end == 0.05);
    ck_assert_str_eq(c.class_name, "HeunDiscreteScheduler");
    ck_assert_str_eq(c.own_class, "DDIMScheduler");
    settled(&c, DDIM "}", "PNDMScheduler");
    ck_assert(!c.sampler_known);
    settled(&c, "{\"_class_name\":\"SiT\"}", "DDIMScheduler");
    ck_assert(c.flow);
    settled(&c, "{}", NULL);
    ck_assert(!c.sampler_known);
    /* keys of _use_default_values count as absent */
    settled(&c,
            DDIM ",\"beta_end\":0.05,\"beta_start\":0.001,"
                 "\"_use_default_values\":[\"beta_end\",7]}",
            NULL);
    ck_assert(c.beta_start == 0.001 && c.beta_end == 0.02);
    /* None is false in Python */
    settled(&c, DDIM ",\"clip_sample\":null,\"thresholding\":null}", NULL);
    ck_assert(!c.clip_sample);
}
END_TEST

START_TEST(test_schedule_values)
{
    schedule_config c;
    settled(&c, DDIM "}", NULL);
    ck_assert(c.sampler == SAMPLER_DDIM && c.sampler_known);
    ck_assert_int_eq(c.n_train, 1000);
    ck_assert(c.betas == BETAS_LINEAR && c.predicts == PREDICT_EPSILON);
    ck_assert(c.spaced == SPACING_LEADING && c.variance == VARIANCE_FIXED_SMALL);
    ck_assert(c.set_alpha_to_one && c.clip_sample && c.clip_sample_range == 1);
    config_free_schedule(&c);
    const char *json = "{\"_class_name\":\"DPMSolverMultistepScheduler\",\"trained_betas\":"
                       "[0.1,0.25],\"num_train_timesteps\":2,\"clip_sample\":false,"
                       "\"variance_type\":null,\"steps_offset\":1}";
    settled(&c, json, NULL);
    ck_assert(c.sampler_known && c.sampler == SAMPLER_DPM);
    ck_assert(c.spaced == SPACING_LINSPACE && c.solver_order == 2 && c.lower_order_final);
    ck_assert(c.betas == BETAS_TRAINED && c.trained_betas[1] == 0.25);
    ck_assert(!c.clip_sample && c.steps_offset == 0); /* only leading spacing reads it */
    config_free_schedule(&c);
    ck_assert_ptr_null(c.trained_betas);
    /* Python writes Infinity; inside a string it is text */
    json = "{\"_class_name\":\"My-Infinity\\\"-Infinity\",\"lambda_min_clipped\": -Infinity}";
    settled(&c, json, NULL);
    ck_assert(!c.sampler_known);
    ck_assert_str_eq(c.class_name, "My-Infinity\"-Infinity");
    config_free_schedule(&c);
}
END_TEST

/* ---- what is refused ---- */

static const struct {
    char kind; /* t, v or s */
    const char *json, *word;
} refusals[] = {
    {'t', "", "JSON"},
    {'t', "[1]", "object"},
    {'t', DIT, "JSON"},
    {'t', DIT "} x", "JSON"},
    {'t', DIT ",\"num_layers\":2,\"num_layers\":2}", "duplicate"},
    {'t', DIT ",\"num_layers\":NaN}", "JSON"},
    {'t', DIT ",\"num_layers\":99999999999999999999999}", "JSON"},
    {'t', "{}", "_class_name"},
    {'t', "{\"_class_name\":3}", "_class_name"},
    {'t', "{\"_class_name\":\"UNet2DModel\"}", "UNet2DModel"},
    {'t', "{\"_class_name\":\"Transformer2DModel\"}", "norm_type"},
    {'t', DIT ",\"norm_type\":\"ada_norm_single\"}", "norm_type"},
    {'t', DIT ",\"activation_fn\":\"geglu\"}", "activation_fn"},
    {'t', DIT ",\"attention_bias\":false}", "attention_bias"},
    {'t', DIT ",\"attention_bias\":1}", "attention_bias"},
    {'t', DIT ",\"norm_elementwise_affine\":true}", "norm_elementwise_affine"},
    {'t', DIT ",\"only_cross_attention\":true}", "only_cross_attention"},
    {'t', DIT ",\"double_self_attention\":true}", "double_self_attention"},
    {'t', DIT ",\"attention_type\":\"gated\"}", "attention_type"},
    {'t', DIT ",\"cross_attention_dim\":64}", "cross_attention_dim"},
    {'t', DIT ",\"num_vector_embeds\":64}", "num_vector_embeds"},
    {'t', DIT ",\"caption_channels\":64}", "caption_channels"},
    {'t', DIT ",\"quantization_config\":{}}", "quantization_config"},
    {'t', DIT ",\"interpolation_scale\":2}", "interpolation_scale"},
    {'t', DIT ",\"num_attention_heads\":0}", "num_attention_heads"},
    {'t', DIT ",\"num_attention_heads\":-4}", "num_attention_heads"},
    {'t', DIT ",\"num_attention_heads\":4.0}", "num_attention_heads"},
    {'t', DIT ",\"num_attention_heads\":\"4\"}", "num_attention_heads"},
    {'t', DIT ",\"num_attention_heads\":null}", "num_attention_heads"},
    {'t', DIT ",\"num_attention_heads\":4294967300}", "num_attention_heads"},
    {'t', DIT ",\"num_attention_heads\":1000}", "16384"},
    {'t', DIT ",\"attention_head_dim\":129}", "attention_head_dim"},
    {'t', DIT ",\"attention_head_dim\":9,\"num_attention_heads\":3}", "multiple of 4"},
    {'t', DIT ",\"num_layers\":0}", "num_layers"},
    {'t', DIT ",\"num_layers\":1025}", "num_layers"},
    {'t', DIT ",\"in_channels\":0}", "in_channels"},
    {'t', DIT ",\"out_channels\":5}", "out_channels"},
    {'t', DIT ",\"out_channels\":\"8\"}", "out_channels"},
    {'t', DIT ",\"patch_size\":3,\"sample_size\":33}", "patch_size"},
    {'t', DIT ",\"sample_size\":33}", "multiple"},
    {'t', DIT ",\"sample_size\":[32,32]}", "sample_size"},
    {'t', DIT ",\"sample_size\":2048}", "sample_size"},
    {'t', DIT ",\"sample_size\":1024,\"num_attention_heads\":32}", "tokens"},
    {'t', DIT ",\"num_embeds_ada_norm\":null}", "num_embeds_ada_norm"},
    {'t', DIT ",\"num_embeds_ada_norm\":10000001}", "num_embeds_ada_norm"},
    {'t', DIT ",\"norm_eps\":0}", "norm_eps"},
    {'t', DIT ",\"norm_eps\":\"1e-5\"}", "norm_eps"},
    {'v', "{\"_class_name\":\"AutoencoderTiny\"}", "AutoencoderTiny"},
    {'v', VAE ",\"act_fn\":\"relu\"}", "act_fn"},
    {'v', VAE ",\"latents_mean\":[0]}", "latents_mean"},
    {'v', VAE ",\"latents_std\":[1]}", "latents_std"},
    {'v', VAE ",\"block_out_channels\":[]}", "block_out_channels"},
    {'v', VAE ",\"block_out_channels\":64}", "block_out_channels"},
    {'v', VAE ",\"block_out_channels\":[64.0]}", "block_out_channels"},
    {'v', VAE ",\"block_out_channels\":[0]}", "block_out_channels"},
    {'v', VAE ",\"block_out_channels\":[32,32,32,32,32,32,32,32,32]}", "block_out_channels"},
    {'v', VAE ",\"block_out_channels\":[32,64]}", "up_block_types"},
    {'v', VAE ",\"up_block_types\":[\"AttnUpDecoderBlock2D\"]}", "up_block_types"},
    {'v', VAE ",\"up_block_types\":\"UpDecoderBlock2D\"}", "up_block_types"},
    {'v', VAE ",\"up_block_types\":[\"UpDecoderBlock2D\",\"UpDecoderBlock2D\"]}", "up_block_types"},
    {'v', VAE ",\"norm_num_groups\":24}", "norm_num_groups"},
    {'v', VAE ",\"norm_num_groups\":0}", "norm_num_groups"},
    {'v', VAE ",\"layers_per_block\":0}", "layers_per_block"},
    {'v', VAE ",\"latent_channels\":0}", "latent_channels"},
    {'v', VAE ",\"out_channels\":1000}", "out_channels"},
    {'v', VAE ",\"scaling_factor\":0}", "scaling_factor"},
    {'v', VAE ",\"scaling_factor\":-1}", "scaling_factor"},
    {'v', VAE ",\"scaling_factor\":null}", "scaling_factor"},
    {'v', VAE ",\"shift_factor\":\"0\"}", "shift_factor"},
    {'v', VAE ",\"use_post_quant_conv\":0}", "use_post_quant_conv"},
    {'v', VAE ",\"mid_block_add_attention\":null}", "mid_block_add_attention"},
    {'s', "{\"_class_name\":3}", "_class_name"},
    {'s', DDIM ",\"thresholding\":true}", "thresholding"},
    {'s', DDIM ",\"rescale_betas_zero_snr\":true}", "rescale_betas_zero_snr"},
    {'s', DDIM ",\"num_train_timesteps\":0}", "num_train_timesteps"},
    {'s', DDIM ",\"num_train_timesteps\":100001}", "num_train_timesteps"},
    {'s', DDIM ",\"beta_schedule\":\"sigmoid\"}", "beta_schedule"},
    {'s', DDIM ",\"beta_start\":0}", "beta_start"},
    {'s', DDIM ",\"beta_end\":1}", "beta_end"},
    {'s', DDIM ",\"beta_end\":-0.02}", "beta_end"},
    {'s', DDIM ",\"trained_betas\":[0.1]}", "trained_betas"},
    {'s', DDIM ",\"num_train_timesteps\":2,\"trained_betas\":[0.1,1.5]}", "trained_betas[1]"},
    {'s', DDIM ",\"num_train_timesteps\":2,\"trained_betas\":[0.1,\"a\"]}", "trained_betas[1]"},
    {'s', DDIM ",\"trained_betas\":0.1}", "trained_betas"},
    {'s', DDIM ",\"prediction_type\":\"flow_prediction\"}", "prediction_type"},
    {'s', DDIM ",\"prediction_type\":null}", "prediction_type"},
    {'s', DDIM ",\"timestep_spacing\":\"even\"}", "timestep_spacing"},
    {'s', DDIM ",\"steps_offset\":-1}", "steps_offset"},
    {'s', DDIM ",\"steps_offset\":1000}", "steps_offset"},
    {'s', DDIM ",\"set_alpha_to_one\":1}", "set_alpha_to_one"},
    {'s', DDIM ",\"clip_sample\":\"yes\"}", "clip_sample"},
    {'s', DDIM ",\"clip_sample_range\":0}", "clip_sample_range"},
    {'s', DDPM ",\"variance_type\":\"learned\"}", "variance_type"},
    {'s', DPM ",\"algorithm_type\":\"sde-dpmsolver++\"}", "algorithm_type"},
    {'s', DPM ",\"solver_order\":3}", "solver_order"},
    {'s', DPM ",\"solver_type\":\"bh3\"}", "solver_type"},
    {'s', DPM ",\"use_karras_sigmas\":true}", "use_karras_sigmas"},
    {'s', DPM ",\"use_flow_sigmas\":1}", "use_flow_sigmas"},
    {'s', DPM ",\"lower_order_final\":1}", "lower_order_final"},
    {'s', DPM ",\"final_sigmas_type\":\"max\"}", "final_sigmas_type"},
    {'s', DPM ",\"lambda_min_clipped\":-5.1}", "lambda_min_clipped"},
    {'s', EULER ",\"use_karras_sigmas\":true,\"sigma_max\":80}", "use_karras_sigmas"},
    {'s', EULER ",\"interpolation_type\":\"log_linear\"}", "interpolation_type"},
    {'s', EULER ",\"timestep_type\":\"continuous\",\"prediction_type\":\"v_prediction\"}",
     "timestep_type"},
    {'s', DPM ",\"solver_order\":-Infinity}", "solver_order"},
    {'s', DPM ",\"solver_order\":Infinity}", "JSON"},
    {'s', "{\"_class_name\":\"SiT\",\"path_type\":\"linear\"}", "path_type"},
    {'s', "{\"_class_name\":\"SiT\",\"prediction\":\"v\"}", "prediction"},
};

START_TEST(test_refusal)
{
    dit_config dit;
    vae_config vae;
    schedule_config schedule = {0}, settled;
    const char *json = refusals[_i].json;
    status st;
    if (refusals[_i].kind == 't')
        st = config_parse_dit(&dit, json, "some/config.json", NULL);
    else if (refusals[_i].kind == 'v')
        st = config_parse_vae(&vae, json, "some/config.json", NULL);
    else
        st = config_parse_schedule(&schedule, json, "some/config.json", NULL);
    if (st == OK && refusals[_i].kind == 's')
        st = config_resolve_schedule(&settled, &schedule, schedule.sampler);
    ck_assert_msg(st == ERR_FORMAT || st == ERR_LIMIT, "%s passed", json);
    ck_assert_msg(strstr(fail_line(), refusals[_i].word) != NULL, "%s: %s", json, fail_line());
    ck_assert_msg(!strncmp(fail_line(), "some/config.json: ", 18), "%s", fail_line());
    config_free_schedule(&schedule);
}
END_TEST

/* ---- class names ---- */

#define NAMES                                                                                      \
    "{\"id2label\":{\"0\":\"tench, Tinca tinca\",\"1\":\"goldfish, Carassius auratus\","           \
    "\"2\":\"great white shark, white shark\",\"3\":\"crane\",\"4\":\"cran\",\"6\":\"crane\","     \
    "\"8\":\"none\"}}"
#define LABELS                                                                                     \
    "{\"id2label\":{\"0\":\"tench\",\"1\":\"goldfish, Carassius auratus\","                        \
    "\"7\":\"crane bird, Grus\",\"2\":\"great white shark, white shark\","                         \
    "\"5\":\"great white shark, white shark, great white\"}}"

static const struct {
    const char *typed;
    int expected;     /* -1: refused */
    const char *word; /* in the message or its hint */
} lookups[] = {
    {"0", 0, ""},
    {"7", 7, ""},
    {"8", -1, "0 to 7"},
    {"-1", -1, "0 to 7"},
    {"99999999999999999999", -1, "0 to 7"},
    {"tench", 0, ""},
    {"TINCA tinca", 0, ""},
    {" goldfish ", 1, ""},
    {"gold", 1, ""},
    {"white shark", 2, ""},
    {"great", 2, ""},
    {"cran", 4, ""},
    {"crane", -1, "3 (crane), 6 (crane)"},
    {"cra", -1, "begins the names of 3"},
    {"t", 0, ""},
    {"goldfsh", -1, "goldfish"},
    {"shark", -1, "white shark"},
    {"zebra", -1, "zebra"},
    {"", -1, "a name is missing"},
    {"  ", -1, "a name is missing"},
    {"1.5", -1, "1.5"},
    {"null", 8, ""},
    {" NULL", 8, ""},
    {"none", 8, ""},
    {"8", -1, "--class null"},
};

static const struct {
    const char *typed;
    int n, found[5];
} lists[] = {
    {"0,crane bird, Grus", 2, {0, 7}},
    {"white shark,0", 0, {0}},                  /* the name of two classes */
    {"Great White  Shark,white shark", 0, {0}}, /* two blanks: another name */
    {"Great White Shark,white shark", 1, {2}},
    {"great white shark, white shark, 4", 2, {2, 4}},
    {"great white shark, white shark, great white", 1, {5}},
    {"great white shark, white shark, goldfish,1", 3, {2, 1, 1}},
    {"4,great white shark , white shark,all,null", 4, {4, 2, CLASS_ALL, 8}},
    {"tench", 1, {0}},
    {"Carassius auratus, goldfish", 2, {1, 1}},
};

/* A label as printed by info is one class; commas separate classes. */
START_TEST(test_list)
{
    class_names names;
    int found, n = 0;
    const char *at = lists[_i].typed;
    ck_assert_msg(config_parse_names(&names, LABELS, "test", 9) == OK, "%s", fail_line());
    for (; at; n++) {
        status st = config_next_class(&found, &at, &(class_choice){&names, 8, true, false});
        if (st != OK) break;
        ck_assert_int_lt(n, 5);
        ck_assert_int_eq(found, lists[_i].found[n]);
    }
    ck_assert_int_eq(n, lists[_i].n);
    config_free_names(&names);
}
END_TEST

START_TEST(test_same_labels)
{
    static const char json[] = "{\"id2label\":{\"0\":\"a,b\",\"2\":\"a, b\"}}";
    class_names names;
    const class_choice among = {&names, 3, false, false};
    int found;
    const char *at = "a,b";
    ck_assert_int_eq(config_parse_names(&names, json, "test", 3), OK);
    ck_assert_int_eq(config_next_class(&found, &at, &among), ERR_USAGE);
    ck_assert_msg(strstr(fail_line(), "0 and 2") != NULL, "%s", fail_line());
    at = "null";
    ck_assert_int_eq(config_next_class(&found, &at, &among), ERR_USAGE);
    ck_assert_msg(strstr(fail_line(), "no null class") != NULL, "%s", fail_line());
    config_free_names(&names);
}
END_TEST

START_TEST(test_lookup)
{
    class_names names;
    int found = -2;
    ck_assert_msg(config_parse_names(&names, NAMES, "test", 9) == OK, "%s", fail_line());
    ck_assert_int_eq(names.n, 9);
    ck_assert_ptr_null(names.names[5]);
    const char *at = lookups[_i].typed;
    status st = config_next_class(&found, &at, &(class_choice){&names, 8, true, false});
    if (lookups[_i].expected >= 0) {
        ck_assert_msg(st == OK, "%s", fail_line());
        ck_assert_int_eq(found, lookups[_i].expected);
    } else {
        ck_assert_int_eq(st, ERR_USAGE);
        ck_assert_msg(strstr(fail_line(), lookups[_i].word) ||
                          strstr(fail_hint_line(), lookups[_i].word),
                      "%s / %s", fail_line(), fail_hint_line());
    }
    config_free_names(&names);
}
END_TEST

static const struct {
    const char *json, *word;
} bad_names[] = {
    {"[]", "object"},
    {"{\"id2label\":[\"a\"]}", "id2label"},
    {"{\"id2label\":{\"8\":\"a\"}}", "0 to 7"},
    {"{\"id2label\":{\"-1\":\"a\"}}", "-1"},
    {"{\"id2label\":{\"1x\":\"a\"}}", "1x"},
    {"{\"id2label\":{\"99999999999999999999\":\"a\"}}", "9999"},
    {"{\"id2label\":{\"1\":2}}", "not a string"},
    {"{\"id2label\":{\"1\":\"a\",\"01\":\"b\"}}", "twice"},
    {"{\"id2label\":{\"1\":\"a\",\"1\":\"b\"}}", "duplicate"},
};

START_TEST(test_bad_names)
{
    class_names names;
    ck_assert_int_eq(config_parse_names(&names, bad_names[_i].json, "test", 8), ERR_FORMAT);
    ck_assert_msg(strstr(fail_line(), bad_names[_i].word) != NULL, "%s", fail_line());
    ck_assert_int_eq(names.n, 0);
}
END_TEST

START_TEST(test_no_names)
{
    class_names names;
    int found;
    ck_assert_int_eq(config_parse_names(&names, "{\"id2label\":null}", "test", 8), OK);
    ck_assert_int_eq(config_parse_names(&names, "{\"vae\":[]}", "test", 8), OK);
    ck_assert_int_eq(names.n, 0);
    const char *at = "3", *unknown = "cat";
    ck_assert_int_eq(config_next_class(&found, &at, &(class_choice){&names, 8, true, false}), OK);
    ck_assert_int_eq(found, 3);
    ck_assert_int_eq(config_next_class(&found, &unknown, &(class_choice){&names, 8, true, false}),
                     ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(fail_line(), "no class names"));
}
END_TEST

Suite *suite_config(void)
{
    Suite *suite = suite_create("config");
    TCase *tests = tcase_create("values");
    tcase_add_test(tests, test_dit_defaults);
    tcase_add_test(tests, test_dit_values);
    tcase_add_test(tests, test_vae_values);
    tcase_add_test(tests, test_schedule_values);
    tcase_add_test(tests, test_schedule_class);
    tcase_add_loop_test(tests, test_refusal, 0, sizeof refusals / sizeof *refusals);
    suite_add_tcase(suite, tests);
    tests = tcase_create("names");
    tcase_add_loop_test(tests, test_lookup, 0, sizeof lookups / sizeof *lookups);
    tcase_add_loop_test(tests, test_list, 0, sizeof lists / sizeof *lists);
    tcase_add_test(tests, test_same_labels);
    tcase_add_loop_test(tests, test_bad_names, 0, sizeof bad_names / sizeof *bad_names);
    tcase_add_test(tests, test_no_names);
    suite_add_tcase(suite, tests);
    return suite;
}
