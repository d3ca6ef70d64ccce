/* Converting models. See convert.h. */
#include "model/convert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "files/json.h"
#include "files/safetensors.h"
#include "model/convert_rows.h"
#include "model/vae.h"

enum { PIECE = 1 << 17, MAX_FILES = 6 };

static const char weights_name[] = "diffusion_pytorch_model.safetensors";

/* ---- values ---- */

static status write_tensor(safetensors_writer *w, float *piece, const row_source *source,
                           const tensor *t)
{
    for (size_t at = 0; at < source->count; at += PIECE) {
        size_t n = source->count - at < PIECE ? source->count - at : PIECE;
        status st = weights_read_part(source->w, piece, t, source->first + at, n);
        if (st == OK) st = safetensors_append(w, piece, n);
        if (st != OK) return st;
    }
    return OK;
}

static status write_row(safetensors_writer *w, float *piece, const row_source *source)
{
    if (source->given) return safetensors_append(w, source->given, source->count);
    for (int i = 0; i < source->n; i++) {
        status st = write_tensor(w, piece, source, source->from[i]);
        if (st != OK) return st;
        /* a part's neighbours are read next, and again from the file */
        weights_forget(source->w, source->from[i]);
    }
    return OK;
}

/* Writes to what is open and finishes; the caller commits w->out, or discards w. */
static status write_weights(safetensors_writer *w, const convert_rows *r, const tensor_note *notes,
                            size_t n_notes)
{
    float *piece = NULL;
    status st = OK;
    TRY(safetensors_begin(w, r->table, r->n, notes, n_notes));
    TRY(memory_alloc(&piece, PIECE, sizeof *piece));
    for (size_t i = 0; i < r->n; i++) TRY(write_row(w, piece, &r->sources[i]));
    TRY(safetensors_finish(w));
done:
    free(piece);
    return st;
}

/* ---- configurations ---- */

/* The configuration that was read, else made of what was inferred; null when memory ran out. */
static json_t *parsed(const model *m, model_text which, json_t *otherwise)
{
    if (!m->texts[which]) return otherwise;
    json_decref(otherwise);
    return json_loads(m->texts[which], 0, NULL);
}

static json_t *dit_json(const model *m)
{
    const dit_config *c = &m->dit;
    json_t *json = parsed(m, TEXT_DIT, json_pack(
        "{s:s, s:s, s:b, s:i, s:f, s:i, s:b, s:f, s:i, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:b}",
        "_class_name", "DiTTransformer2DModel", "activation_fn", "gelu-approximate",
        "attention_bias", 1, "attention_head_dim", c->head_dim, "dropout", 0.0, "in_channels",
        c->in_channels, "norm_elementwise_affine", 0, "norm_eps",
        m->origin == COMPAT_ORIGINAL ? 1e-6 : 1e-5, "norm_num_groups", 32, "norm_type",
        "ada_norm_zero", "num_attention_heads", c->heads, "num_embeds_ada_norm", c->n_classes,
        "num_layers", c->depth, "out_channels", c->out_channels, "patch_size", c->patch,
        "sample_size", c->latent_size, "upcast_attention", 0));
    json_object_set_new(json, CONFIG_ORIGIN, json_string(compat_names[m->origin]));
    if (!m->dit.has_null) json_object_set_new(json, CONFIG_NULL, json_false());
    if (!json_object_get(json, "_class_name"))
        json_object_set_new(json, "_class_name", json_string("DiTTransformer2DModel"));
    return json;
}

static json_t *flow_json(const schedule_config *c)
{
    int predicts = 0;
    while (flow_predictions[predicts] != c->predicts) predicts++;
    return json_pack("{s:s, s:s, s:s}", "_class_name", "SiT", "path_type",
                     flow_path_names[c->path], "prediction", flow_prediction_names[predicts]);
}

/* *json = the scheduler's; where the model has none, as diffusers' own conversion of an original
 * file has it. In the original's arithmetic nobody has looked into it yet. */
static status schedule_json(json_t **json, const model *m)
{
    const char *given = m->schedule.flow ? NULL : m->texts[TEXT_SCHEDULE];
    char *text = NULL, class_name[80] = "";
    status st = OK;
    *json = m->schedule.flow
                ? flow_json(&m->schedule)
                : json_pack("{s:s, s:f, s:s, s:f, s:b, s:i, s:s, s:b, s:i, s:s}", "_class_name",
                            "DDIMScheduler", "beta_end", 0.02, "beta_schedule", "linear",
                            "beta_start", 0.0001, "clip_sample", 0, "num_train_timesteps", 1000,
                            "prediction_type", "epsilon", "set_alpha_to_one", 1, "steps_offset", 0,
                            "timestep_spacing", "leading");
    if (!given) goto done;
    json_decref(*json);
    *json = NULL;
    TRY(config_standard_json(&text, given));
    TRY(json_read(json, text, strlen(text), m->path, "the scheduler's configuration"));
    /* the class of model_index.json is the one that counts */
    if (m->texts[TEXT_INDEX])
        TRY(config_index_class(class_name, sizeof class_name, m->texts[TEXT_INDEX], m->path,
                               "scheduler"));
    if (*class_name) json_object_set_new(*json, "_class_name", json_string(class_name));
    if (!json_is_string(json_object_get(*json, "_class_name")))
        TRY(fail(ERR_FORMAT, "%s: the scheduler's configuration: _class_name is missing", m->path));
    /* null stands for minus infinity, its default, which JSON cannot say */
    if (json_is_null(json_object_get(*json, "lambda_min_clipped")))
        json_object_del(*json, "lambda_min_clipped");
done:
    free(text);
    return st;
}

/* The double that its decimal digits say: 0.18215, not the nearest float's. */
static double in_digits(float value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.7g", (double)value);
    return strtod(digits, NULL);
}

static json_t *vae_json(const model *m)
{
    const vae_config *c = &m->vae;
    json_t *channels = json_array(), *down = json_array(), *up = json_array();
    for (int i = 0; i < c->n_levels; i++) {
        json_array_append_new(channels, json_integer(c->channels[i]));
        json_array_append_new(down, json_string("DownEncoderBlock2D"));
        json_array_append_new(up, json_string("UpDecoderBlock2D"));
    }
    return parsed(m, TEXT_VAE, json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:i, s:i, s:i, s:i, s:i, s:f, s:i, s:b, s:b, s:b}",
        "_class_name", "AutoencoderKL", "act_fn", "silu", "block_out_channels", channels,
        "down_block_types", down, "up_block_types", up, "in_channels", c->in_channels,
        "latent_channels", c->latent_channels, "layers_per_block", c->layers_per_block,
        "norm_num_groups", c->groups, "out_channels", c->out_channels, "scaling_factor",
        in_digits(c->scaling_factor), "sample_size", m->dit.latent_size * vae_scale(c),
        "use_quant_conv", weights_has(&m->vae_weights, "quant_conv.weight"),
        "use_post_quant_conv", c->post_quant_conv, "mid_block_add_attention", c->mid_attention));
}

static json_t *index_json(const model *m, const json_t *schedule)
{
    const char *scheduler = json_string_value(json_object_get(schedule, "_class_name"));
    json_t *json = parsed(m, TEXT_INDEX, json_pack("{s:s}", "_class_name", "DiTPipeline"));
    json_object_set_new(json, "scheduler", json_pack("[s, s]", "diffusers", scheduler));
    json_object_set_new(json, "transformer",
                        json_pack("[s, s]", "diffusers", "DiTTransformer2DModel"));
    json_object_set_new(json, "vae", m->has_vae ? json_pack("[s, s]", "diffusers", "AutoencoderKL")
                                                : json_pack("[n, n]"));
    return json;
}

/* ---- one file ---- */

/* Takes json over. */
static status add_note(tensor_note *notes, size_t *n, const char *key, json_t *json)
{
    char *value = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(json);
    if (!value) return fail(ERR_MEMORY, "out of memory for a configuration");
    status st = memory_strdup(&notes[*n].key, key);
    notes[(*n)++].value = value;
    return st;
}

status convert_to_file(model *m, const char *out, dtype type)
{
    convert_rows rows = {.type = type};
    safetensors_writer w = {0};
    tensor_note notes[4] = {{0}};
    json_t *schedule = NULL;
    size_t n = 0;
    status st = OK;
    TRY(convert_dit_rows(&rows, m, NAMING_ORIGINAL));
    TRY(memory_strdup(&notes[n].key, "format"));
    TRY(memory_strdup(&notes[n++].value, "pt"));
    TRY(add_note(notes, &n, NOTE_DIT, dit_json(m)));
    if (m->texts[TEXT_SCHEDULE] || m->schedule.flow) {
        TRY(schedule_json(&schedule, m));
        TRY(add_note(notes, &n, NOTE_SCHEDULE, schedule));
    }
    if (m->texts[TEXT_INDEX])
        TRY(add_note(notes, &n, NOTE_INDEX, parsed(m, TEXT_INDEX, NULL)));
    TRY(file_out_open(&w.out, out));
    TRY(write_weights(&w, &rows, notes, n));
    TRY(file_out_commit(&w.out, 1));
done:
    safetensors_discard(&w);
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
        free(notes[i].key);
        free(notes[i].value);
    }
    convert_rows_free(&rows);
    return st;
}

/* ---- a folder ---- */

enum { PART_DIT, PART_SCHEDULE, PART_VAE, N_PARTS };

typedef struct {
    folder_out folder;
    file_out files[MAX_FILES];
    size_t n;
} output;

/* A configuration as diffusers writes them; takes json over. */
static status write_json(output *o, int part, const char *name, json_t *json)
{
    file_out *file = &o->files[o->n];
    status st = OK;
    if (!json) return fail(ERR_MEMORY, "out of memory for %s", name);
    TRY(folder_out_file(&o->folder, file, part, name));
    o->n++;
    if (json_dumpf(json, file->stream, JSON_INDENT(2) | JSON_SORT_KEYS) != 0 ||
        fputc('\n', file->stream) == EOF)
        TRY(fail(ERR_FILE, "%s: cannot write: %s", file->shown, strerror(errno)));
    TRY(file_out_finish(file));
done:
    json_decref(json);
    return st;
}

static status write_tensors(output *o, int part, const convert_rows *rows)
{
    static char format[] = "format", pytorch[] = "pt"; /* which diffusers asks for */
    const tensor_note note = {format, pytorch};
    safetensors_writer w = {0};
    status st = folder_out_file(&o->folder, &w.out, part, weights_name);
    if (st == OK) st = write_weights(&w, rows, &note, 1);
    if (st == OK) o->files[o->n++] = w.out;
    else safetensors_discard(&w);
    return st;
}

static status write_folder(output *o, model *m, const convert_rows rows[2])
{
    static const char *const names[N_PARTS] = {"transformer", "scheduler", "vae"};
    status st = OK;
    json_t *schedule = NULL;
    TRY(schedule_json(&schedule, m));
    for (int i = 0; i < (m->has_vae ? N_PARTS : PART_VAE); i++)
        TRY(folder_out_add(&o->folder, names[i]));
    TRY(write_json(o, -1, "model_index.json", index_json(m, schedule)));
    TRY(write_json(o, PART_DIT, "config.json", dit_json(m)));
    TRY(write_json(o, PART_SCHEDULE, "scheduler_config.json", json_incref(schedule)));
    if (m->has_vae) TRY(write_json(o, PART_VAE, "config.json", vae_json(m)));
    TRY(write_tensors(o, PART_DIT, &rows[0]));
    if (m->has_vae) TRY(write_tensors(o, PART_VAE, &rows[1]));
done:
    json_decref(schedule);
    return st;
}

status convert_to_folder(model *m, const char *out, dtype type)
{
    convert_rows rows[2] = {{.type = type}, {.type = type}}; /* transformer, VAE */
    output o = {0};
    status st = OK;
    if (!m->dit.has_null) {
        fail(ERR_USAGE, "%s: has no null class, and a folder in diffusers' layout always has one",
             m->path);
        fail_hint("OUT can be a .safetensors file, which says that there is none");
        return ERR_USAGE;
    }
    TRY(folder_out_open(&o.folder, out));
    TRY(convert_dit_rows(&rows[0], m, NAMING_DIFFUSERS));
    if (m->has_vae) TRY(convert_vae_rows(&rows[1], m));
    TRY(write_folder(&o, m, rows));
    TRY(folder_out_commit(&o.folder, o.files, o.n));
done:
    for (size_t i = 0; i < o.n; i++) file_out_discard(&o.files[i]);
    folder_out_discard(&o.folder);
    convert_rows_free(&rows[0]);
    convert_rows_free(&rows[1]);
    return st;
}
