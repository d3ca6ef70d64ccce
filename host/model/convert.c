/* Converting models. See convert.h. */
#include "model/convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "files/json_build.h"
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
        /* the next part reads the neighbours from the file */
        weights_forget(source->w, source->from[i]);
    }
    return OK;
}

/* Writes the open file and finishes it. The caller commits w->out or discards w. */
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

/* Starts from the configuration of the input, if it has one. */
static json_t *begin(json_build *b, const model *m, model_text which)
{
    if (!m->texts[which]) return json_build_begin(b);
    return json_build_read(b, m->texts[which], m->path, NULL) == OK ? b->root : NULL;
}

static void put_dit(json_build *b, json_t *to, const model *m)
{
    const dit_config *c = &m->dit;
    json_put_text(b, to, "_class_name", "DiTTransformer2DModel");
    json_put_text(b, to, "activation_fn", "gelu-approximate");
    json_put_bool(b, to, "attention_bias", true);
    json_put_int(b, to, "attention_head_dim", c->head_dim);
    json_put_real(b, to, "dropout", 0.0);
    json_put_int(b, to, "in_channels", c->in_channels);
    json_put_bool(b, to, "norm_elementwise_affine", false);
    json_put_real(b, to, "norm_eps", m->origin == COMPAT_ORIGINAL ? 1e-6 : 1e-5);
    json_put_int(b, to, "norm_num_groups", 32);
    json_put_text(b, to, "norm_type", "ada_norm_zero");
    json_put_int(b, to, "num_attention_heads", c->heads);
    json_put_int(b, to, "num_embeds_ada_norm", c->n_classes);
    json_put_int(b, to, "num_layers", c->depth);
    json_put_int(b, to, "out_channels", c->out_channels);
    json_put_int(b, to, "patch_size", c->patch);
    json_put_int(b, to, "sample_size", c->latent_size);
    json_put_bool(b, to, "upcast_attention", false);
}

static void dit_json(json_build *b, const model *m)
{
    json_t *root = begin(b, m, TEXT_DIT);
    if (!m->texts[TEXT_DIT]) put_dit(b, root, m);
    json_put_text(b, root, CONFIG_ORIGIN, compat_names[m->origin]);
    if (!m->dit.has_null) json_put_bool(b, root, CONFIG_NULL, false);
    if (root && !json_object_get(root, "_class_name"))
        json_put_text(b, root, "_class_name", "DiTTransformer2DModel");
}

static void put_flow(json_build *b, json_t *to, const schedule_config *c)
{
    json_put_text(b, to, "_class_name", "SiT");
    json_put_text(b, to, "path_type", flow_path_names[c->path]);
    json_put_text(b, to, "prediction", flow_prediction_name(c->predicts));
}

/* The same values as in diffusers' own conversion of an original file. */
static void put_ddim(json_build *b, json_t *to)
{
    json_put_text(b, to, "_class_name", "DDIMScheduler");
    json_put_real(b, to, "beta_end", 0.02);
    json_put_text(b, to, "beta_schedule", "linear");
    json_put_real(b, to, "beta_start", 0.0001);
    json_put_bool(b, to, "clip_sample", false);
    json_put_int(b, to, "num_train_timesteps", 1000);
    json_put_text(b, to, "prediction_type", "epsilon");
    json_put_bool(b, to, "set_alpha_to_one", true);
    json_put_int(b, to, "steps_offset", 0);
    json_put_text(b, to, "timestep_spacing", "leading");
}

/* The configuration of the scheduler. With original arithmetic nothing has read it before. */
static status schedule_json(json_build *b, const model *m)
{
    const char *given = m->schedule.flow ? NULL : m->texts[TEXT_SCHEDULE];
    char *standard = NULL, class_name[80] = "";
    status st = OK;
    if (!given) {
        json_t *root = json_build_begin(b);
        if (m->schedule.flow)
            put_flow(b, root, &m->schedule);
        else
            put_ddim(b, root);
        goto done;
    }
    TRY(config_standard_json(&standard, given));
    TRY(json_build_read(b, standard, m->path, "the scheduler's configuration"));
    /* the class name in model_index.json replaces the configuration's */
    if (m->texts[TEXT_INDEX])
        TRY(config_index_class(class_name, sizeof class_name, m->texts[TEXT_INDEX], m->path,
                               "scheduler"));
    if (*class_name) json_put_text(b, b->root, "_class_name", class_name);
    if (!json_is_string(json_object_get(b->root, "_class_name")))
        TRY(fail(ERR_FORMAT, "%s: the scheduler's configuration: _class_name is missing", m->path));
    /* the default is minus infinity, which JSON writes as null */
    if (json_is_null(json_object_get(b->root, "lambda_min_clipped")))
        json_object_del(b->root, "lambda_min_clipped");
done:
    free(standard);
    return st;
}

/* The double with the shortest decimal digits of the float: 0.18215. */
static double in_digits(float value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%.7g", (double)value);
    return strtod(digits, NULL);
}

static void put_vae(json_build *b, json_t *to, const model *m)
{
    const vae_config *c = &m->vae;
    json_put_text(b, to, "_class_name", "AutoencoderKL");
    json_put_text(b, to, "act_fn", "silu");
    json_t *channels = json_put_array(b, to, "block_out_channels");
    json_t *down = json_put_array(b, to, "down_block_types");
    json_t *up = json_put_array(b, to, "up_block_types");
    for (int i = 0; i < c->n_levels; i++) {
        json_put_int(b, channels, NULL, c->channels[i]);
        json_put_text(b, down, NULL, "DownEncoderBlock2D");
        json_put_text(b, up, NULL, "UpDecoderBlock2D");
    }
    json_put_int(b, to, "in_channels", c->in_channels);
    json_put_int(b, to, "latent_channels", c->latent_channels);
    json_put_int(b, to, "layers_per_block", c->layers_per_block);
    json_put_int(b, to, "norm_num_groups", c->groups);
    json_put_int(b, to, "out_channels", c->out_channels);
    json_put_real(b, to, "scaling_factor", in_digits(c->scaling_factor));
    json_put_int(b, to, "sample_size", m->dit.latent_size * vae_scale(c));
    json_put_bool(b, to, "use_quant_conv", weights_has(&m->vae_weights, "quant_conv.weight"));
    json_put_bool(b, to, "use_post_quant_conv", c->post_quant_conv);
    json_put_bool(b, to, "mid_block_add_attention", c->mid_attention);
}

static void vae_json(json_build *b, const model *m)
{
    json_t *root = begin(b, m, TEXT_VAE);
    if (!m->texts[TEXT_VAE]) put_vae(b, root, m);
}

/* The library and class that read a part; null: the model does not have it. */
static void put_part(json_build *b, json_t *to, const char *part, const char *class_name)
{
    json_t *pair = json_put_array(b, to, part);
    if (class_name) {
        json_put_text(b, pair, NULL, "diffusers");
        json_put_text(b, pair, NULL, class_name);
    } else {
        json_put_null(b, pair, NULL);
        json_put_null(b, pair, NULL);
    }
}

static void index_json(json_build *b, const model *m, const json_build *schedule)
{
    json_t *root = begin(b, m, TEXT_INDEX);
    if (!m->texts[TEXT_INDEX]) json_put_text(b, root, "_class_name", "DiTPipeline");
    put_part(b, root, "scheduler",
             json_string_value(json_object_get(schedule->root, "_class_name")));
    put_part(b, root, "transformer", "DiTTransformer2DModel");
    put_part(b, root, "vae", m->has_vae ? "AutoencoderKL" : NULL);
}

/* ---- one file ---- */

/* Frees the document. */
static status add_note(tensor_note *notes, size_t *n, const char *key, json_build *json)
{
    text value = {0};
    status st = json_build_text(json, &value, JSON_COMPACT | JSON_SORT_KEYS);
    json_build_free(json);
    notes[*n].value = value.data;
    return st == OK ? memory_strdup(&notes[(*n)++].key, key) : st;
}

status convert_to_file(model *m, const char *out, dtype type)
{
    convert_rows rows = {.type = type};
    safetensors_writer w = {0};
    tensor_note notes[4] = {{0}};
    json_build json = {0};
    size_t n = 0;
    status st = OK;
    TRY(convert_dit_rows(&rows, m, NAMING_ORIGINAL));
    TRY(memory_strdup(&notes[n].key, "format"));
    TRY(memory_strdup(&notes[n++].value, "pt"));
    dit_json(&json, m);
    TRY(add_note(notes, &n, NOTE_DIT, &json));
    if (m->texts[TEXT_SCHEDULE] || m->schedule.flow) {
        TRY(schedule_json(&json, m));
        TRY(add_note(notes, &n, NOTE_SCHEDULE, &json));
    }
    if (m->texts[TEXT_INDEX]) {
        begin(&json, m, TEXT_INDEX);
        TRY(add_note(notes, &n, NOTE_INDEX, &json));
    }
    TRY(file_out_open(&w.out, out));
    TRY(write_weights(&w, &rows, notes, n));
    TRY(file_out_commit(&w.out, 1));
done:
    json_build_free(&json);
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

/* A configuration as diffusers writes them; frees the document. */
static status write_json(output *o, int part, const char *name, json_build *json)
{
    file_out *file = &o->files[o->n];
    text all = {0};
    status st = OK;
    TRY(json_build_text(json, &all, JSON_INDENT(2) | JSON_SORT_KEYS));
    TRY(text_append(&all, "\n"));
    TRY(folder_out_file(&o->folder, file, part, name));
    o->n++;
    fputs(all.data, file->stream);
    TRY(file_out_state(file));
    TRY(file_out_finish(file));
done:
    json_build_free(json);
    text_free(&all);
    return st;
}

static status write_tensors(output *o, int part, const convert_rows *rows)
{
    static char format[] = "format", pytorch[] = "pt"; /* which diffusers asks for */
    const tensor_note note = {format, pytorch};
    safetensors_writer w = {0};
    status st = folder_out_file(&o->folder, &w.out, part, weights_name);
    if (st == OK) st = write_weights(&w, rows, &note, 1);
    if (st == OK)
        o->files[o->n++] = w.out;
    else
        safetensors_discard(&w);
    return st;
}

static status write_folder(output *o, model *m, const convert_rows rows[2])
{
    static const char *const names[N_PARTS] = {"transformer", "scheduler", "vae"};
    json_build schedule = {0}, json = {0};
    status st = OK;
    TRY(schedule_json(&schedule, m));
    for (int i = 0; i < (m->has_vae ? N_PARTS : PART_VAE); i++)
        TRY(folder_out_add(&o->folder, names[i]));
    index_json(&json, m, &schedule);
    TRY(write_json(o, -1, "model_index.json", &json));
    dit_json(&json, m);
    TRY(write_json(o, PART_DIT, "config.json", &json));
    TRY(write_json(o, PART_SCHEDULE, "scheduler_config.json", &schedule));
    if (m->has_vae) {
        vae_json(&json, m);
        TRY(write_json(o, PART_VAE, "config.json", &json));
    }
    TRY(write_tensors(o, PART_DIT, &rows[0]));
    if (m->has_vae) TRY(write_tensors(o, PART_VAE, &rows[1]));
done:
    json_build_free(&schedule);
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
