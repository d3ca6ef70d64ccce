/* Options for the type of a single file, and notes about models. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"

const char *const cli_model_types[] = {"dit", "sit", NULL};

status cli_apply_type(model_request *request, const type_choice *choice)
{
    request->flow = choice->type == 1;
    request->path = (flow_path)choice->path;
    request->predicts = flow_predictions[choice->prediction];
    if (!request->flow && (choice->path || choice->prediction))
        return fail(ERR_USAGE, "--path and --prediction: apply only with --model-type sit");
    return OK;
}

void cli_note_weights(const model *m, bool quiet)
{
    const char *notes[] = {m->notes, m->dit_weights.taken.note, m->vae_weights.taken.note};
    for (int i = 0; i < 3 && !quiet; i++)
        for (const char *line = notes[i]; line && *line;) {
            char one[TEXT_SHOWN_BYTES];
            int n = (int)strcspn(line, "\n");
            snprintf(one, sizeof one, "%.*s", n, line);
            fprintf(stderr, "ditcl: %s\n", text_printable(one, sizeof one, one));
            line += n + (line[n] == '\n');
        }
}

void cli_note_labels(const model *m, bool quiet)
{
    if (quiet || m->labels_by != LABELS_ASSUMED) return;
    fprintf(stderr,
            "%s: the last row of its label table is taken for the null class "
            "(--num-classes %d: it is a class)\n",
            TEXT_SHOWN(m->path), m->dit.n_classes + 1);
}

static bool is_copied(const tensor_file *file)
{
    for (size_t i = 0; i < file->n_maps; i++)
        if (file->maps[i].copy) return true;
    return false;
}

void cli_note_vae(const model *m, bool verbose)
{
    if (!verbose) return;
    if (is_copied(&m->dit_weights.file) || is_copied(&m->vae_weights.file))
        fprintf(stderr, "weights are read into memory: their file system maps no files\n");
    if (!m->vae_assumed) return;
    fprintf(stderr,
            "%s: a bare VAE: %d groups and a scaling factor of %g are assumed (a "
            "config.json beside it says others)\n",
            TEXT_SHOWN(m->vae_weights.file.path), m->vae.groups, (double)m->vae.scaling_factor);
}
