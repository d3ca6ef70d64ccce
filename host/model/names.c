/* Spellings of DiT tensors. See names.h. */
#include "model/names.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* '#' stands for the block's number. diffusers keeps a copy of both embedders in every block. */
static const struct {
    const char *by_naming[2];
} table[N_LAYERS] = {
    [LAYER_PATCH] = {{"x_embedder.proj", "pos_embed.proj"}},
    [LAYER_TIME_1] = {{"t_embedder.mlp.0",
                       "transformer_blocks.#.norm1.emb.timestep_embedder.linear_1"}},
    [LAYER_TIME_2] = {{"t_embedder.mlp.2",
                       "transformer_blocks.#.norm1.emb.timestep_embedder.linear_2"}},
    [LAYER_LABELS] = {{"y_embedder.embedding_table",
                       "transformer_blocks.#.norm1.emb.class_embedder.embedding_table"}},
    [LAYER_ADALN] = {{"blocks.#.adaLN_modulation.1", "transformer_blocks.#.norm1.linear"}},
    [LAYER_QKV] = {{"blocks.#.attn.qkv", NULL}},
    [LAYER_Q] = {{NULL, "transformer_blocks.#.attn1.to_q"}},
    [LAYER_K] = {{NULL, "transformer_blocks.#.attn1.to_k"}},
    [LAYER_V] = {{NULL, "transformer_blocks.#.attn1.to_v"}},
    [LAYER_PROJECTION] = {{"blocks.#.attn.proj", "transformer_blocks.#.attn1.to_out.0"}},
    [LAYER_MLP_1] = {{"blocks.#.mlp.fc1", "transformer_blocks.#.ff.net.0.proj"}},
    [LAYER_MLP_2] = {{"blocks.#.mlp.fc2", "transformer_blocks.#.ff.net.2"}},
    [LAYER_FINAL_ADALN] = {{"final_layer.adaLN_modulation.1", "proj_out_1"}},
    [LAYER_FINAL] = {{"final_layer.linear", "proj_out_2"}},
};

void name_layer(char out[NAME_BYTES], naming spelling, layer which, int block, const char *suffix)
{
    const char *pattern = table[which].by_naming[spelling];
    assert(pattern);
    const char *hash = strchr(pattern, '#');
    if (hash)
        snprintf(out, NAME_BYTES, "%.*s%d%s%s", (int)(hash - pattern), pattern, block, hash + 1,
                 suffix);
    else
        snprintf(out, NAME_BYTES, "%s%s", pattern, suffix);
}
