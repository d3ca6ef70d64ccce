/* Names of tensors in different programs. See names.h. */
#include "checkpoint/names.h"

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
    [LAYER_NORM_ATTENTION] = {{"blocks.#.norm1", NULL}},
    [LAYER_NORM_CROSS] = {{"blocks.#.norm_cross", NULL}},
    [LAYER_NORM_MLP] = {{"blocks.#.norm2", NULL}},
    [LAYER_NORM_FINAL] = {{"final_layer.norm_final", NULL}},
    [LAYER_CROSS_Q] = {{"blocks.#.cross_attn.q", NULL}},
    [LAYER_CROSS_KV] = {{"blocks.#.cross_attn.kv", NULL}},
    [LAYER_CROSS_PROJECTION] = {{"blocks.#.cross_attn.proj", NULL}},
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

/* Reads a number of at most three digits. Returns the place behind it, or null. */
static const char *read_number(int *number, const char *s)
{
    int digits = 0;
    for (*number = 0; s[digits] >= '0' && s[digits] <= '9' && digits < 4; digits++)
        *number = 10 * *number + s[digits] - '0';
    return digits >= 1 && digits <= 3 ? s + digits : NULL;
}

/* Matches the beginning of name. Returns the place behind the match, or null; numbers = the
 * pattern's numbers. dotless: the name lacks the pattern's dots. */
static const char *match_with(int numbers[2], const char *pattern, const char *name, bool dotless)
{
    for (int n = 0; *pattern && name; pattern++) {
        if (*pattern == '#' || *pattern == '^')
            name = read_number(&numbers[n++], name);
        else if (*pattern == '.' && dotless)
            continue;
        else if (*pattern == *name)
            name++;
        else
            return NULL;
    }
    return name;
}

static const char *match(int numbers[2], const char *pattern, const char *name)
{
    return match_with(numbers, pattern, name, false);
}

/* ---- from a name to its layer ---- */

/* out: null, or the buffer for the name in full. */
static bool find_layer(char *out, const char *name, bool dotless)
{
    static const char *const suffixes[] = {".weight", ".bias"};
    int numbers[2] = {0};
    if (strnlen(name, NAME_BYTES) == NAME_BYTES) return false; /* longer than any known name */
    for (int i = 0; i < N_LAYERS; i++)
        for (int spelling = 0; spelling < 2; spelling++) {
            const char *pattern = table[i].by_naming[spelling];
            const char *rest = pattern ? match_with(numbers, pattern, name, dotless) : NULL;
            for (int k = 0; rest && k < 2; k++) {
                if (strcmp(rest, suffixes[k] + dotless) != 0) continue;
                if (out) name_layer(out, (naming)spelling, (layer)i, numbers[0], suffixes[k]);
                return true;
            }
        }
    return false;
}

bool name_is_dit(const char *name)
{
    return !strcmp(name, NAME_POSITIONS) || !strcmp(name, NAME_POSITIONS_KEPT) ||
           find_layer(NULL, name, false);
}

bool name_from_dotless(char out[NAME_BYTES], const char *name)
{
    return find_layer(out, name, true);
}

bool name_is_vae(const char *name)
{
    static const char *const parts[] = {"encoder.", "decoder.", "quant_conv.", "post_quant_conv."};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strncmp(name, parts[i], strlen(parts[i])) == 0) return true;
    return false;
}

/* ---- VAE ---- */

/* Beginnings after "encoder." or "decoder.". '#' stands for a number, '^' for a level that is
 * counted from the other end. */
static const struct {
    const char *theirs, *ours;
} vae_table[] = {
    {"down.#.block.#.", "down_blocks.#.resnets.#."},
    {"down.#.downsample.", "down_blocks.#.downsamplers.0."},
    {"up.^.block.#.", "up_blocks.^.resnets.#."},
    {"up.^.upsample.", "up_blocks.^.upsamplers.0."},
    {"mid.block_1.", "mid_block.resnets.0."},
    {"mid.block_2.", "mid_block.resnets.1."},
    {"mid.attn_1.norm.", "mid_block.attentions.0.group_norm."},
    {"mid.attn_1.q.", "mid_block.attentions.0.to_q."},
    {"mid.attn_1.k.", "mid_block.attentions.0.to_k."},
    {"mid.attn_1.v.", "mid_block.attentions.0.to_v."},
    {"mid.attn_1.proj_out.", "mid_block.attentions.0.to_out.0."},
    {"norm_out.", "conv_norm_out."},
    {"mid_block.attentions.0.query.", "mid_block.attentions.0.to_q."},
    {"mid_block.attentions.0.key.", "mid_block.attentions.0.to_k."},
    {"mid_block.attentions.0.value.", "mid_block.attentions.0.to_v."},
    {"mid_block.attentions.0.proj_attn.", "mid_block.attentions.0.to_out.0."},
};

bool name_vae(char out[NAME_BYTES], const char *name, int n_levels)
{
    static const char theirs[] = "nin_shortcut.", ours[] = "conv_shortcut.";
    enum { PREFIX = 8 };
    int numbers[2], n = 0;
    if (strlen(name) >= NAME_BYTES / 2) return false;
    if (strncmp(name, "encoder.", PREFIX) && strncmp(name, "decoder.", PREFIX)) return false;
    for (size_t i = 0; i < sizeof vae_table / sizeof *vae_table; i++) {
        const char *rest = match(numbers, vae_table[i].theirs, name + PREFIX);
        if (!rest) continue;
        int used = snprintf(out, NAME_BYTES, "%.*s", PREFIX, name);
        for (const char *c = vae_table[i].ours; *c; c++) {
            if (*c == '^') numbers[n] = n_levels - 1 - numbers[n];
            if (*c == '#' || *c == '^')
                used += snprintf(out + used, NAME_BYTES - (size_t)used, "%d", numbers[n++]);
            else
                out[used++] = *c;
        }
        bool shortcut = strncmp(rest, theirs, sizeof theirs - 1) == 0;
        snprintf(out + used, NAME_BYTES - (size_t)used, "%s%s", shortcut ? ours : "",
                 rest + (shortcut ? sizeof theirs - 1 : 0));
        return true;
    }
    return false;
}

int name_vae_levels(const char *name)
{
    int numbers[2];
    return match(numbers, "decoder.up.#.", name) ? numbers[0] + 1 : 0;
}
