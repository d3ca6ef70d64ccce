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
    json_object_set_new(all, "null_class", json_boolean(c->has_null));
    if (*m->schedule.class_name)
        json_object_set_new(all, "scheduler", json_string(m->schedule.class_name));
    json_object_set_new(all, "model_type", json_string(m->schedule.flow ? "sit" : "dit"));
    int bad = json_dumpf(all, stdout, JSON_INDENT(2));
    json_decref(all);
    printf("\n");
    return bad ? fail(ERR_FILE, "cannot write to standard output") : OK;
}

/* Whether its values are supported; else the reason is the failure. */
static bool sampler_reads(const model *m, sampler_kind sampler)
{
    schedule_config settled;
    bool good = config_settle_schedule(&settled, &m->schedule, sampler) == OK;
    config_free_schedule(&settled);
    return good;
}

/* The classes, and why there is a null class or none. */
static void print_classes(const model *m)
{
    const dit_config *c = &m->dit;
    printf("  classes      %d, ", c->n_classes);
    if (m->labels_by == LABELS_ASSUMED)
        printf("and the null class (assumed; --num-classes %d: the last row is a class)\n",
               c->n_classes + 1);
    else if (c->has_null) printf("and the null class\n");
    else printf("no null class, so no guidance (as %s says)\n", labels_sources[m->labels_by]);
}

/* What sample takes unless told otherwise, and what a SiT predicts along which path. */
static void print_sampler(const model *m)
{
    const schedule_config *c = &m->schedule;
    sampler_kind sampler;
    int predicts = 0;
    if (!c->flow) {
        bool known = model_sampler(&sampler, m) == OK && sampler_reads(m, sampler);
        if (known) printf("  sampler      %s", sampler_names[sampler]);
        else printf("  sampler      none: give one to sample: %s", fail_line());
        fail_clear();
        if (known && *c->class_name) printf(", %s", c->class_name);
        printf("\n");
        if (*c->class_name && *c->own_class && strcmp(c->class_name, c->own_class) != 0)
            printf("               as model_index.json says; scheduler_config.json says %s\n",
                   c->own_class);
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
    printf("%s\n", m->path);
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
    printf("  memory       %.0f MB on the device for one picture, %d steps, %s guidance%s\n",
           memory / 1e6, STEPS, c->has_null ? "with" : "without",
           m->has_vae ? "" : ", without VAE");
    print_classes(m);
    enum { SHOWN = 40 };
    for (int i = 0; i < m->classes.n && i < SHOWN; i++)
        if (m->classes.names[i])
            printf("    %4d  %s%s\n", i, m->classes.names[i],
                   i == c->n_classes ? " (the null class)" : "");
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
    double memory = run_memory(&m, 1, m.dit.has_null ? 2 : 1, STEPS, m.dit.has_null, 1);
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
