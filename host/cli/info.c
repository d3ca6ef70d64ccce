/* ditcl info: configuration, parameters, operations and memory of a model. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/recipe.h"
#include "files/json_build.h"
#include "files/picture_file.h"
#include "model/flops.h"
#include "sample/memory.h"

/* The memory of a run of one picture, and the device that it was counted for. */
typedef struct {
    uint64_t bytes; /* 0: unknown */
    char why[400];  /* why bytes is unknown */
    const char *device;
} run_memory;

/* may be null */
static void put_vae(json_build *b, json_t *to, const model *m)
{
    const vae_config *v = &m->vae;
    if (!m->has_vae) {
        json_put_null(b, to, "vae");
        return;
    }
    json_t *part = json_put_object(b, to, "vae");
    json_put_int(b, part, "latent_channels", v->latent_channels);
    json_t *channels = json_put_array(b, part, "block_out_channels");
    for (int i = 0; i < v->n_levels; i++) json_put_int(b, channels, NULL, v->channels[i]);
    json_put_int(b, part, "layers_per_block", v->layers_per_block);
    json_put_int(b, part, "norm_num_groups", v->groups);
    json_put_real(b, part, "scaling_factor", (double)v->scaling_factor);
    json_put_int(b, part, "scale", vae_scale(v));
}

static void put_classes(json_build *b, json_t *to, const class_names *classes)
{
    json_t *names = json_put_object(b, to, "class_names");
    for (int i = 0; i < classes->n; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i);
        if (classes->names[i]) json_put_text(b, names, key, classes->names[i]);
    }
}

/* Prints which weights are used, and the keys of the others. */
static void put_weights(json_build *b, json_t *to, const model *m)
{
    const state_taken *t = &m->dit_weights.taken;
    json_t *part = json_put_object(b, to, "weights");
    if (m->dit_weights.generated)
        json_put_null(b, part, "file");
    else
        json_put_name(b, part, "file", m->dit_weights.file.path);
    if (t->key)
        json_put_name(b, part, "taken", t->key);
    else
        json_put_null(b, part, "taken");
    json_put_bool(b, part, "averaged", t->averaged);
    json_t *others = json_put_array(b, part, "others");
    for (size_t i = 0; i < t->n_others; i++) json_put_name(b, others, NULL, t->others[i]);
}

static void put_recommended(json_build *b, json_t *to, const preset *p)
{
    json_t *part = json_put_object(b, to, "recommended");
    if (!p->there) return;
    if (p->sampler >= 0) json_put_text(b, part, "sampler", sampler_names[p->sampler]);
    if (*p->steps) json_put_text(b, part, "steps", p->steps);
    if (p->guidance >= 0) json_put_real(b, part, "cfg", p->guidance);
    if (*p->interval) json_put_text(b, part, "guidance_interval", p->interval);
}

static status print_json(const model *m, const run_memory *memory)
{
    const dit_config *c = &m->dit;
    json_build b;
    json_t *all = json_build_begin(&b);
    json_put_name(&b, all, "model", m->path);
    json_put_text(&b, all, "arithmetic", compat_names[m->arithmetic]);
    json_put_text(&b, all, "design", designs[c->design].name);
    json_put_int(&b, all, "width", c->width);
    json_put_int(&b, all, "depth", c->depth);
    json_put_int(&b, all, "heads", c->heads);
    json_put_int(&b, all, "head_dim", c->head_dim);
    json_put_int(&b, all, "patch", c->patch);
    json_put_int(&b, all, "in_channels", c->in_channels);
    json_put_int(&b, all, "out_channels", c->out_channels);
    json_put_int(&b, all, "classes", c->n_classes);
    json_put_int(&b, all, "latent_size", c->latent_size);
    if (m->has_vae)
        json_put_int(&b, all, "image_size", c->latent_size * vae_scale(&m->vae));
    else
        json_put_null(&b, all, "image_size");
    json_put_bool(&b, all, "learned_variance", c->out_channels == 2 * c->in_channels);
    json_put_int(&b, all, "parameters", (json_int_t)flops_parameters(c));
    json_put_real(&b, all, "gflops", flops_gflops(c));
    if (memory->bytes)
        json_put_int(&b, all, "memory_bytes", (json_int_t)memory->bytes);
    else
        json_put_null(&b, all, "memory_bytes");
    json_put_text(&b, all, "memory_device", memory->device);
    put_vae(&b, all, m);
    put_classes(&b, all, &m->classes);
    put_weights(&b, all, m);
    json_put_bool(&b, all, "null_class", c->has_null);
    if (*m->schedule.class_name) json_put_name(&b, all, "scheduler", m->schedule.class_name);
    put_recommended(&b, all, &m->recommended);
    json_put_text(&b, all, "model_type", m->schedule.flow ? "sit" : "dit");
    status st = json_build_print(&b, stdout, JSON_INDENT(2));
    json_build_free(&b);
    return st;
}

/* Whether this configuration is supported; otherwise the stored failure has the reason. */
static bool sampler_reads(const model *m, sampler_kind sampler)
{
    schedule_config settled;
    bool good = config_resolve_schedule(&settled, &m->schedule, sampler) == OK;
    config_free_schedule(&settled);
    return good;
}

/* Prints the classes, and why there is a null class or none. */
static void print_classes(const model *m)
{
    const dit_config *c = &m->dit;
    printf("  classes      %d, ", c->n_classes);
    if (m->labels_by == LABELS_ASSUMED)
        printf("and the null class (assumed; --num-classes %d: the last row is a class)\n",
               c->n_classes + 1);
    else if (c->has_null)
        printf("and the null class\n");
    else
        printf("no null class, so no guidance (as %s says)\n", labels_sources[m->labels_by]);
}

/* Prints the defaults of sample, and the path and prediction of a SiT. */
static void print_sampler(const model *m)
{
    const schedule_config *c = &m->schedule;
    sampler_kind sampler;
    if (!c->flow) {
        bool known = model_sampler(&sampler, m) == OK && sampler_reads(m, sampler);
        if (known)
            printf("  sampler      %s", sampler_names[sampler]);
        else
            printf("  sampler      none: give one to sample: %s", fail_line());
        fail_clear();
        if (known && *c->class_name) printf(", %s", TEXT_SHOWN(c->class_name));
        printf("\n");
        if (*c->class_name && *c->own_class && strcmp(c->class_name, c->own_class) != 0)
            printf("               as model_index.json says; scheduler_config.json says %s\n",
                   TEXT_SHOWN(c->own_class));
        return;
    }
    printf("  sampler      %s, SiT: %s path, %s prediction\n", sampler_names[c->sampler],
           flow_path_names[c->path], flow_prediction_name(c->predicts));
}

static void print_recommended(const preset *p)
{
    if (!p->there) return;
    printf("  recommended ");
    if (p->sampler >= 0) printf(" --sampler %s", sampler_names[p->sampler]);
    if (*p->steps) printf(" --steps %s", p->steps);
    if (p->guidance >= 0) printf(" --cfg %g", p->guidance);
    if (*p->interval) printf(" --guidance-interval %s", p->interval);
    printf(" (" PRESET_FILE "), the defaults of sample\n");
}

static void print_text(const model *m, const run_memory *memory)
{
    const dit_config *c = &m->dit;
    int side = c->latent_size / c->patch;
    const state_taken *taken = &m->dit_weights.taken;
    printf("%s\n", TEXT_SHOWN(m->path));
    if (taken->chosen) {
        printf("  weights      %s%s", TEXT_SHOWN(taken->key), taken->averaged ? " (averaged)" : "");
        for (size_t i = 0; i < taken->n_others; i++)
            printf("%s%s", i ? ", " : "; also held: ", TEXT_SHOWN(taken->others[i]));
        printf("\n");
    }
    printf("  transformer  width %d, %d blocks, %d heads of %d, patch %d: %d tokens\n", c->width,
           c->depth, c->heads, c->head_dim, c->patch, side * side);
    printf("  conditioning %s\n", designs[c->design].name);
    printf("  latents      %d x %d x %d, %s\n", c->in_channels, c->latent_size, c->latent_size,
           c->out_channels == c->in_channels ? "no variance output" : "learned-range variance");
    int pixels = m->has_vae ? c->latent_size * vae_scale(&m->vae) : 0;
    if (pixels)
        printf("  pictures     %d x %d\n", pixels, pixels);
    else
        printf("  pictures     no VAE in this file: --vae names the one that decodes them\n");
    printf("  arithmetic   %s\n", compat_names[m->arithmetic]);
    print_sampler(m);
    print_recommended(&m->recommended);
    printf("  parameters   %llu (%.2f M)\n", (unsigned long long)flops_parameters(c),
           (double)flops_parameters(c) / 1e6);
    printf("  forward pass %.2f Gflops, as the paper counts (multiply-adds)\n", flops_gflops(c));
    if (memory->bytes)
        printf("  memory       %.0f MB on %s for one picture, " RUN_TYPICAL_STEPS
               " steps, %s guidance%s\n",
               (double)memory->bytes / 1e6, TEXT_SHOWN(memory->device),
               c->has_null ? "with" : "without", m->has_vae ? "" : ", without VAE");
    else
        printf("  memory       unknown on %s: %s\n", TEXT_SHOWN(memory->device),
               TEXT_SHOWN(memory->why));
    print_classes(m);
    enum { SHOWN = 40 };
    for (int i = 0; i < m->classes.n && i < SHOWN; i++)
        if (m->classes.names[i])
            printf("    %4d  %s%s\n", i, TEXT_SHOWN(m->classes.names[i]),
                   i == c->n_classes ? " (the null class)" : "");
    if (m->classes.n > SHOWN) printf("          ... (--json prints all)\n");
}

typedef struct {
    model_args of;
    device_choice on;
    bool json;
} info_options;

/* Opens the device that is named; without a name none is needed. */
static status open_device(device *d, const info_options *q)
{
    if (q->on.selector) return cli_open_device(d, &q->on, true);
    *d = device_dry_plain((kernel_family)q->on.kernels);
    return q->on.precision == PRECISION_AUTO || q->on.precision == PRECISION_FP32
               ? OK
               : fail(ERR_USAGE, "--precision %s: needs --device",
                      precision_names[q->on.precision]);
}

/* *memory = what a typical run takes. If the model cannot be sampled so, bytes is 0. */
static status count_memory(run_memory *memory, const device *d, model *m)
{
    const run_request request = run_typical(m);
    *memory = (run_memory){.device = d->info.name};
    status st = memory_of_run(&memory->bytes, d, m, &request);
    if (st != ERR_USAGE && st != ERR_FORMAT && st != ERR_LIMIT) return st;
    text_copy(memory->why, sizeof memory->why, fail_line());
    fail_clear();
    return OK;
}

static status run_info(const info_options *q)
{
    model m = {0};
    device d = {0};
    run_memory memory;
    status st = OK;
    if (q->of.words.n == 1 && !q->of.arch && picture_file_has_ending(q->of.words.items[0]))
        return recipe_print(q->of.words.items[0], q->json);
    TRY(cli_check_model_args("info", &q->of));
    TRY(cli_open_model(&m, &q->of, VAE_IF_THERE));
    cli_note_weights(&m, q->json);
    TRY(open_device(&d, q));
    TRY(count_memory(&memory, &d, &m));
    if (q->json)
        TRY(print_json(&m, &memory));
    else
        print_text(&m, &memory);
done:
    device_close(&d);
    model_close(&m);
    return st;
}

status cli_info(int argc, char **argv)
{
    info_options q = {.of.image_size = -1};
    const option options[] = {
        OPTION_HEADING("Model"),
        OPTIONS_MODEL(&q.of),
        OPTION_HEADING("Device"),
        {"device", 0, OPTION_TEXT, &q.on.selector, "SEL",
         "the device whose memory is planned [a plain GPU]\n"
         "SEL is as for ditcl sample. The default is no real device: a GPU without matrix units, "
         "or with --kernels cpu a CPU.",
         0, 0, NULL},
        OPTION_PRECISION(&q.on),
        OPTION_KERNELS(&q.on),
        OPTION_HEADING("Output"),
        OPTION_JSON(&q.json),
        {0},
    };
    const command c = {
        .name = "info",
        .arguments = "[MODEL | --arch NAME | PICTURE.png] [--device SEL] [--json]",
        .summary =
            "Describes a model: configuration, parameters, Gflops of a forward pass as the "
            "paper counts them, memory of a run. Needs no device. Of a picture it prints the "
            "command line that made it.",
        .details = "Examples:\n"
                   "  ditcl info emoji --device gpu\n"
                   "  ditcl info --arch DiT-XL/2 --image-size 512\n",
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
