/* Models. See ditcl.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "library/inside.h"
#include "model/vae.h"

static const ditcl_model_options model_defaults = {.size = sizeof model_defaults};

void ditcl_model_options_init(ditcl_model_options *options, size_t size)
{
    library_init(options, size, &model_defaults, sizeof model_defaults);
}

/* *kept = a copy that lives as long as the model, or null. */
static status keep_text(const char **kept, char **copy, const char *given)
{
    status st = given ? memory_strdup(copy, given) : OK;
    *kept = *copy;
    return st;
}

static status read_options(ditcl_model *the_model, const char *name, const ditcl_model_options *o)
{
    static const char *const types[] = {"dit", "sit", NULL};
    model_request *q = &the_model->request;
    int type, path, predicts;
    status st = OK;
    *q = (model_request){.heads = o->heads,
                         .n_classes = o->n_classes,
                         .need_dit = !o->vae_only,
                         .vae_use = VAE_NEEDED};
    TRY(library_word(&q->forced, -1, o->compat, compat_names, "compat"));
    TRY(library_word(&type, 0, o->type, types, "type"));
    TRY(library_word(&path, 0, o->path, flow_path_names, "path"));
    TRY(library_word(&predicts, 0, o->prediction, flow_prediction_names, "prediction"));
    q->flow = type == 1;
    if (!q->flow && (o->path || o->prediction))
        TRY(fail(ERR_USAGE, "path and prediction: apply only to the type sit"));
    q->path = (flow_path)path;
    q->predicts = flow_predictions[predicts];
    TRY(keep_text(&q->name, &the_model->texts[0], name));
    TRY(keep_text(&q->vae, &the_model->texts[1], o->vae));
    TRY(keep_text(&q->weights, &the_model->texts[2], o->weights));
    TRY(keep_text(&q->variant, &the_model->texts[3], o->variant));
done:
    return st;
}

/* Which of several weights are used, and what is assumed. */
static void note_model(const model *m)
{
    const char *notes[] = {m->notes, m->dit_weights.taken.note, m->vae_weights.taken.note};
    char one[TEXT_SHOWN_BYTES];
    for (int i = 0; i < 3; i++)
        for (const char *line = notes[i]; line && *line;) {
            int n = (int)strcspn(line, "\n");
            snprintf(one, sizeof one, "%.*s", n, line);
            library_note(one);
            line += n + (line[n] == '\n');
        }
    if (m->labels_by != LABELS_ASSUMED) return;
    snprintf(one, sizeof one, "%s: the last row of its label table is taken for the null class",
             m->path);
    library_note(one);
}

static void free_model(ditcl_model *the_model)
{
    if (!the_model) return;
    model_close(&the_model->m);
    for (int i = 0; i < 4; i++) free(the_model->texts[i]);
    free(the_model);
}

ditcl_code ditcl_model_open(ditcl *c, ditcl_model **the_model, const char *name,
                            const ditcl_model_options *options)
{
    ditcl_model_options o = model_defaults;
    ditcl_model *new = NULL;
    status st = OK;
    *the_model = NULL;
    library_enter(c);
    if (options) TRY(library_take(&o, sizeof o, options, "ditcl_model_options"));
    if (!name) TRY(fail(ERR_USAGE, "ditcl_model_open: the name is null"));
    TRY(memory_alloc(&new, 1, sizeof *new));
    new->of = c;
    TRY(read_options(new, name, &o));
    file_map_copies(!o.map_files);
    st = model_open(&new->m, &new->request);
    file_map_copies(false);
    if (st != OK) goto done;
    note_model(&new->m);
    c->users++;
    *the_model = new;
    new = NULL;
done:
    free_model(new);
    return library_leave(c, st);
}

void ditcl_model_close(ditcl_model *the_model)
{
    if (!the_model) return;
    ditcl *c = the_model->of;
    free_model(the_model);
    library_release(c);
}

void ditcl_model_info_init(ditcl_model_info *info, size_t size)
{
    const ditcl_model_info defaults = {.size = sizeof defaults};
    library_init(info, size, &defaults, sizeof defaults);
}

ditcl_code ditcl_model_describe(ditcl_model *the_model, ditcl_model_info *info)
{
    const model *m = &the_model->m;
    int side = m->dit.latent_size * vae_scale(&m->vae);
    const ditcl_model_info answer = {.n_classes = m->dit.n_classes,
                                     .has_null_class = m->dit.has_null,
                                     .width = side,
                                     .height = side,
                                     .latent_channels = m->vae.latent_channels,
                                     .latent_scale = vae_scale(&m->vae)};
    library_enter(the_model->of);
    return library_leave(the_model->of,
                         library_give(info, &answer, sizeof answer, "ditcl_model_info"));
}

const char *ditcl_model_class(const ditcl_model *the_model, int i)
{
    const class_names *names = &the_model->m.classes;
    return i >= 0 && i < names->n ? names->names[i] : NULL;
}
