/* ditcl-kernels: writes the OpenCL programs that ditcl would build on a GPU, or lists the launches.
 * It runs models on the offline device (tests/offline_driver.c), whose driver writes each program
 * to a folder. scripts/compile_gpu gives the programs to the compilers of GPUs; scripts/waves and
 * scripts/predict_speed read the launches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/environment.h"
#include "device/device.h"
#include "model/paper.h"
#include "ops/ops.h"
#include "ops/impl.h"
#include "sample/pipeline.h"

/* Networks of the paper that cover all shapes: the largest at both picture sizes, two whose widths
 * are odd multiples of a tile, and the designs with operators of their own. */
static const struct {
    const char *name;
    int image_size;
    bool vae;
} papers[] = {
    {"DiT-XL/2", 256, true},
    {"DiT-XL/2", 512, true},
    {"DiT-B/4", 256, false},
    {"DiT-S/8", 256, false},
    {"DiT-B/4-cross-attention", 256, false},
    {"DiT-B/4-in-context", 256, false},
};
enum { N_PAPERS = sizeof papers / sizeof *papers };

/* The configurations to write. FIRST: those that an untuned device uses. DEFAULT: also the other
 * default configurations of every implementation. ALL: also the extremes of each tunable. */
typedef enum { CONFIGS_FIRST, CONFIGS_DEFAULT, CONFIGS_ALL } wanted_configs;
static const char *const configs_names[] = {"first", "default", "all", NULL};
static const char *const precisions[] = {"fp32", "bf16", "fp16", NULL};
static const precision precision_of[] = {PRECISION_AUTO, PRECISION_BF16, PRECISION_FP16};

typedef struct {
    text_list models, features;
    const char *out;
    int local_kilobytes, work_group, units, subgroup_size;
    int configs, precision; /* configs: wanted_configs; precision: -1, or an index */
    const op_impl *t;       /* null, or the implementation that is written */
    const int *values;      /* its configuration */
    bool fp16, feature[N_FEATURES];
    const char *config; /* why the next kernels are written: "first", "default" or "extreme" */
    device_list devices;
    bool launches; /* the launches of one model are listed, and no programs written */
    const char *arch;
    int size, pictures, depth;
} writing;

/* ---- the calls of a run ---- */

enum { MOST_PICTURES = 64 };

/* The modulation, a forward pass with guidance, and the update. kept: null, or records the forward
 * pass and the update. */
static status queue_network(device *d, model *m, int pictures, record *kept)
{
    static const int labels[MOST_PICTURES];
    run r = {0};
    status st = OK;
    TRY(run_open(&r, d, m,
                 &(run_request){.labels = labels,
                                .n = pictures,
                                .steps = "50",
                                .guidance = 4.0,
                                .sampler = m->schedule.sampler,
                                .batch = pictures,
                                .guided_channels = m->dit.in_channels}));
    TRY(run_modulate(&r));
    if (kept) record_start(kept, d);
    st = run_step(&r, 0);
    if (kept && st == OK) st = record_stop(kept, d);
done:
    run_close(&r);
    return st;
}

/* kept: null, or records the decoder. */
static status queue_decoder(device *d, model *m, record *kept)
{
    vae v = {0};
    buf latents = {0}, image;
    int size = m->dit.latent_size;
    status st = OK;
    TRY(vae_load(&v, d, m));
    TRY(vae_prepare(&v, size, size));
    TRY(buffer_create(d, &latents, (size_t)(m->vae.latent_channels * size * size), "latents"));
    if (kept) record_start(kept, d);
    st = vae_decode(&v, &image, latents, 0);
    if (kept && st == OK) st = record_stop(kept, d);
done:
    buffer_release(d, &latents);
    vae_free(&v);
    return st;
}

/* The operators that only a run with an initial picture and a mask has. */
static status queue_encoder(device *d, model *m)
{
    int size = m->dit.latent_size, scale = vae_scale(&m->vae);
    size_t area = (size_t)size * (size_t)size, values = area * (size_t)m->vae.latent_channels;
    vae v = {0};
    buf latents = {0};
    op_plan blend;
    float *pixels = NULL, *moments = NULL;
    status st = OK;
    TRY(memory_alloc(&pixels, area * (size_t)scale * (size_t)scale * 3, sizeof *pixels));
    TRY(memory_alloc(&moments, 2 * values, sizeof *moments));
    TRY(vae_load_encoder(&v, d, m));
    TRY(vae_prepare_encoder(&v, size, size));
    TRY(vae_encode(&v, moments, pixels));
    TRY(buffer_create(d, &latents, values, "latents"));
    TRY(blend_plan(d, &blend, 1, m->vae.latent_channels, size));
    TRY(op_blend(d, &blend, &(blend_buffers){latents, latents, latents, latents}, 1, 0));
done:
    buffer_release(d, &latents);
    vae_free(&v);
    free(pixels);
    free(moments);
    return st;
}

/* Sets DITCL_OFFLINE, which the driver reads when a device is opened. */
static status configure_driver(const writing *w, const char *precision_name)
{
    text settings = {0};
    status st = OK;
    TRY(text_append(&settings, "config=%s;precision=%s;group=%d;units=%d", w->config,
                    precision_name, w->work_group, w->units));
    if (w->out) TRY(text_append(&settings, ";folder=%s", w->out));
    if (w->local_kilobytes)
        TRY(text_append(&settings, ";local=%d", w->local_kilobytes));
    else
        TRY(text_append(&settings, ";local=none"));
    if (w->fp16) TRY(text_append(&settings, ";fp16"));
    if (w->feature[FEATURE_IMAGES]) TRY(text_append(&settings, ";images"));
    if (w->feature[FEATURE_SUBGROUPS])
        TRY(text_append(&settings, ";subgroups=%d", w->subgroup_size));
    setenv("DITCL_OFFLINE", settings.data, 1);
done:
    text_free(&settings);
    return st;
}

/* Opens a device with these limits and features. No feature is probed. */
static status open_device(writing *w, device *d, int precision_index)
{
    const device_settings settings = {.family = FAMILY_GPU,
                                      .precision = precision_of[precision_index],
                                      .no_cache = true,
                                      .unprobed = true};
    status st = OK;
    *d = (device){0};
    TRY(configure_driver(w, precisions[precision_index]));
    if (!w->devices.n) TRY(device_list_init(&w->devices));
    if (w->devices.n != 1 || strcmp(w->devices.items->platform, "offline"))
        TRY(fail(ERR_DEVICE, "the offline driver is not the only one: OCL_ICD_VENDORS=%s",
                 getenv("OCL_ICD_VENDORS")));
    device_info info = *w->devices.items;
    memcpy(info.claims, w->feature, sizeof info.claims);
    TRY(device_open(d, &info, &settings));
    if (w->feature[FEATURE_SUBGROUPS]) {
        d->subgroups.size = w->subgroup_size;
        d->subgroups.required = true;
    }
    if (w->t) {
        d->info.compute_units = 1; /* so no shape leaves compute units idle, and this one serves */
        TRY(configuration_serve(d, w->t, w->values));
    }
done:
    return st;
}

static status queue_model(writing *w, int precision_index, model *m, bool decoder)
{
    device d = {0};
    status st = open_device(w, &d, precision_index);
    if (st == OK) st = queue_network(&d, m, 1, NULL);
    if (st == OK && decoder) st = queue_decoder(&d, m, NULL);
    if (st == OK && decoder && vae_has_encoder(m)) st = queue_encoder(&d, m);
    device_close(&d);
    return st;
}

static status queue_named(writing *w, int precision_index, const char *name)
{
    model m = {0};
    status st = model_open(&m, &(model_request){.name = name, .forced = -1, .need_dit = true});
    if (st == OK) st = queue_model(w, precision_index, &m, true);
    model_close(&m);
    return st;
}

/* The largest network of the paper and the decoder, which have most of the shapes. */
static status queue_largest(writing *w, int precision_index)
{
    model m = {0};
    status st = paper_model(&m, papers[0].name, papers[0].image_size);
    m.dit.depth = 1; /* all blocks have the same shapes */
    if (st == OK) st = queue_model(w, precision_index, &m, true);
    model_close(&m);
    return st;
}

static status queue_all(writing *w, int precision_index)
{
    model m = {0};
    status st = OK;
    for (int i = 0; i < N_PAPERS; i++) {
        TRY(paper_model(&m, papers[i].name, papers[i].image_size));
        m.dit.depth = 1;
        TRY(queue_model(w, precision_index, &m, papers[i].vae));
        model_close(&m);
    }
    for (int i = 0; i < w->models.n; i++) TRY(queue_named(w, precision_index, w->models.items[i]));
done:
    model_close(&m);
    return st;
}

/* ---- configurations ---- */

static status queue_defaults(writing *w, int precision_index)
{
    status st = OK;
    w->config = "default";
    for (int i = 0; i < w->t->n_configs && st == OK; i++) {
        w->values = w->t->configs[i];
        st = queue_largest(w, precision_index);
    }
    return st;
}

/* The smallest and the largest choice of each tunable; the others as in the first
 * default configuration. */
static status queue_extremes(writing *w, int precision_index)
{
    status st = OK;
    int values[CONFIG_VALUES];
    w->config = "extreme";
    w->values = values;
    for (int i = 0; i < 2 * w->t->n && st == OK; i++) {
        const tunable *v = &w->t->tunables[i / 2];
        int extreme = v->choices[0];
        for (int j = 1; j < v->n; j++)
            if (i % 2 ? v->choices[j] > extreme : v->choices[j] < extreme) extreme = v->choices[j];
        memcpy(values, w->t->configs[0], sizeof values);
        if (values[i / 2] == extreme) continue;
        values[i / 2] = extreme;
        st = queue_largest(w, precision_index);
    }
    return st;
}

/* Shapes that every implementation of this kernel family accepts. */
static const struct {
    const char *op;
    int shape[SHAPE_SIZES];
} usual[] = {
    {"gemm", {512, 3456, 1152}}, {"attention", {2, 256, 16, 72}}, {"conv", {4096, 512, 512, 1}}};

/* impls = the implementations of the operator on this device; returns their number. */
static int find_impls(const device *d, const operator* o, const op_impl *impls[MOST_IMPLS])
{
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (!strcmp(usual[i].op, o->op)) return operator_impls(o, d, usual[i].shape, impls);
    return 0;
}

static status queue_operator(writing *w, const operator* o, int precision_index)
{
    const op_impl *impls[MOST_IMPLS];
    device d = {0};
    status st = open_device(w, &d, precision_index);
    int n = st == OK ? find_impls(&d, o, impls) : 0;
    device_close(&d);
    for (int i = 0; i < n && st == OK; i++) {
        w->t = impls[i];
        st = queue_defaults(w, precision_index);
        if (st == OK && w->configs == CONFIGS_ALL) st = queue_extremes(w, precision_index);
        w->t = NULL;
    }
    return st;
}

static status queue_configs(writing *w)
{
    status st = OK;
    for (int p = 0; precisions[p]; p++) {
        if (w->precision >= 0 && w->precision != p) continue;
        w->config = "first";
        TRY(queue_all(w, p));
    }
    for (int p = 0; precisions[p] && w->configs != CONFIGS_FIRST; p++) {
        if (w->precision >= 0 && w->precision != p) continue;
        for (const operator* o = operators; o->op; o++) TRY(queue_operator(w, o, p));
    }
done:
    return st;
}

/* ---- launches ---- */

/* sizes = the shape by which the operator of this kernel is tuned, from its description in the
 * record. Null: it has one implementation. */
static const operator* read_shape(int sizes[SHAPE_SIZES], const char *kernel_name, const char *from)
{
    int *s = sizes, height, width;
    memset(sizes, 0, SHAPE_SIZES * sizeof *sizes);
    if (!strncmp(kernel_name, "gemm", 4) && sscanf(from, "%dx%dx%d", s, s + 1, s + 2) == 3)
        return &operators[OP_GEMM];
    if (sscanf(from, "N=%d T=%d H=%d d=%d", s, s + 1, s + 2, s + 3) == 4)
        return &operators[OP_ATTENTION];
    if (strncmp(kernel_name, "conv", 4) ||
        sscanf(from, "%dx%d %d->%d", &height, &width, s + 1, s + 2) != 4)
        return NULL;
    s[3] = strstr(from, " up") ? 2 : 1;
    s[0] = height / s[3] * (width / s[3]);
    return &operators[OP_CONV];
}

/* The most work-groups that a default configuration of the implementation that serves would make.
 */
static double most_groups(const device *d, const char *kernel_name, const char *from)
{
    int sizes[SHAPE_SIZES];
    double most = 0;
    const operator* o = read_shape(sizes, kernel_name, from);
    const op_impl *t = o ? impl_choose(d, o, sizes, false).impl : NULL;
    for (int i = 0; t && t->waves && i < t->n_configs; i++) {
        if (!impl_fits(t, d, t->configs[i], sizes)) continue;
        const waves w = t->waves(d, t->configs[i], sizes);
        if (w.groups > most) most = w.groups;
    }
    return most;
}

/* A line for each launch. Work is that of the operator, in the line of its first launch. */
static void print_launches(const device *d, const record *r, const char *part)
{
    for (size_t i = 0; i < r->n; i++) {
        const recorded *o = &r->operators[i];
        for (size_t l = 0; l < o->n; l++) {
            const char *options, *name = record_kernel(r, o, l, &options);
            size_t groups, items;
            work w = l ? (work){0} : o->done;
            record_sizes(r, o, l, &groups, &items);
            printf("%s\t%s\t%s\t%.0f\t%.0f\t%.0f\t%s\t%zu\t%.0f\t%zu\t%s\n", part, o->name,
                   o->shape, w.flops, w.executed, w.bytes, name, groups,
                   l ? 0 : most_groups(d, name, o->shape), items, options);
        }
    }
}

/* The launches of a forward pass with guidance, and of the decoder for one picture. */
static status list_launches(writing *w)
{
    model m = {0};
    device d = {0};
    record network = {0}, decoder = {0};
    status st = OK;
    w->config = "first";
    TRY(paper_model(&m, w->arch, w->size));
    if (w->depth) m.dit.depth = w->depth;
    TRY(open_device(w, &d, w->precision < 0 ? 0 : w->precision));
    TRY(queue_network(&d, &m, w->pictures, &network));
    TRY(queue_decoder(&d, &m, &decoder));
    printf("part\toperator\tshape\tflops\texecuted\tbytes\tkernel\tgroups\tmost\titems\t"
           "options\n");
    print_launches(&d, &network, "forward");
    print_launches(&d, &decoder, "vae_decode");
done:
    record_free(&network);
    record_free(&decoder);
    device_close(&d);
    model_close(&m);
    return st;
}

/* ---- the command ---- */

static status read_features(writing *w)
{
    for (int i = 0; i < w->features.n; i++) {
        const char *name = w->features.items[i];
        int j = feature_find(name, strlen(name));
        if (j >= 0)
            w->feature[j] = true;
        else if (!strcmp(name, "fp16"))
            w->fp16 = true;
        else
            return fail(ERR_USAGE,
                        "--features %s: expected fp16, subgroups, images, matrix "
                        "units (mma, mma_k8, dpas8, dpas16, wmma, wmma2, mfma, mfma1) or a feature "
                        "of a processor",
                        name);
    }
    return OK;
}

/* Writes tunables.tsv: for each kernel file, the names of the tunables among its build options. */
static status write_tunables(const char *path)
{
    file_out out = {0};
    status st = OK;
    TRY(file_out_open(&out, path));
    for (const operator* o = operators; o->op; o++) {
        const op_impl *impls[MOST_IMPLS];
        int n = operator_impls(o, NULL, NULL, impls);
        for (int i = 0; i < n; i++) {
            if (!impls[i]->file) continue;
            fprintf(out.stream, "%s\t", impls[i]->file);
            for (int j = 0; j < impls[i]->n; j++)
                fprintf(out.stream, "%s%s", j ? " " : "", impls[i]->tunables[j].name);
            fprintf(out.stream, "\n");
        }
    }
    TRY(file_out_finish(&out));
    TRY(file_out_commit(&out, 1));
done:
    file_out_discard(&out);
    return st;
}

static status write_kernels(writing *w)
{
    char tunables[4096];
    status st = OK;
    if (!w->out && !w->launches) return fail(ERR_USAGE, "--out DIR is missing");
    TRY(environment_check());
    TRY(read_features(w));
    if (w->launches) TRY(list_launches(w));
    if (w->launches) goto done;
    TRY(file_make_folders(w->out));
    TRY(file_join(tunables, sizeof tunables, w->out, "tunables.tsv"));
    TRY(write_tunables(tunables));
    TRY(queue_configs(w));
done:
    device_list_free(&w->devices);
    return st;
}

int main(int argc, char **argv)
{
    writing w = {.local_kilobytes = 32,
                 .work_group = 256,
                 .units = 16,
                 .subgroup_size = 16,
                 .precision = -1,
                 .arch = papers[0].name,
                 .size = papers[0].image_size,
                 .pictures = 1};
    const option options[] = {
        {"out", 'o', OPTION_TEXT, &w.out, "DIR", "folder for the sources", 0, 0, NULL},
        {"configs", 0, OPTION_CHOICE, &w.configs, "C",
         "configurations: first, default or all [first]\n"
         "first: those that an untuned device uses. default: all default configurations. all: "
         "also the extremes of each tunable.",
         0, 0, configs_names},
        {"precision", 0, OPTION_CHOICE, &w.precision, "P", "fp32, bf16 or fp16 only [all]", 0, 0,
         precisions},
        {"local-memory", 0, OPTION_INT, &w.local_kilobytes, "KB",
         "local memory of a work-group; 0: none [32]", 0, 1024, NULL},
        {"work-group", 0, OPTION_INT, &w.work_group, "N", "largest work-group, in work-items [256]",
         1, 8192, NULL},
        {"units", 0, OPTION_INT, &w.units, "N", "compute units [16]", 1, 65536, NULL},
        {"subgroup-size", 0, OPTION_INT, &w.subgroup_size, "N", "work-items of a sub-group [16]", 4,
         128, NULL},
        {"features", 0, OPTION_LIST, &w.features, "NAME",
         "features of the device; commas separate [none]\n"
         "fp16, subgroups, images, or a matrix unit: mma, mma_k8, dpas8, dpas16, wmma, wmma2, "
         "mfma, mfma1.",
         0, 0, NULL},
        {"launches", 0, OPTION_FLAG, &w.launches, NULL,
         "list the launches of a forward pass with guidance and of the decoder; write nothing", 0,
         0, NULL},
        {"arch", 0, OPTION_TEXT, &w.arch, "NAME", "network of the paper for --launches [DiT-XL/2]",
         0, 0, NULL},
        {"size", 0, OPTION_INT, &w.size, "PIXELS", "side of the pictures for --launches [256]", 64,
         1024, NULL},
        {"pictures", 0, OPTION_INT, &w.pictures, "N", "pictures of a batch for --launches [1]", 1,
         MOST_PICTURES, NULL},
        {"depth", 0, OPTION_INT, &w.depth, "N", "blocks of the network for --launches [all]", 1,
         100, NULL},
        {0},
    };
    const command c = {
        .name = "kernels",
        .arguments = "[MODEL...] --out DIR | --launches",
        .summary = "Writes the programs that ditcl would build on a GPU with these limits, and "
                   "index.tsv with their build options. Needs no GPU. The shapes are those of the "
                   "paper's models and of each MODEL. Or lists the launches of one of them.",
        .options = options,
        .own_program = true,
        .rest = true,
        .extra = &w.models,
    };
    bool helped;
    setenv("OCL_ICD_VENDORS", DITCL_OFFLINE_ICD, 1);
    status st = options_parse(&c, argc - 1, argv + 1, &helped);
    if (st == OK && !helped) st = write_kernels(&w);
    text_list_free(&w.models);
    text_list_free(&w.features);
    if (st == OK) return 0;
    fprintf(stderr, "ditcl-kernels: %s\n", fail_line());
    return st == ERR_USAGE ? 2 : 1;
}
