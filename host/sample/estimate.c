/* Estimates of the finished latents. See estimate.h. */
#include "sample/estimate.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

static size_t area_of(const run *r)
{
    return (size_t)r->m->dit.latent_size * (size_t)r->m->dit.latent_size;
}

status estimate_allocate(run *r)
{
    const dit_config *c = &r->m->dit;
    size_t latents = (size_t)c->in_channels * area_of(r), n = (size_t)r->request.n;
    size_t samples = (size_t)r->batch * (r->guided ? 2 : 1);
    status st = OK;
    if (!r->request.wants_estimate || r->d->dry) return OK;
    TRY(memory_alloc(&r->estimates, n * latents, sizeof *r->estimates));
    TRY(memory_alloc(&r->outputs, samples * (size_t)c->out_channels * area_of(r),
                     sizeof *r->outputs));
done:
    return st;
}

void estimate_ask(run *r, int step)
{
    const run_request *q = &r->request;
    int first = q->first_step;
    r->estimating = r->estimates &&
                    q->wants_estimate(q->estimate_context, step - first, r->plan.n_rows - first);
}

/* The first half of cl/step.cl, on the host: guidance, and x0. x: [C][area], replaced by the
 * estimate. o, and null or u: the conditional and the unconditional output. */
static void estimate_picture(const run *r, int step, float *x, const float *o, const float *u)
{
    const schedule_row *row = &r->plan.rows[step];
    size_t area = area_of(r), values = (size_t)r->m->dit.in_channels * area;
    size_t guided = u ? (size_t)r->request.guided_channels * area : 0;
    float scale = (float)r->request.guidance, clip = row->step.clip;
    for (size_t i = 0; i < values; i++) {
        float output = i < guided ? u[i] + scale * (o[i] - u[i]) : o[i];
        x[i] = row->estimate_x * x[i] + row->estimate_o * output;
        if (clip > 0.0f) x[i] = fminf(fmaxf(x[i], -clip), clip);
    }
}

status estimate_group(run *r, int step, int first, int n, bool guided)
{
    const dit_config *c = &r->m->dit;
    size_t latents = (size_t)c->in_channels * area_of(r);
    size_t outputs = (size_t)c->out_channels * area_of(r), pictures = (size_t)n;
    float *x = r->estimates + (size_t)first * latents;
    status st = OK;
    TRY(buffer_download(r->d, r->latents, (size_t)first * latents, x, pictures * latents));
    TRY(buffer_download(r->d, r->prediction, 0, r->outputs, pictures * outputs * (guided ? 2 : 1)));
    for (size_t i = 0; i < pictures; i++)
        estimate_picture(r, step, x + i * latents, r->outputs + i * outputs,
                         guided ? r->outputs + (pictures + i) * outputs : NULL);
done:
    return st;
}

status estimate_tell(run *r, int step)
{
    const run_request *q = &r->request;
    int first = q->first_step;
    return q->take_estimate(q->estimate_context, r->estimates, step - first,
                            r->plan.n_rows - first);
}

void estimate_release(run *r)
{
    free(r->estimates);
    free(r->outputs);
    r->estimates = r->outputs = NULL;
}
