/* Previews of a drawing: the estimates of its run as pictures. See drawing.h. */
#include "sample/drawing.h"

static int rows_of(const drawing *g)
{
    return g->plan.n_rows - g->request.first_step;
}

int drawing_states(const drawing *g)
{
    int most = rows_of(g) + 1;
    return g->q->states < most ? g->q->states : most;
}

static bool wants_preview(const drawing *g, int step, int n_steps)
{
    int every = g->q->preview_every;
    return every && g->to->preview && ((step + 1) % every == 0 || step + 1 == n_steps);
}

/* The state that the estimate of this step is; negative: none. The estimates of equally distant
 * steps, beginning with the first, are all states but the last. */
static int state_at(const drawing *g, int step, int n_steps)
{
    int before = g->q->states && g->to->state ? drawing_states(g) - 1 : 0;
    for (int i = 0; i < before; i++)
        if ((int)((long long)i * n_steps / before) == step) return i;
    return -1;
}

static int count_shown(const drawing *g)
{
    int most = g->n < PREVIEW_MOST ? g->n : PREVIEW_MOST;
    return g->q->preview_every ? most : 1;
}

static bool wants(void *context, int step, int n_steps)
{
    const drawing *g = context;
    return wants_preview(g, step, n_steps) || state_at(g, step, n_steps) >= 0;
}

static status take(void *context, const float *latents, int step, int n_steps)
{
    drawing *g = context;
    preview *p = &g->shown;
    int state = state_at(g, step, n_steps);
    status st = OK;
    if (state >= 0) {
        TRY(preview_decode(p, latents, 1));
        TRY(g->to->state(g->to->context, p->rgb, state));
    }
    if (wants_preview(g, step, n_steps)) {
        int n = count_shown(g);
        TRY(g->q->preview_exact ? preview_decode(p, latents, n) : preview_map(p, latents, n));
        TRY(g->to->preview(g->to->context, p->rgb, n, step + 1, n_steps));
    }
done:
    return st;
}

status drawing_want_previews(drawing *g, device *d, const drawing_listener *to)
{
    const drawing_request *q = g->q;
    g->to = to;
    if (!(q->preview_every && to->preview) && !(q->states && to->state)) return OK;
    g->request.wants_estimate = wants;
    g->request.take_estimate = take;
    g->request.estimate_context = g;
    preview_init(&g->shown, g->m);
    return q->preview_every && !q->preview_exact ? preview_learn(&g->shown, d, g->m) : OK;
}

status drawing_prepare_previews(drawing *g)
{
    if (!g->request.wants_estimate) return OK;
    return preview_prepare(&g->shown, &g->v, count_shown(g));
}
