/* The paper's sizes. See paper.h. */
#include "model/paper.h"

#include "base/text.h"

const char *const paper_names[] = {"DiT-S/2", "DiT-S/4", "DiT-S/8",  "DiT-B/2",  "DiT-B/4",
                                   "DiT-B/8", "DiT-L/2", "DiT-L/4",  "DiT-L/8",  "DiT-XL/2",
                                   "DiT-XL/4", "DiT-XL/8", NULL};

/* Three patch sizes of each size follow each other in the names. */
static const struct {
    int depth, width, heads;
} sizes[] = {{12, 384, 6}, {12, 768, 12}, {24, 1024, 16}, {28, 1152, 16}};
static const int patches[] = {2, 4, 8};

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

status paper_model(model *m, int index, int image_size)
{
    int size = index / 3;
    *m = (model){.spelling = NAMING_ORIGINAL, .origin = COMPAT_ORIGINAL,
                 .arithmetic = COMPAT_ORIGINAL, .vae = stable_diffusion_vae};
    m->dit = (dit_config){
        .in_channels = 4,
        .out_channels = 8,
        .patch = patches[index % 3],
        .depth = sizes[size].depth,
        .heads = sizes[size].heads,
        .head_dim = sizes[size].width / sizes[size].heads,
        .width = sizes[size].width,
        .n_classes = 1000,
        .latent_size = image_size / 8,
        .norm3_eps = 1e-6f,
    };
    text_copy(m->path, sizeof m->path, paper_names[index]);
    config_original_schedule(&m->schedule);
    status st = weights_generate(&m->dit_weights, paper_names[index]);
    if (st == OK) st = weights_generate(&m->vae_weights, "Stable Diffusion's VAE");
    if (st != OK) model_close(m);
    return st;
}
