/* The options that say what a single file is. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

const char *const cli_model_types[] = {"dit", "sit", NULL};

status cli_settle_type(model_request *request, const type_choice *choice)
{
    request->flow = choice->type == 1;
    request->path = (flow_path)choice->path;
    request->predicts = flow_predictions[choice->prediction];
    if (!request->flow && (choice->path || choice->prediction))
        return fail(ERR_USAGE, "--path and --prediction: only --model-type sit has them");
    return OK;
}

static void tell(const char *line, size_t n)
{
    fprintf(stderr, "ditcl: ");
    for (size_t i = 0; i < n; i++) {
        bool control = (unsigned char)line[i] < 0x20 || line[i] == 0x7f;
        fputc(control ? '?' : line[i], stderr);
    }
    fputc('\n', stderr);
}

void cli_tell_weights(const model *m, bool quiet)
{
    const char *notes[] = {m->notes, m->dit_weights.taken.note, m->vae_weights.taken.note};
    for (int i = 0; i < 3 && !quiet; i++)
        for (const char *line = notes[i]; line && *line;) {
            size_t n = strcspn(line, "\n");
            tell(line, n);
            line += n + (line[n] == '\n');
        }
}

void cli_tell_vae(const model *m, bool verbose)
{
    if (!verbose || !m->vae_assumed) return;
    fprintf(stderr, "%s: a bare VAE: %d groups and a scaling factor of %g are assumed (a "
                    "config.json beside it says others)\n", m->vae_weights.file.path,
            m->vae.groups, (double)m->vae.scaling_factor);
}
