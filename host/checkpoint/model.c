/* Opens a model: finds its files, reads its configurations, and makes all checks that need no
 * values of tensors. See model.h. */
#include "checkpoint/model.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "checkpoint/find.h"
#include "files/json.h"

enum { JSON_BYTES = 16 << 20, PATH_BYTES = FIND_PATH_BYTES };

/* ---- files ---- */

/* Reads folder/name as text. *json is null if the file is missing and optional. */
static status read_json(char **json, char *path, const char *folder, const char *name,
                        bool may_be_absent)
{
    *json = NULL;
    status st = file_join(path, PATH_BYTES, folder, name);
    if (st != OK || (may_be_absent && !file_exists(path))) return st;
    st = file_read_text(json, path, JSON_BYTES);
    if (st == OK) json_strip_mark(*json);
    return st;
}

/* Reads a config.json beside a single file, if it has the right class name: the configuration has
 * facts that the tensors do not show. */
static status read_json_beside(char **json, char *path, const char *file, const char *class_name)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(file, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - file) : 1, slash ? file : ".");
    status st = read_json(json, path, folder, "config.json", true);
    if (st != OK || !*json || strstr(*json, class_name)) return st;
    free(*json);
    *json = NULL;
    return OK;
}

/* Appends a line to the notes, unless it is empty. */
static status keep_note(model *m, const char *line)
{
    text all = {0};
    status st = OK;
    if (!line || !*line) return OK;
    TRY(text_append(&all, "%s%s%s", m->notes ? m->notes : "", m->notes ? "\n" : "", line));
    free(m->notes);
    m->notes = all.data;
    all = (text){0};
done:
    text_free(&all);
    return st;
}

static status keep_weights(model *m, char *path, const char *folder, find_request *q)
{
    text line = {0};
    status st = find_weights(path, &line, folder, q);
    if (st == OK) st = keep_note(m, line.data);
    if (st == OK && q->several && !q->may_lack) m->several_files = true;
    text_free(&line);
    return st;
}

/* ---- the transformer ---- */

static bool has_layer(const weights *w, naming spelling, layer which, int block)
{
    char name[NAME_BYTES];
    name_layer(name, spelling, which, block, ".weight");
    return weights_has(w, name);
}

static int width_heads(int width)
{
    /* paper, table 1 */
    static const int table[][2] = {{384, 6}, {768, 12}, {1024, 16}, {1152, 16}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i][0] == width) return table[i][1];
    return 0;
}

/* *dims = the dimensions of a tensor that must have n of them, each from 1 to `most`. */
static status dims_of(const weights *w, const char *name, int n, size_t most, const size_t **dims)
{
    const tensor *t = tensor_find(&w->file, name);
    char found[128];
    if (!t) return fail(ERR_FORMAT, "%s: tensor %s is missing", w->file.path, name);
    text_shape(found, sizeof found, t->dims, t->n_dims);
    bool good = t->n_dims == n;
    for (int i = 0; good && i < n; i++) good = t->dims[i] >= 1 && t->dims[i] <= most;
    if (!good)
        return fail(ERR_FORMAT, "%s: tensor %s is %s, expected %d sizes from 1 to %zu",
                    w->file.path, name, found, n, most);
    *dims = t->dims;
    return OK;
}

static status check_inferred(const dit_config *c, const char *path)
{
    if (c->width % 4)
        return fail(ERR_FORMAT, "%s: width %d, expected a multiple of 4", path, c->width);
    if (c->patch != 2 && c->patch != 4 && c->patch != 8)
        return fail(ERR_FORMAT, "%s: patch size %d, expected 2, 4 or 8", path, c->patch);
    if (c->out_channels != c->in_channels && c->out_channels != 2 * c->in_channels)
        return fail(ERR_FORMAT, "%s: %d output channels for %d input channels, expected %d or %d",
                    path, c->out_channels, c->in_channels, c->in_channels, 2 * c->in_channels);
    if (c->depth < 1) return fail(ERR_FORMAT, "%s: has no transformer block", path);
    return OK;
}

static status choose_heads(dit_config *c, const char *path, int heads)
{
    c->heads = heads ? heads : width_heads(c->width);
    if (c->heads == 0) {
        fail(ERR_USAGE, "%s: a width of %d does not tell the number of heads", path, c->width);
        fail_hint("add --heads H");
        return ERR_USAGE;
    }
    if (c->width % c->heads || c->width / c->heads > 128)
        return fail(ERR_USAGE, "--heads %d: a width of %d is not %d heads of at most 128 channels",
                    c->heads, c->width, c->heads);
    c->head_dim = c->width / c->heads;
    return OK;
}

/* The rows of the position embedding give the latent size. Files of diffusers do not have that
 * tensor. */
static status infer_size(dit_config *c, const weights *w, naming spelling)
{
    const size_t *dims;
    if (spelling == NAMING_DIFFUSERS) {
        c->latent_size = 32; /* as in the published models for 256 pixels */
        return OK;
    }
    status st = dims_of(w, "pos_embed", 3, 1 << 20, &dims);
    if (st != OK) return st;
    int side = 1;
    while ((size_t)side * (size_t)side < dims[1]) side++;
    if ((size_t)side * (size_t)side != dims[1] || side > 1024)
        return fail(ERR_FORMAT, "%s: pos_embed has %zu rows, expected a square up to 1024 x 1024",
                    w->file.path, dims[1]);
    c->latent_size = side * c->patch;
    if (c->latent_size <= CONFIG_MAX_LATENT_SIZE) return OK;
    return fail(ERR_LIMIT,
                "%s: pos_embed has %zu rows: latents of %d per side, expected at most %d",
                w->file.path, dims[1], c->latent_size, CONFIG_MAX_LATENT_SIZE);
}

/* Only files in the original naming have designs other than adaLN-Zero. */
static conditioning_design infer_design(const weights *w, naming spelling, int width)
{
    char name[NAME_BYTES];
    if (spelling != NAMING_ORIGINAL) return DESIGN_ADALN_ZERO;
    name_layer(name, spelling, LAYER_ADALN, 0, ".weight");
    const tensor *t = tensor_find(&w->file, name);
    size_t plain = (size_t)designs[DESIGN_ADALN].parts * (size_t)width;
    if (t) return t->n_dims && t->dims[0] == plain ? DESIGN_ADALN : DESIGN_ADALN_ZERO;
    if (has_layer(w, spelling, LAYER_CROSS_Q, 0)) return DESIGN_CROSS_ATTENTION;
    return has_layer(w, spelling, LAYER_NORM_ATTENTION, 0) ? DESIGN_IN_CONTEXT : DESIGN_ADALN_ZERO;
}

static status infer_dit(dit_config *c, const weights *w, naming spelling, int heads)
{
    const size_t *dims;
    char name[NAME_BYTES];
    const char *path = w->file.path;
    status st = OK;
    *c = (dit_config){.norm3_eps = spelling == NAMING_DIFFUSERS ? 1e-5f : 1e-6f};
    name_layer(name, spelling, LAYER_PATCH, 0, ".weight");
    TRY(dims_of(w, name, 4, 16384, &dims));
    c->width = (int)dims[0];
    c->in_channels = (int)dims[1];
    c->patch = (int)dims[2];
    if (dims[1] > 64 || dims[3] != dims[2] || dims[2] > 8)
        return fail(ERR_FORMAT, "%s: tensor %s: not a patch embedding of size 2, 4 or 8", path,
                    name);
    name_layer(name, spelling, LAYER_FINAL, 0, ".weight");
    TRY(dims_of(w, name, 2, 16384, &dims));
    c->out_channels = (int)dims[0] / (c->patch * c->patch);
    name_layer(name, spelling, LAYER_LABELS, 0, ".weight");
    TRY(dims_of(w, name, 2, 10000001, &dims));
    c->n_classes = (int)dims[0]; /* labels_resolve corrects it */
    while (c->depth < 1024 && has_layer(w, spelling, LAYER_PROJECTION, c->depth)) c->depth++;
    TRY(check_inferred(c, path));
    TRY(choose_heads(c, path, heads));
    TRY(infer_size(c, w, spelling));
    long long side = c->latent_size / c->patch;
    if (side * side * c->width * 4 > INT_MAX)
        st = fail(ERR_LIMIT, "%s: %lld tokens of width %d are too many for one picture", path,
                  side * side, c->width);
done:
    return st;
}

/* Copies a note of the file, if it has one. */
static status read_note(model *m, model_text which, const char *key)
{
    const char *value = tensor_file_note(&m->dit_weights.file, key);
    return value ? memory_strdup(&m->texts[which], value) : OK;
}

static status read_notes(model *m)
{
    status st = read_note(m, TEXT_DIT, NOTE_DIT);
    if (st == OK) st = read_note(m, TEXT_SCHEDULE, NOTE_SCHEDULE);
    return st == OK ? read_note(m, TEXT_INDEX, NOTE_INDEX) : st;
}

/* Sets the origin and the arithmetic. The arithmetic is the origin's unless the request forces
 * another. */
static status read_origin(model *m, const model_request *request, const char *path)
{
    status st = m->texts[TEXT_DIT] ? config_parse_origin(&m->origin, m->texts[TEXT_DIT], path) : OK;
    m->arithmetic = request->forced >= 0 ? (compat)request->forced : m->origin;
    if (st != OK) return st;
    /* the scheduler that diffusers' conversion writes does not mention the variance */
    return config_original_schedule(&m->schedule,
                                    m->spelling == NAMING_DIFFUSERS ? SAMPLER_DDIM : SAMPLER_DDPM,
                                    m->arithmetic == COMPAT_ORIGINAL);
}

/* Opens the scheduler. The index has its class, as in DiTPipeline. With the original arithmetic of
 * an original model the scheduler's configuration is ignored. */
static status open_schedule(model *m, const char *path)
{
    const char *schedule = m->texts[TEXT_SCHEDULE];
    char class_name[80] = "";
    bool counts = m->origin == COMPAT_DIFFUSERS || m->arithmetic == COMPAT_DIFFUSERS;
    status st = OK;
    if (!schedule || !(counts || strstr(schedule, "\"SiT\""))) return OK;
    if (m->texts[TEXT_INDEX])
        TRY(config_index_class(class_name, sizeof class_name, m->texts[TEXT_INDEX], path,
                               "scheduler"));
    config_free_schedule(&m->schedule);
    TRY(config_parse_schedule(&m->schedule, schedule, path, class_name));
done:
    return st;
}

/* Reads the rows of the label table and their names. inferred: only the table's size is known. */
static status open_labels(model *m, const char *path, bool inferred, int asked)
{
    int rows = inferred ? m->dit.n_classes : dit_label_rows(&m->dit);
    status st = OK;
    if (m->texts[TEXT_INDEX])
        TRY(config_parse_names(&m->classes, m->texts[TEXT_INDEX], path, rows));
    m->labels_by = LABELS_BY_CONFIG;
    if (inferred)
        TRY(labels_resolve(&m->dit, &m->labels_by, &m->dit_weights.file, rows, m->classes.n,
                           asked));
    else
        TRY(labels_check(&m->dit, m->path, m->labels_by, asked));
done:
    return st;
}

static status open_dit_file(model *m, const model_request *request, const char *file,
                            const char *wanted)
{
    status st = OK;
    char path[PATH_BYTES];
    TRY(weights_open(&m->dit_weights, file, &state_dit, wanted));
    m->spelling = has_layer(&m->dit_weights, NAMING_DIFFUSERS, LAYER_PATCH, 0) ? NAMING_DIFFUSERS
                                                                               : NAMING_ORIGINAL;
    m->origin = m->spelling == NAMING_DIFFUSERS ? COMPAT_DIFFUSERS : COMPAT_ORIGINAL;
    text_copy(path, sizeof path, file);
    TRY(read_notes(m));
    if (!m->texts[TEXT_DIT] && m->spelling == NAMING_DIFFUSERS)
        TRY(read_json_beside(&m->texts[TEXT_DIT], path, file, "Transformer2DModel"));
    if (m->texts[TEXT_DIT] && request->heads)
        TRY(fail(ERR_USAGE, "--heads: %s already has the number of heads", path));
    TRY(read_origin(m, request, path));
    if (m->texts[TEXT_DIT])
        TRY(config_parse_dit(&m->dit, m->texts[TEXT_DIT], path, NULL));
    else
        TRY(infer_dit(&m->dit, &m->dit_weights, m->spelling, request->heads));
    m->dit.design = infer_design(&m->dit_weights, m->spelling, m->dit.width);
    TRY(open_schedule(m, m->path));
    TRY(open_labels(m, m->path, !m->texts[TEXT_DIT], request->n_classes));
    if (!request->vae && request->vae_use == VAE_NEEDED) {
        fail(ERR_USAGE, "%s: is one DiT %s, which has no VAE", m->path,
             file == m->path ? "file" : "folder");
        fail_hint("add --vae FOLDER or FILE");
        st = ERR_USAGE;
    }
done:
    return st;
}

/* folder = the pipeline's transformer. The checkpoint of a trainer may also have an averaged
 * one. */
static status find_transformer(model *m, char *folder, const model_request *request, bool *chosen)
{
    const char *wanted = request->weights;
    char line[700];
    status st = file_join(folder, PATH_BYTES, m->path, "transformer_ema");
    if (st != OK || !file_is_folder(folder))
        return st == OK ? file_join(folder, PATH_BYTES, m->path, "transformer") : st;
    bool raw = wanted && !strcmp(wanted, "raw");
    m->several_files = true;
    *chosen = wanted && (raw || !strcmp(wanted, "ema"));
    if (raw) return file_join(folder, PATH_BYTES, m->path, "transformer");
    snprintf(line, sizeof line, "%.500s: uses transformer_ema/ (averaged weights)%s", m->path,
             wanted ? "" : "; for transformer/ use --weights raw");
    return keep_note(m, line);
}

/* Notes which sampler is used for a folder without a scheduler. The pipeline around the folder may
 * have one. */
static status note_scheduler(model *m, const char *folder)
{
    char around[PATH_BYTES];
    text line = {0};
    status st = OK;
    TRY(text_append(&line,
                    "%s: a transformer without a scheduler: linear betas from 0.0001 to "
                    "0.02, and %s unless --sampler chooses another",
                    folder, m->arithmetic == COMPAT_ORIGINAL ? "ddpm" : "ddim"));
    TRY(file_join(around, sizeof around, folder, "../scheduler"));
    if (file_is_folder(around)) TRY(text_append(&line, "; the parent folder has its own"));
    TRY(keep_note(m, line.data));
done:
    text_free(&line);
    return st;
}

/* Notes other files of a checkpoint that may hold averages, since accelerate numbers the models
 * that it saves. */
static status note_beside(model *m, const char *folder)
{
    static const char *const names[] = {"model_1.safetensors",     "pytorch_model_1.bin",
                                        "custom_checkpoint_0.pkl", "ema.safetensors",
                                        "ema_model.safetensors",   "ema.pt"};
    char path[PATH_BYTES], line[700];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        status st = file_join(path, sizeof path, folder, names[i]);
        if (st != OK || !file_exists(path)) continue;
        snprintf(line, sizeof line,
                 "%.500s: there is also %s, which may be averaged weights: name it to "
                 "use it",
                 folder, names[i]);
        return keep_note(m, line);
    }
    return OK;
}

/* Opens a folder that holds only a transformer, or any folder with weights of a usual name. */
static status open_lone(model *m, const model_request *request, const char *folder, bool chosen)
{
    status st = OK;
    char path[PATH_BYTES];
    find_request q = {.variant = request->variant, .wanted = request->weights, .chosen = chosen};
    TRY(keep_weights(m, path, folder, &q));
    TRY(note_beside(m, folder));
    TRY(open_dit_file(m, request, path, q.chosen ? NULL : request->weights));
    if (m->spelling == NAMING_DIFFUSERS && !m->texts[TEXT_SCHEDULE] && !request->flow)
        TRY(note_scheduler(m, folder));
done:
    return st;
}

static status open_pipeline(model *m, const model_request *request, const char *part, bool chosen)
{
    status st = OK;
    char path[PATH_BYTES], index[PATH_BYTES], class_name[80] = "";
    find_request q = {.variant = request->variant, .wanted = request->weights, .chosen = chosen};
    if (request->heads)
        return fail(ERR_USAGE, "--heads: applies only to a single file; %s has a configuration",
                    m->path);
    m->spelling = NAMING_DIFFUSERS;
    m->origin = COMPAT_DIFFUSERS;
    st = read_json(&m->texts[TEXT_DIT], path, part, "config.json", false);
    if (st != OK) {
        fail_hint("MODEL is a folder with transformer/, vae/ and scheduler/, or a DiT file");
        goto done;
    }
    TRY(read_origin(m, request, path));
    TRY(read_json(&m->texts[TEXT_INDEX], index, m->path, "model_index.json", true));
    if (m->texts[TEXT_INDEX])
        TRY(config_index_class(class_name, sizeof class_name, m->texts[TEXT_INDEX], index,
                               "transformer"));
    TRY(config_parse_dit(&m->dit, m->texts[TEXT_DIT], path, *class_name ? class_name : NULL));
    TRY(read_json(&m->texts[TEXT_SCHEDULE], path, m->path, "scheduler/scheduler_config.json",
                  false));
    TRY(open_schedule(m, path));
    TRY(open_labels(m, index, false, request->n_classes));
    TRY(keep_weights(m, path, part, &q));
    TRY(weights_open(&m->dit_weights, path, &state_dit, q.chosen ? NULL : request->weights));
done:
    return st;
}

static bool holds(const model *m, const char *name)
{
    char path[PATH_BYTES];
    return file_join(path, sizeof path, m->path, name) == OK && file_exists(path);
}

static status open_dit(model *m, const model_request *request)
{
    char part[PATH_BYTES];
    bool chosen = false;
    if (!file_is_folder(m->path)) {
        if (request->variant)
            return fail(ERR_USAGE, "--variant: %s is one file, only a folder has variants",
                        m->path);
        return open_dit_file(m, request, m->path, request->weights);
    }
    bool whole = holds(m, "model_index.json") || holds(m, "scheduler");
    if (!whole && !holds(m, "transformer") && !holds(m, "transformer_ema"))
        return find_has_weights(m->path) ? open_lone(m, request, m->path, false)
                                         : find_nothing(m->path);
    status st = find_transformer(m, part, request, &chosen);
    if (st != OK) return st;
    return whole ? open_pipeline(m, request, part, chosen) : open_lone(m, request, part, chosen);
}

/* ---- the VAE ---- */

/* Opens the weights of a VAE and renames its tensors to the current names of diffusers. */
static status open_vae_weights(weights *w, const char *path)
{
    int n_levels = 0;
    status st = weights_open(w, path, &state_vae, NULL);
    for (size_t i = 0; i < w->file.n_tensors; i++) {
        int n = name_vae_levels(w->file.tensors[i].name);
        if (n > n_levels) n_levels = n;
    }
    return st == OK ? weights_rename(w, name_vae, n_levels) : st;
}

static int count_parts(const weights *w, const char *format, int most)
{
    char name[NAME_BYTES];
    int n = 0;
    for (; n < most; n++) {
        int used = 0;
        for (const char *c = format; *c && used < NAME_BYTES - 16; c++)
            used += *c == '#' ? snprintf(name + used, 12, "%d", n) : (name[used] = *c, 1);
        name[used] = 0;
        if (!weights_has(w, name)) break;
    }
    return n;
}

/* Fills the configuration for a single VAE file: sizes from its tensors, and Stable Diffusion's
 * other values. */
static status infer_vae(vae_config *c, const weights *w)
{
    const size_t *dims;
    char name[NAME_BYTES];
    status st = OK;
    *c = (vae_config){.in_channels = 3, .groups = 32, .scaling_factor = 0.18215f};
    TRY(dims_of(w, "decoder.conv_in.weight", 4, 16384, &dims));
    c->latent_channels = (int)dims[1];
    TRY(dims_of(w, "decoder.conv_out.weight", 4, 16384, &dims));
    c->out_channels = (int)dims[0];
    c->quant_conv = weights_has(w, "quant_conv.weight");
    c->post_quant_conv = weights_has(w, "post_quant_conv.weight");
    c->mid_attention = weights_has(w, "decoder.mid_block.attentions.0.group_norm.weight");
    c->n_levels = count_parts(w, "decoder.up_blocks.#.resnets.0.conv1.weight", VAE_MAX_LEVELS + 1);
    if (c->n_levels < 1 || c->n_levels > VAE_MAX_LEVELS)
        return fail(ERR_FORMAT, "%s: %d decoder levels, expected 1 to %d", w->file.path,
                    c->n_levels, VAE_MAX_LEVELS);
    c->layers_per_block = count_parts(w, "decoder.up_blocks.0.resnets.#.conv1.weight", 64) - 1;
    for (int i = 0; i < c->n_levels; i++) {
        snprintf(name, sizeof name, "decoder.up_blocks.%d.resnets.0.conv1.weight", i);
        TRY(dims_of(w, name, 4, 16384, &dims));
        c->channels[c->n_levels - 1 - i] = (int)dims[0];
        if (dims[0] % (size_t)c->groups)
            return fail(ERR_FORMAT, "%s: tensor %s has %zu channels, expected a multiple of %d",
                        w->file.path, name, dims[0], c->groups);
    }
    if (c->layers_per_block < 1 || c->latent_channels > 64 || c->out_channels != 3)
        return fail(ERR_FORMAT,
                    "%s: not a KL-VAE of pictures: %d resnets per level, %d latent and "
                    "%d picture channels",
                    w->file.path, c->layers_per_block + 1, c->latent_channels, c->out_channels);
done:
    return st;
}

static status open_vae_folder(model *m, const char *folder, const char *variant)
{
    status st = OK;
    char path[PATH_BYTES];
    find_request q = {.variant = variant, .may_lack = true};
    TRY(read_json(&m->texts[TEXT_VAE], path, folder, "config.json", false));
    /* the user named it as a VAE, so the class may be missing */
    TRY(config_parse_vae(&m->vae, m->texts[TEXT_VAE], path, "AutoencoderKL"));
    TRY(keep_weights(m, path, folder, &q));
    TRY(open_vae_weights(&m->vae_weights, path));
done:
    return st;
}

static status open_vae_file(model *m, const char *path)
{
    status st = OK;
    char config_path[PATH_BYTES];
    TRY(open_vae_weights(&m->vae_weights, path));
    TRY(read_json_beside(&m->texts[TEXT_VAE], config_path, path, "AutoencoderKL"));
    if (m->texts[TEXT_VAE])
        TRY(config_parse_vae(&m->vae, m->texts[TEXT_VAE], config_path, NULL));
    else
        TRY(infer_vae(&m->vae, &m->vae_weights));
    m->vae_assumed = !m->texts[TEXT_VAE];
done:
    return st;
}

/* Opens the folder of a VAE without its configuration. */
static status open_vae_weights_of(model *m, const char *folder, const char *variant)
{
    char path[PATH_BYTES];
    find_request q = {.variant = variant, .may_lack = true};
    status st = keep_weights(m, path, folder, &q);
    return st == OK ? open_vae_file(m, path) : st;
}

/* Fails because neither --vae nor MODEL has a VAE. */
static status fail_no_vae(const char *path, bool named)
{
    fail(ERR_FILE, "%s: has no vae/ folder%s", path, named ? ", and is not a VAE" : "");
    fail_hint(named ? "a VAE is a folder with config.json and weights, or a file"
                    : "add --vae FOLDER or FILE");
    return ERR_FILE;
}

/* Opens the VAE: --vae, else MODEL. */
static status open_vae(model *m, const model_request *request)
{
    char path[PATH_BYTES], folder[PATH_BYTES];
    const char *where = request->vae;
    vae_need need = request->vae_use;
    status st = find_model(path, where ? where : m->path);
    if (st != OK || need == VAE_UNUSED) return st;
    m->has_vae = true;
    if (!file_is_folder(path)) {
        m->has_vae = where || need == VAE_NEEDED; /* otherwise the file holds only the DiT */
        return m->has_vae ? open_vae_file(m, path) : OK;
    }
    st = file_join(folder, sizeof folder, path, "vae");
    if (st != OK) return st;
    bool own = where || !request->need_dit; /* the folder itself may be a VAE */
    if (file_is_folder(folder)) return open_vae_folder(m, folder, request->variant);
    m->has_vae = where || need == VAE_NEEDED;
    if (!m->has_vae) return OK;
    st = file_join(folder, sizeof folder, path, "config.json");
    if (st != OK) return st;
    if (own && file_exists(folder)) return open_vae_folder(m, path, request->variant);
    if (own && find_has_weights(path)) return open_vae_weights_of(m, path, request->variant);
    return fail_no_vae(path, own);
}

/* ---- both ---- */

/* SiT has one arithmetic, that of DiT's original program. */
static status resolve_flow(model *m, const model_request *request)
{
    if (request->flow) {
        if (m->texts[TEXT_SCHEDULE] && file_is_folder(m->path))
            return fail(ERR_USAGE,
                        "--model-type: applies only to a single file; %s has scheduler/"
                        "scheduler_config.json",
                        m->path);
        config_free_schedule(&m->schedule);
        config_flow_schedule(&m->schedule, request->path, request->predicts);
    }
    if (!m->schedule.flow) return OK;
    if (request->forced == COMPAT_DIFFUSERS)
        return fail(ERR_USAGE, "--compat diffusers: %s is a SiT, which diffusers does not have",
                    m->path);
    m->arithmetic = COMPAT_ORIGINAL;
    return OK;
}

/* Checks relations between the two configurations, which give the sizes of pictures. */
static status check_together(const model *m)
{
    enum { LARGEST_SIDE = 1 << 14 };
    int side = m->dit.latent_size * vae_scale(&m->vae);
    if (m->vae.latent_channels != m->dit.in_channels)
        return fail(ERR_FORMAT, "%s: the VAE has %d latent channels, the transformer %d",
                    m->vae_weights.file.path, m->vae.latent_channels, m->dit.in_channels);
    if (side > LARGEST_SIDE)
        return fail(ERR_LIMIT, "%s: draws pictures of %d pixels per side, expected at most %d",
                    m->path, side, LARGEST_SIDE);
    return OK;
}

status model_open(model *m, const model_request *request)
{
    *m = (model){0};
    status st = OK;
    TRY(find_model(m->path, request->name));
    TRY(preset_read(&m->recommended, m->path));
    if (request->need_dit) TRY(open_dit(m, request));
    if (request->need_dit) TRY(resolve_flow(m, request));
    TRY(open_vae(m, request));
    if (request->need_dit && m->has_vae) TRY(check_together(m));
done:
    if (st != OK) model_close(m);
    return st;
}

status model_sampler(sampler_kind *sampler, const model *m)
{
    const schedule_config *c = &m->schedule;
    bool own = m->arithmetic == COMPAT_DIFFUSERS && m->origin == COMPAT_DIFFUSERS;
    *sampler = m->arithmetic == COMPAT_ORIGINAL ? SAMPLER_DDPM : SAMPLER_DDIM;
    if (c->flow || (own && c->sampler_known))
        *sampler = c->sampler;
    else if (own) {
        if (*c->class_name)
            fail(ERR_FORMAT, "%s: scheduler %s is not supported", m->path, c->class_name);
        else
            fail(ERR_FORMAT,
                 "%s: neither model_index.json nor the scheduler's configuration "
                 "names a scheduler class",
                 m->path);
        fail_hint("choose one: --sampler %s", SAMPLERS_LISTED(samplers_of_diffusers()));
        return ERR_FORMAT;
    }
    return OK;
}

sampler_kind model_any_sampler(const model *m)
{
    sampler_kind own = m->schedule.sampler, sampler = own;
    for (int i = -1; i < N_SAMPLERS; i++) {
        schedule_config resolved;
        sampler = i < 0 ? own : (sampler_kind)i;
        status st = config_resolve_schedule(&resolved, &m->schedule, sampler);
        config_free_schedule(&resolved);
        if (st == OK) {
            fail_clear();
            return sampler;
        }
    }
    fail_clear();
    return own;
}

void model_close(model *m)
{
    weights_close(&m->dit_weights);
    weights_close(&m->vae_weights);
    config_free_schedule(&m->schedule);
    config_free_names(&m->classes);
    free(m->notes);
    for (int i = 0; i < N_TEXTS; i++) free(m->texts[i]);
    *m = (model){0};
}
