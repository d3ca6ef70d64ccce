/* The names that different programs give to the same tensor. */
#ifndef DITCL_CHECKPOINT_NAMES_H
#define DITCL_CHECKPOINT_NAMES_H

#include <stdbool.h>
#include <stddef.h>

typedef enum { NAMING_ORIGINAL, NAMING_DIFFUSERS } naming;

/* A layer has the tensors name.weight and name.bias. */
typedef enum {
    LAYER_PATCH,
    LAYER_TIME_1,
    LAYER_TIME_2,
    LAYER_LABELS,
    LAYER_ADALN,
    LAYER_NORM_ATTENTION, /* affine norms of designs without adaLN; original only, like CROSS */
    LAYER_NORM_CROSS,
    LAYER_NORM_MLP,
    LAYER_NORM_FINAL,
    LAYER_CROSS_Q,
    LAYER_CROSS_KV,
    LAYER_CROSS_PROJECTION,
    LAYER_QKV, /* original only */
    LAYER_Q,   /* diffusers only, like K and V */
    LAYER_K,
    LAYER_V,
    LAYER_PROJECTION,
    LAYER_MLP_1,
    LAYER_MLP_2,
    LAYER_FINAL_ADALN,
    LAYER_FINAL,
    N_LAYERS
} layer;

enum { NAME_BYTES = 128 };

/* The position embedding in original files. ditcl also writes it into converted folders. */
#define NAME_POSITIONS "pos_embed"
#define NAME_POSITIONS_KEPT "pos_embed.pos_embed"

/* out = the layer's name, then suffix. block: used if the layer is in every block. */
void name_layer(char out[NAME_BYTES], naming spelling, layer which, int block, const char *suffix);

/* True if a transformer, or a VAE in any naming, has a tensor of this name. */
bool name_is_dit(const char *name);
bool name_is_vae(const char *name);
/* Averages in files of Latent Diffusion's program have names without dots (blocks0attnqkvweight).
 * out = the transformer's tensor with dots. False if there is none. */
bool name_from_dotless(char out[NAME_BYTES], const char *name);

/* Translates the name of a VAE's tensor in the Latent Diffusion program
 * (encoder.down.0.block.1.conv1.bias) or in diffusers before 2023 (query for to_q). out = the
 * current name in diffusers. n_levels: of the decoder; Latent Diffusion counts its levels from the
 * last. False, with out unchanged, for other names. */
bool name_vae(char out[NAME_BYTES], const char *name, int n_levels);
/* The least number of decoder levels that this name, in Latent Diffusion's naming, implies; or
 * 0. */
int name_vae_levels(const char *name);

#endif
