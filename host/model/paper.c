/* The paper's networks. See paper.h. */
#include "model/paper.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

const char *const paper_image_sizes[] = {"256", "512", NULL};

static const struct {
    const char *name;
    int depth, width, heads;
} sizes[] = {{"S", 12, 384, 6}, {"B", 12, 768, 12}, {"L", 24, 1024, 16}, {"XL", 28, 1152, 16}};
static const int patches[] = {2, 4, 8};

enum {
    N_SIZES = sizeof sizes / sizeof *sizes,
    N_PATCHES = sizeof patches / sizeof *patches,
    N_NAMES = N_DESIGNS * N_SIZES * N_PATCHES
};

/* The design and sizes of the name with this index. */
static void parts_of(int i, conditioning_design *design, int *size, int *patch)
{
    *design = (conditioning_design)(i / (N_SIZES * N_PATCHES));
    *size = i / N_PATCHES % N_SIZES;
    *patch = patches[i % N_PATCHES];
}

bool paper_name(char name[PAPER_NAME], int i)
{
    conditioning_design design;
    int size, patch;
    if (i >= N_NAMES) return false;
    parts_of(i, &design, &size, &patch);
    bool published = design == DESIGN_ADALN_ZERO;
    snprintf(name, PAPER_NAME, "DiT-%s/%d%s%s", sizes[size].name, patch, published ? "" : "-",
             published ? "" : designs[design].name);
    return true;
}

status paper_config(dit_config *c, const char *name, int image_size)
{
    conditioning_design design;
    char each[PAPER_NAME];
    int i = 0, size, patch;
    while (paper_name(each, i) && strcmp(each, name) != 0) i++;
    if (i == N_NAMES) {
        fail(ERR_USAGE,
             "--arch %s: expected DiT-S, DiT-B, DiT-L or DiT-XL, then /2, /4 or /8, and "
             "perhaps -in-context, -cross-attention or -adaLN",
             name);
        fail_hint("for example: DiT-XL/2, or DiT-B/4-in-context");
        return ERR_USAGE;
    }
    parts_of(i, &design, &size, &patch);
    *c = (dit_config){
        .in_channels = 4,
        .out_channels = 8,
        .patch = patch,
        .depth = sizes[size].depth,
        .heads = sizes[size].heads,
        .head_dim = sizes[size].width / sizes[size].heads,
        .width = sizes[size].width,
        .n_classes = 1000,
        .has_null = true,
        .latent_size = image_size / 8,
        .norm3_eps = 1e-6f,
        .design = design,
    };
    return OK;
}

/* stabilityai/sd-vae-ft-mse and its siblings */
static const vae_config stable_diffusion_vae = {
    .in_channels = 3,
    .out_channels = 3,
    .latent_channels = 4,
    .n_levels = 4,
    .channels = {128, 256, 512, 512},
    .layers_per_block = 2,
    .groups = 32,
    .scaling_factor = 0.18215f,
    .quant_conv = true,
    .post_quant_conv = true,
    .mid_attention = true,
};

status paper_model(model *m, const char *name, int image_size)
{
    *m = (model){.spelling = NAMING_ORIGINAL,
                 .origin = COMPAT_ORIGINAL,
                 .arithmetic = COMPAT_ORIGINAL,
                 .has_vae = true,
                 .vae = stable_diffusion_vae};
    status st = paper_config(&m->dit, name, image_size);
    if (st != OK) return st;
    text_copy(m->path, sizeof m->path, name);
    st = config_original_schedule(&m->schedule, SAMPLER_DDPM, true);
    if (st == OK) st = weights_generate(&m->dit_weights, m->path);
    if (st == OK) st = weights_generate(&m->vae_weights, "Stable Diffusion's VAE");
    if (st != OK) model_close(m);
    return st;
}
