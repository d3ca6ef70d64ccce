/* ditcl info: what a model is, and what it costs. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "model/flops.h"
#include "sample/pipeline.h"

enum { STEPS = 50 };

/* null where there is none */
static json_t *vae_json(const model *m)
{
    const vae_config *v = &m->vae;
    if (!m->has_vae) return json_null();
    json_t *channels = json_array();
    for (int i = 0; i < v->n_levels; i++)
        json_array_append_new(channels, json_integer(v->channels[i]));
    return json_pack("{s:i, s:o, s:i, s:i, s:f, s:i}", "latent_channels", v->latent_channels,
                     "block_out_channels", channels, "layers_per_block", v->layers_per_block,
                     "norm_num_groups", v->groups, "scaling_factor", (double)v->scaling_factor,
                     "scale", vae_scale(v));
}

/* Which weights were taken, and the keys of those that were not. */
static json_t *weights_json(const model *m)
{
    const state_taken *t = &m->dit_weights.taken;
    json_t *others = json_array();
    json_t *file = m->dit_weights.generated ? NULL : json_string(m->dit_weights.file.path);
    for (size_t i = 0; i < t->n_others; i++)
        json_array_append_new(others, json_string(t->others[i]));
    return json_pack("{s:o?, s:s?, s:b, s:o}", "file", file, "taken", t->key, "averaged",
                     t->averaged, "others", others);
}

static status print_json(const model *m, double memory)
{
    const dit_config *c = &m->dit;
    json_t *path = json_string(m->path);
    if (!path) path = json_string("(a name that is not UTF-8)");
    json_t *all = json_pack(
        "{s:o, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:b, s:I, s:f, s:I, "
        "s:o}",
        "model", path, "arithmetic",
        compat_names[m->arithmetic], "design",
        designs[c->design].name, "width", c->width, "depth", c->depth, "heads", c->heads,
        "head_dim", c->head_dim, "patch", c->patch, "in_channels", c->in_channels, "out_channels",
        c->out_channels, "classes", c->n_classes, "latent_size", c->latent_size, "image_size",
        m->has_vae ? json_integer(c->latent_size * vae_scale(&m->vae)) : json_null(),
        "learned_variance", c->out_channels == 2 * c->in_channels, "parameters",
        (json_int_t)flops_parameters(c), "gflops", flops_gflops(c), "memory_bytes",
        (json_int_t)memory, "vae", vae_json(m));
    if (!all) return fail(ERR_MEMORY, "out of memory");
    json_t *names = json_object();
    for (int i = 0; i < m->classes.n; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        if (m->classes.names[i])
            json_object_set_new(names, key, json_string(m->classes.names[i]));
    }
    json_object_set_new(all, "class_names", names);
    json_object_set_new(all, "weights", weights_json(m));
    json_object_set_new(all, "model_type", json_string(m->schedule.flow ? "sit" : "dit"));
    int bad = json_dumpf(all, stdout, JSON_INDENT(2));
    json_decref(all);
    printf("\n");
    return bad ? fail(ERR_FILE, "cannot write to standard output") : OK;
}

/* What sample takes unless told otherwise, and what a SiT predicts along which path. */
static void print_sampler(const model *m)
{
    const schedule_config *c = &m->schedule;
    sampler_kind sampler;
    int predicts = 0;
    if (!c->flow) {
        bool known = model_sampler(&sampler, m) == OK;
        if (!known) fail_clear();
        printf("  sampler      %s\n", known ? sampler_names[sampler] : "none: give one to sample");
        return;
    }
    while (flow_predictions[predicts] != c->predicts) predicts++;
    printf("  sampler      %s, SiT: %s path, %s prediction\n", sampler_names[c->sampler],
           flow_path_names[c->path], flow_prediction_names[predicts]);
}

static void print_text(const model *m, double memory)
{
    const dit_config *c = &m->dit;
    int side = c->latent_size / c->patch;
    const state_taken *taken = &m->dit_weights.taken;
    printf("%s\n", m->path);
    if (taken->chosen) {
        printf("  weights      %s%s", taken->key, taken->averaged ? " (averaged)" : "");
        for (size_t i = 0; i < taken->n_others; i++)
            printf("%s%s", i ? ", " : "; also held: ", taken->others[i]);
        printf("\n");
    }
    printf("  transformer  width %d, %d blocks, %d heads of %d, patch %d: %d tokens\n", c->width,
           c->depth, c->heads, c->head_dim, c->patch, side * side);
    printf("  conditioning %s\n", designs[c->design].name);
    printf("  latents      %d x %d x %d, %s\n", c->in_channels, c->latent_size, c->latent_size,
           c->out_channels == c->in_channels ? "no variance output" : "learned-range variance");
    int pixels = m->has_vae ? c->latent_size * vae_scale(&m->vae) : 0;
    if (pixels) printf("  pictures     %d x %d\n", pixels, pixels);
    else printf("  pictures     no VAE in this file: --vae names the one that decodes them\n");
    printf("  arithmetic   %s\n", compat_names[m->arithmetic]);
    print_sampler(m);
    printf("  parameters   %llu (%.2f M)\n", (unsigned long long)flops_parameters(c),
           (double)flops_parameters(c) / 1e6);
    printf("  forward pass %.2f Gflops, as the paper counts (multiply-adds)\n", flops_gflops(c));
    printf("  memory       %.0f MB on the device for one picture, %d steps, with guidance%s\n",
           memory / 1e6, STEPS, m->has_vae ? "" : ", without VAE");
    printf("  classes      %d\n", c->n_classes);
    enum { SHOWN = 40 };
    for (int i = 0; i < m->classes.n && i < SHOWN; i++)
        if (m->classes.names[i]) printf("    %4d  %s\n", i, m->classes.names[i]);
    if (m->classes.n > SHOWN) printf("          ... (--json prints all)\n");
}

typedef struct {
    subject of;
    bool json;
} info_options;

static status run_info(const info_options *q)
{
    model m = {0};
    status st = OK;
    TRY(cli_check_subject("info", &q->of));
    TRY(cli_open_subject(&m, &q->of, VAE_IF_THERE));
    cli_tell_weights(&m, q->json);
    double memory = run_memory(&m, 1, 2, STEPS, true, 1);
    if (q->json) TRY(print_json(&m, memory));
    else print_text(&m, memory);
done:
    model_close(&m);
    return st;
}

status cli_info(int argc, char **argv)
{
    info_options q = {.of.image_size = -1};
    const option options[] = {
        OPTIONS_SUBJECT(&q.of),
        OPTION_JSON(&q.json),
        {0},
    };
    const command c = {
        .name = "info",
        .arguments = "[MODEL | --arch NAME] [--json]",
        .summary = "Describes a model: configuration, parameters, Gflops of a forward pass as the "
                   "paper counts them, memory of a run.",
        .options = options,
        .rest = true,
        .extra = &q.of.words,
    };
    bool helped;
    status st = options_parse(&c, argc, argv, &helped);
    if (st == OK && !helped) st = run_info(&q);
    text_list_free(&q.of.words);
    return st;
}
