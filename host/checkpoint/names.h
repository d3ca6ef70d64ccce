/* How different programs spell the same tensor in their files. */
#ifndef DITCL_CHECKPOINT_NAMES_H
#define DITCL_CHECKPOINT_NAMES_H

#include <stdbool.h>
#include <stddef.h>

typedef enum { NAMING_ORIGINAL, NAMING_DIFFUSERS } naming;

/* A layer: its tensors are name.weight and name.bias. */
typedef enum {
    LAYER_PATCH,
    LAYER_TIME_1,
    LAYER_TIME_2,
    LAYER_LABELS,
    LAYER_ADALN,
    LAYER_NORM_ATTENTION, /* the affine norms of designs without adaLN; original only, as CROSS */
    LAYER_NORM_CROSS,
    LAYER_NORM_MLP,
    LAYER_NORM_FINAL,
    LAYER_CROSS_Q,
    LAYER_CROSS_KV,
    LAYER_CROSS_PROJECTION,
    LAYER_QKV, /* original only */
    LAYER_Q,   /* diffusers only, as K and V */
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

/* The position embedding: in original files, and where a converted folder keeps it for us. */
#define NAME_POSITIONS "pos_embed"
#define NAME_POSITIONS_KEPT "pos_embed.pos_embed"

/* out = the layer's name, then suffix; block counts where the layer is one of many. */
void name_layer(char out[NAME_BYTES], naming spelling, layer which, int block, const char *suffix);

/* Whether a transformer, or a VAE in any naming, has a tensor of this name. */
bool name_is_dit(const char *name);
bool name_is_vae(const char *name);
/* For a name without dots, as in averages of Latent Diffusion's program (blocks0attnqkvweight): out
 * = the transformer's tensor with dots; false if there is none. */
bool name_from_dotless(char out[NAME_BYTES], const char *name);

/* A VAE's tensor as the Latent Diffusion program (encoder.down.0.block.1.conv1.bias) or diffusers
 * before 2023 (query for to_q) spells it: out = diffusers' spelling of now. n_levels: of the
 * decoder, which the former counts from the last. False, and out unchanged, where the name is no
 * such. */
bool name_vae(char out[NAME_BYTES], const char *name, int n_levels);
/* Levels of the decoder in that program's spelling that this name is evidence of, or 0. */
int name_vae_levels(const char *name);

#endif
