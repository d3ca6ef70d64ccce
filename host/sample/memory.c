/* The memory of a run. See memory.h. */
#include "sample/memory.h"

/* The most bytes that a batch takes beyond those of one picture, and the most pictures of a
 * batch: larger batches are hardly faster. */
static const double batch_budget = 384e6;
enum { MOST_PICTURES_AT_ONCE = 16 };

status memory_of_run(uint64_t *bytes, const device *like, model *m, const run_request *request)
{
    device d = device_dry(like);
    int size = m->dit.latent_size;
    run r = {0};
    vae v = {0};
    status st = OK;
    TRY(run_open(&r, &d, m, request));
    if (m->has_vae) {
        TRY(vae_load(&v, &d, m));
        TRY(vae_prepare(&v, size, size));
    }
    *bytes = d.peak_bytes;
done:
    vae_free(&v);
    run_close(&r);
    return st;
}

static status memory_of_batch(uint64_t *bytes, const device *d, model *m,
                              const run_request *request, int batch)
{
    run_request with = *request;
    with.batch = batch;
    return memory_of_run(bytes, d, m, &with);
}

/* *batch = the most pictures whose memory beyond `least`, that of one picture, is within the
 * budget, or fewer if batches are then of equal size. One picture fits. */
static status choose_batch(int *batch, uint64_t least, const device *d, model *m,
                           const run_request *request)
{
    double have = (double)d->info.memory_bytes;
    double budget = have / 8 < batch_budget ? have / 8 : batch_budget;
    int most = request->n < MOST_PICTURES_AT_ONCE ? request->n : MOST_PICTURES_AT_ONCE;
    for (; most > 1; most--) {
        uint64_t bytes;
        status st = memory_of_batch(&bytes, d, m, request, most);
        if (st != OK && st != ERR_LIMIT) return st;
        double more = (double)bytes - (double)least; /* negative if other kernels serve the batch */
        if (st == OK && (double)bytes <= have && more <= budget) break;
        fail_clear();
    }
    int groups = (request->n + most - 1) / most;
    *batch = (request->n + groups - 1) / groups; /* batches of equal size waste least */
    return OK;
}

static status fail_too_large(uint64_t need, const device *d)
{
    fail(ERR_LIMIT, "the run needs about %.0f MB, device %d (%s) has %.0f MB%s", (double)need / 1e6,
         d->info.index, d->info.name, (double)d->info.memory_bytes / 1e6,
         d->info.limited ? " under this process's limits (ulimit -v or -d)" : "");
    fail_hint("try fewer pictures at once (--batch 1), a smaller model, or another device");
    return ERR_LIMIT;
}

status memory_plan(int *batch, const device *d, model *m, const run_request *request)
{
    device whole = device_dry(d);
    uint64_t need;
    status st = OK;
    *batch = request->batch < 1 ? 1 : request->batch < request->n ? request->batch : request->n;
    if (d->dry) return OK;
    dit_count_embedders(m);                  /* reads their values, which a dry run does not */
    whole.info.max_alloc_bytes = UINT64_MAX; /* so that the message is about the whole run */
    TRY(memory_of_batch(&need, &whole, m, request, *batch));
    if (need > d->info.memory_bytes) return fail_too_large(need, d);
    if (request->batch < 1) TRY(choose_batch(batch, need, d, m, request));
done:
    return st;
}
