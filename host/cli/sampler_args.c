/* Arguments of the sampler. See sampler_args.h. */
#include "cli/sampler_args.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

const char *const sampler_args_channels[] = {"3", "all", NULL};

/* LO,HI */
static status read_interval(const char *typed, run_request *out)
{
    char low[40];
    size_t comma = strcspn(typed, ",");
    snprintf(low, sizeof low, "%.*s", (int)comma, typed);
    if (comma >= sizeof low || !typed[comma] || !text_to_double(low, &out->guided_from) ||
        !text_to_double(typed + comma + 1, &out->guided_to) || out->guided_from > out->guided_to)
        return fail(ERR_USAGE, "--guidance-interval %.60s: expected two timesteps, LO,HI", typed);
    out->guided_within = true;
    return OK;
}

status sampler_args_guidance(sampler_args *q, const model *m)
{
    bool is_set = q->guidance != GUIDANCE_UNSET;
    if (!is_set) q->guidance = m->dit.has_null ? 4 : 1;
    if (m->dit.has_null || !run_is_guided(m->arithmetic, q->guidance)) return OK;
    fail(ERR_USAGE, "--cfg %g: %s has no null class to guide away from, as %s says", q->guidance,
         m->path, labels_sources[m->labels_by]);
    fail_hint("--cfg 1 draws without guidance");
    return ERR_USAGE;
}

status sampler_args_request(const sampler_args *q, run_request *request, const model *m)
{
    int channels = m->dit.in_channels;
    sampler_kind sampler = SAMPLER_DDIM; /* the default of --invert */
    status st = OK;
    if (q->sampler >= 0)
        sampler = (sampler_kind)q->sampler;
    else if (!q->invert || m->schedule.flow)
        st = model_sampler(&sampler, m);
    if (st != OK) return st;
    unsigned traits = samplers[sampler].traits;
    if (q->diffusion >= 0 && !(traits & USES_DIFFUSION))
        return fail(ERR_USAGE, "--diffusion: only the %s sampler uses it",
                    SAMPLERS_LISTED(samplers_with(USES_DIFFUSION)));
    if (q->eta != 0 && !(traits & USES_ETA))
        return fail(ERR_USAGE, "--eta: only the %s sampler uses it",
                    SAMPLERS_LISTED(samplers_with(USES_ETA)));
    bool three = q->cfg_channels < 0 ? m->arithmetic == COMPAT_ORIGINAL : q->cfg_channels == 0;
    request->steps = q->steps;
    request->sampler = sampler;
    request->eta = q->eta;
    request->guidance = q->guidance;
    request->guided_channels = three && channels > 3 ? 3 : channels;
    request->invert = q->invert;
    request->diffusion = (diffusion_form)(q->diffusion < 0 ? 0 : q->diffusion);
    return q->interval ? read_interval(q->interval, request) : OK;
}
