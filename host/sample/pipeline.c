/* A run. See pipeline.h. */
#include "sample/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sample/estimate.h"
#include "sample/image.h"
#include "sample/memory.h"

/* The most bytes of modulation vectors that are kept at once (the paper's XL/2: 387 MB for 250
 * steps and 2 labels). */
static const double modulation_budget = 256e6;

bool run_is_guided(compat arithmetic, double guidance)
{
    return arithmetic == COMPAT_DIFFUSERS ? guidance > 1.0 : guidance != 1.0;
}

static bool guides(const model *m, const run_request *request)
{
    return m->dit.has_null && run_is_guided(m->arithmetic, request->guidance);
}

run_request run_typical(const model *m)
{
    static const int label = 0;
    return (run_request){.labels = &label,
                         .n = 1,
                         .steps = RUN_TYPICAL_STEPS,
                         .guidance = 4.0,
                         .sampler = model_any_sampler(m),
                         .batch = 1,
                         .guided_channels = m->dit.in_channels};
}

static noise_request noise_of(const run_request *q)
{
    return (noise_request){.source = q->source,
                           .seed = q->seed,
                           .seeds = q->seeds,
                           .picks = q->picks,
                           .n = q->n,
                           .series = q->series};
}

status run_check_source(const model *m, const run_request *request, const schedule *plan)
{
    size_t size = (size_t)m->dit.latent_size, most = 0;
    size_t values = (size_t)m->dit.in_channels * size * size;
    const noise_request noise = noise_of(request);
    if (!request->initial_latents) most = noise_at_once(&noise, values, 1);
    for (int i = 0; i < plan->n_rows && !request->given_noise; i++)
        if (plan->rows[i].draws) most = noise_at_once(&noise, values, guides(m, request) ? 2 : 1);
    return rng_source_check(&request->source, most);
}

status run_schedule(schedule *s, const model *m, const run_request *request)
{
    const schedule_options options = {.arithmetic = m->arithmetic,
                                      .sampler = request->sampler,
                                      .steps = request->steps,
                                      .eta = request->eta,
                                      .invert = request->invert,
                                      .diffusion = request->diffusion,
                                      .learned = m->dit.out_channels == 2 * m->dit.in_channels};
    return schedule_init(s, &m->schedule, &options);
}

bool run_guides_at(const run_request *q, double timestep)
{
    return !q->guided_within || (timestep >= q->guided_from && timestep <= q->guided_to);
}

static bool in_interval(const run *r, int step)
{
    return run_guides_at(&r->request, (double)r->plan.rows[step].timestep);
}

static int count_guided(const run *r)
{
    int count = 0;
    for (int i = r->request.first_step; i < r->plan.n_rows; i++) count += in_interval(r, i);
    return count;
}

/* ---- planning ---- */

static int chunk_rows(const model *m)
{
    double rows = modulation_budget / dit_row_bytes(&m->dit);
    return rows < 1 ? 1 : rows > 65536 ? 65536 : (int)rows;
}

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* out = the distinct values of n labels, in order. Returns their number. */
static int distinct(int *out, const int *labels, int n)
{
    int count = 0;
    if (n == 0) return 0;
    memcpy(out, labels, (size_t)n * sizeof *out);
    qsort(out, (size_t)n, sizeof *out, compare_ints);
    for (int i = 0; i < n; i++)
        if (i == 0 || out[i] != out[count - 1]) out[count++] = out[i];
    return count;
}

static int index_of(const int *sorted, int n, int value)
{
    const int *at = bsearch(&value, sorted, (size_t)n, sizeof *sorted, compare_ints);
    return (int)(at - sorted);
}

static int group_size(const run *r, int group)
{
    int left = r->request.n - group * r->batch;
    return left < r->batch ? left : r->batch;
}

/* The labels of a chunk: all labels of the run or, with by_group, the labels of this group. */
static int group_labels(const run *r, int group, int *out)
{
    if (!r->by_group) {
        memcpy(out, r->classes, (size_t)r->n_classes * sizeof *out);
        return r->n_classes;
    }
    int n = distinct(out, r->request.labels + group * r->batch, group_size(r, group));
    return n;
}

/* The chunk row, relative to the step's first row, of each sample of each batch. */
static status plan_rows(run *r)
{
    int items = r->batch * (r->guided ? 2 : 1), *labels = NULL;
    size_t room = (size_t)(r->n_classes > r->batch ? r->n_classes : r->batch) + 1;
    status st = OK;
    TRY(memory_alloc(&labels, room, sizeof *labels));
    TRY(memory_alloc(&r->host_rows, (size_t)r->n_groups * (size_t)items, sizeof *r->host_rows));
    for (int g = 0; g < r->n_groups; g++) {
        int n = group_labels(r, g, labels), size = group_size(r, g);
        int *rows = r->host_rows + (size_t)g * (size_t)items;
        for (int i = 0; i < size; i++) {
            rows[i] = index_of(labels, n, r->request.labels[g * r->batch + i]);
            if (r->guided) rows[size + i] = n; /* the null class follows the labels */
        }
    }
done:
    free(labels);
    return st;
}

static status plan_chunks(run *r, dit_run *needs)
{
    int null_class = r->guided ? 1 : 0;
    status st = OK;
    TRY(memory_alloc(&r->classes, (size_t)r->request.n, sizeof *r->classes));
    r->n_classes = distinct(r->classes, r->request.labels, r->request.n);
    int most = chunk_rows(r->m), a_step = r->n_classes + null_class;
    r->by_group = a_step > most && r->n_groups > 1;
    if (r->by_group) a_step = r->batch + null_class;
    r->chunk_steps = r->by_group ? 1 : most / a_step;
    if (r->chunk_steps < 1) r->chunk_steps = 1;
    int steps = r->plan.n_rows - r->request.first_step;
    if (r->chunk_steps > steps) r->chunk_steps = steps;
    needs->rows = r->chunk_steps * a_step;
    needs->keep_adaln = r->by_group || r->chunk_steps < steps;
    TRY(memory_alloc(&r->chunk_timesteps, (size_t)needs->rows, sizeof *r->chunk_timesteps));
    TRY(memory_alloc(&r->chunk_labels, (size_t)needs->rows, sizeof *r->chunk_labels));
done:
    return st;
}

/* ---- opening ---- */

static void fill_table(const run *r, float *out)
{
    for (int i = 0; i < r->plan.n_rows; i++, out += STEP_ROW_FLOATS) {
        memcpy(out, &r->plan.rows[i].step, sizeof(step_coefficients));
    }
}

static size_t picture_values(const run *r)
{
    size_t size = (size_t)r->m->dit.latent_size;
    return (size_t)r->m->dit.in_channels * size * size;
}

status run_restart(run *r)
{
    size_t values = picture_values(r) * (size_t)r->request.n;
    /* the first chunk is gone */
    if (r->modulated_from > r->request.first_step) r->modulated_from = r->modulated_to = 0;
    status st = op_fill(r->d, &r->clear_flag, r->flag, 0.0f);
    if (st != OK) return st;
    const float *start = r->request.initial_latents;
    float scale = r->plan.initial_scale;
    float *noise = r->host_noise[0];
    noise_restart(&r->stream);
    r->noise_drawn = false;
    if (start && !r->request.image && (scale == 1.0f || r->request.first_step > 0))
        return buffer_upload(r->d, r->latents, 0, start, values);
    if (!start) noise_draw(&r->stream, noise, 1);
    if (r->request.image) return image_begin(r, start ? start : noise);
    for (size_t i = 0; scale != 1.0f && i < values; i++)
        noise[i] = (start ? start : noise)[i] * scale;
    return buffer_upload(r->d, r->latents, 0, noise, values);
}

/* The plan of the update of a group in a step. */
static op_plan *update_of(run *r, int step, int group)
{
    bool guided = r->guided && in_interval(r, step), learned = r->plan.rows[step].learned;
    return &r->updates[group + 1 == r->n_groups][guided][learned];
}

static status plan_update(run *r, int step, int group)
{
    const dit_config *c = &r->m->dit;
    op_plan *p = update_of(r, step, group);
    bool planned = p->launches[0].k != NULL;
    const step_use use = {.n = group_size(r, group),
                          .channels = c->in_channels,
                          .channels_out = c->out_channels,
                          .size = c->latent_size,
                          .guided = r->guided && in_interval(r, step),
                          .learned = r->plan.rows[step].learned,
                          .kept = r->plan.keeps,
                          .guidance = (float)r->request.guidance,
                          .guided_channels = r->request.guided_channels};
    return planned ? OK : step_plan(r->d, p, &use);
}

static status plan_updates(run *r)
{
    const int groups[2] = {0, r->n_groups - 1};
    status st = fill_plan(r->d, &r->clear_flag, 1);
    for (int step = r->request.first_step; step < r->plan.n_rows; step++)
        for (int i = 0; i < 2 && st == OK; i++) st = plan_update(r, step, groups[i]);
    return st;
}

static status allocate_buffers(run *r)
{
    size_t values, drawn, steps = (size_t)r->plan.n_rows;
    size_t items = (size_t)r->batch * (r->guided ? 2 : 1);
    float *table = NULL;
    status st = OK;
    if (!size_mul(picture_values(r), (size_t)r->request.n, &values) || !size_mul(values, 2, &drawn))
        return fail(ERR_LIMIT, "%d pictures are too many", r->request.n);
    TRY(memory_alloc(&table, steps * STEP_ROW_FLOATS, sizeof *table));
    TRY(buffer_create(r->d, &r->latents, values, "latents"));
    if (r->plan.keeps) TRY(buffer_create(r->d, &r->kept, values, "the tensor that a step keeps"));
    TRY(buffer_create(r->d, &r->noise, values, "noise"));
    TRY(buffer_create(r->d, &r->prediction,
                      items * picture_values(r) / (size_t)r->m->dit.in_channels *
                          (size_t)r->m->dit.out_channels,
                      "predictions"));
    TRY(buffer_create(r->d, &r->table, steps * STEP_ROW_FLOATS, "the sampler's table"));
    TRY(buffer_create(r->d, &r->rows, (size_t)r->n_groups * items, "modulation rows"));
    TRY(buffer_create(r->d, &r->flag, 1, "the flag of finite latents"));
    fill_table(r, table);
    TRY(buffer_upload(r->d, r->table, 0, table, steps * STEP_ROW_FLOATS));
    TRY(buffer_upload(r->d, r->rows, 0, r->host_rows, (size_t)r->n_groups * items));
    TRY(image_allocate(r));
    TRY(estimate_allocate(r));
    if (r->d->dry) goto done; /* a dry run draws nothing */
    TRY(plan_updates(r));
    const noise_request noise = noise_of(&r->request);
    TRY(noise_open(&r->stream, &noise, picture_values(r)));
    for (int i = 0; i < 2; i++)
        TRY(memory_alloc(&r->host_noise[i], drawn, sizeof *r->host_noise[i]));
    TRY(run_restart(r));
done:
    free(table);
    return st;
}

status run_open(run *r, device *d, model *m, const run_request *request)
{
    *r = (run){.d = d, .m = m, .request = *request};
    status st = OK;
    dit_run needs = {0};
    r->guided = guides(m, request);
    TRY(run_schedule(&r->plan, m, request));
    TRY(schedule_begin(&r->plan, request->first_step));
    /* guided means in at least one step */
    r->guided = r->guided && count_guided(r) > 0;
    TRY(dit_check(m));
    if (m->has_vae) TRY(vae_check(m));
    TRY(memory_plan(&r->batch, d, m, request));
    r->n_groups = (request->n + r->batch - 1) / r->batch;
    TRY(plan_chunks(r, &needs));
    TRY(plan_rows(r));
    needs.batch = r->batch * (r->guided ? 2 : 1);
    needs.last_batch = group_size(r, r->n_groups - 1) * (r->guided ? 2 : 1);
    needs.mixes = request->mixes;
    needs.n_mixes = request->n_mixes;
    needs.halves = r->guided && count_guided(r) < r->plan.n_rows - request->first_step;
    TRY(dit_load(&r->network, d, m, &needs));
    TRY(allocate_buffers(r));
    /* one chunk holds the whole run: the adaLN weights are read now, and do not stay on the
     * device */
    if (!needs.keep_adaln) TRY(run_modulate(r));
    TRY(device_finish(d));
done:
    if (st != OK) run_close(r);
    return st;
}

void run_close(run *r)
{
    failure first;
    if (!r->d) return;
    fail_keep(&first);
    /* An upload may still read the noise. If the device is lost, it may do so until the process
     * ends. */
    bool lost = device_finish(r->d) == ERR_LOST;
    fail_put_back(&first);
    dit_free(&r->network);
    image_release(r);
    estimate_release(r);
    schedule_free(&r->plan);
    buf *buffers[] = {&r->latents, &r->kept, &r->prediction, &r->noise,
                      &r->table,   &r->rows, &r->flag};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) buffer_release(r->d, buffers[i]);
    free(r->classes);
    free(r->host_rows);
    free(r->chunk_timesteps);
    free(r->chunk_labels);
    noise_close(&r->stream);
    for (int i = 0; i < 2 && !lost; i++) free(r->host_noise[i]);
    *r = (run){0};
}

/* ---- sampling ---- */

/* Computes the modulation of `steps` steps from `step` on for n labels and, if guided, the null
 * class. */
static status compute_modulation(run *r, int step, int steps, const int *labels, int n)
{
    int rows = 0;
    for (int s = step; s < step + steps; s++) {
        for (int i = 0; i < n; i++, rows++) {
            r->chunk_timesteps[rows] = r->plan.rows[s].timestep;
            r->chunk_labels[rows] = labels[i];
        }
        if (!r->guided) continue;
        r->chunk_timesteps[rows] = r->plan.rows[s].timestep;
        r->chunk_labels[rows++] = r->m->dit.n_classes;
    }
    return dit_modulate(&r->network, rows, r->chunk_timesteps, r->chunk_labels);
}

/* Makes sure that the modulation of this step and group is on the device. *first_row = its first
 * row. */
static status provide_modulation(run *r, int step, int group, int *first_row)
{
    status st = OK;
    if (r->by_group) {
        int n = distinct(r->classes, r->request.labels + group * r->batch, group_size(r, group));
        *first_row = 0;
        return compute_modulation(r, step, 1, r->classes, n);
    }
    if (step >= r->modulated_to) {
        int steps = r->plan.n_rows - step;
        if (steps > r->chunk_steps) steps = r->chunk_steps;
        st = compute_modulation(r, step, steps, r->classes, r->n_classes);
        r->modulated_from = step;
        r->modulated_to = step + steps;
    }
    *first_row = (step - r->modulated_from) * (r->n_classes + (r->guided ? 1 : 0));
    return st;
}

/* Draws the noise that the program of the model's origin would draw in a step. */
static void draw_noise(run *r)
{
    if (!r->noise_drawn) noise_draw(&r->stream, r->host_noise[r->noise_at], r->guided ? 2 : 1);
    r->noise_drawn = true;
}

static bool draws(const run *r, int step)
{
    return step < r->plan.n_rows && r->plan.rows[step].draws && !r->request.given_noise;
}

/* Uploads the noise of the step, drawn or given. */
static status take_noise(run *r, int step)
{
    const run_request *q = &r->request;
    size_t values = picture_values(r) * (size_t)q->n, at = (size_t)step * values;
    bool used = r->plan.rows[step].step.noise != 0.0f;
    if (draws(r, step)) draw_noise(r);
    const float *noise = q->given_noise ? q->given_noise + at : r->host_noise[r->noise_at];
    if (draws(r, step)) {
        r->noise_at = 1 - r->noise_at;
        r->noise_drawn = false;
    }
    if (q->kept_noise && used) memcpy(q->kept_noise + at, noise, values * sizeof *noise);
    /* the device finishes each step before the host writes this buffer again */
    return used ? buffer_upload_later(r->d, r->noise, 0, noise, values) : OK;
}

/* Draws the noise of the next step on the host while the device computes this step. */
static status draw_ahead(run *r, int next)
{
    if (!draws(r, next)) return OK;
    status st = device_flush(r->d);
    if (st == OK) draw_noise(r);
    return st;
}

static status step_group(run *r, int step, int group)
{
    const step_buffers buffers = {.latents = r->latents,
                                  .kept = r->plan.keeps ? r->kept : r->latents,
                                  .model = r->prediction,
                                  .noise = r->noise,
                                  .rows = r->table,
                                  .flag = r->flag};
    bool guided = r->guided && in_interval(r, step);
    int n = group_size(r, group), halves = guided ? 2 : 1, first_row;
    int rows_at = group * r->batch * (r->guided ? 2 : 1), first = group * r->batch;
    status st = provide_modulation(r, step, group, &first_row);
    if (st == OK)
        st = dit_forward(&r->network, r->prediction, r->latents, first, n, n * halves, r->rows,
                         rows_at, first_row);
    if (st == OK && r->estimating) st = estimate_group(r, step, first, n, guided);
    if (st == OK) st = op_step_update(r->d, update_of(r, step, group), &buffers, step, first);
    return st;
}

status run_modulate(run *r)
{
    status st = OK;
    int first_row;
    r->modulated_from = r->modulated_to = 0;
    for (int step = r->request.first_step; step < r->plan.n_rows && st == OK;
         step += r->chunk_steps)
        for (int group = 0; group < (r->by_group ? r->n_groups : 1) && st == OK; group++)
            st = provide_modulation(r, step, group, &first_row);
    return st;
}

status run_step(run *r, int step)
{
    status st = OK;
    int flag = 0;
    estimate_ask(r, step);
    TRY(take_noise(r, step));
    for (int group = 0; group < r->n_groups; group++) TRY(step_group(r, step, group));
    TRY(image_keep(r, step));
    TRY(draw_ahead(r, step + 1));
    TRY(buffer_download(r->d, r->flag, 0, &flag, 1));
    if (flag) {
        st = fail(ERR_DEVICE, "step %d of %d: the latents are no longer finite numbers", step + 1,
                  r->plan.n_rows);
        fail_hint("run ditcl check to see whether this device computes correctly");
    } else if (r->estimating) {
        TRY(estimate_tell(r, step));
    }
done:
    if (st == ERR_LOST) fail_in(st, "step %d of %d", step + 1, r->plan.n_rows);
    return st;
}

status run_sample(run *r)
{
    const run_request *q = &r->request;
    status st = OK;
    int first = q->first_step, n = r->plan.n_rows - first;
    if (q->progress) q->progress(q->progress_context, 0, n);
    for (int i = 0; i < n; i++) {
        if (q->goes_on) TRY(q->goes_on(q->progress_context));
        TRY(run_step(r, first + i));
        if (q->progress) q->progress(q->progress_context, i + 1, n);
    }
    dit_free(&r->network); /* each step has waited for its work */
done:
    return st;
}
