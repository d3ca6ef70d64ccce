/* The memory plan: what a dry run counts is what the run takes at its peak, byte for byte, for
 * every small model, in both kernel families, in fp16 and in several batches. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "device.h"
#include "model/paper.h"
#include "sample/memory.h"
#include "suites.h"

#define MODELS DITCL_SOURCE_DIR "/tests/data/models/"

static const struct {
    const char *name, *vae;
    int heads;
} models[] = {{MODELS "plain32", NULL, 0},
              {MODELS "separate48", NULL, 0},
              {MODELS "sit24", NULL, 0},
              {MODELS "original64.safetensors", MODELS "original64-vae.safetensors", 1},
              {MODELS "adaln40.safetensors", MODELS "adaln40-vae", 1},
              {MODELS "context52.safetensors", MODELS "context52-vae", 1},
              {MODELS "cross36.safetensors", MODELS "cross36-vae", 1}};
enum { N_MODELS = sizeof models / sizeof *models, PICTURES = 5 };

/* *peak = what one run takes: it is loaded and, if it is whole, samples and decodes a picture,
 * which allocates nothing. */
static status run_once(uint64_t *peak, device *d, model *m, const run_request *request, bool whole)
{
    int size = m->dit.latent_size;
    run r = {0};
    vae v = {0};
    buf image;
    status st = OK;
    d->peak_bytes = 0;
    TRY(run_open(&r, d, m, request));
    TRY(vae_load(&v, d, m));
    TRY(vae_prepare(&v, size, size));
    if (whole) TRY(run_sample(&r));
    if (whole) TRY(vae_decode(&v, &image, r.latents, 0));
    TRY(device_finish(d));
    *peak = d->peak_bytes;
done:
    vae_free(&v);
    run_close(&r);
    return st;
}

/* A mask, mixed labels, unguided steps and a part of the steps take memory of their own. */
static void add_extras(run_request *q, float *latents, float *mask, const label_mix *mix)
{
    q->image = latents;
    q->mask = mask;
    q->mixes = mix;
    q->n_mixes = 1;
    q->guided_within = true;
    q->guided_to = 0.0;
}

/* A whole run of the one model whose embedders differ; the others are only loaded. */
static status compare(device *d, model *m, int batch, bool extras)
{
    static const int labels[PICTURES] = {0, 1, 0, 1, 1};
    const label_mix mix = {0, 1, 0.5f};
    size_t area = (size_t)m->dit.latent_size * (size_t)m->dit.latent_size;
    float *latents = NULL, *mask = NULL;
    uint64_t counted = 0, taken = 0;
    int chosen;
    run_request q = {.labels = labels,
                     .n = PICTURES,
                     .steps = m->schedule.flow ? "3" : "2",
                     .guidance = 4.0,
                     .sampler = model_any_sampler(m),
                     .batch = batch,
                     .guided_channels = m->dit.in_channels};
    status st = OK;
    TRY(memory_alloc(&latents, area * (size_t)m->dit.in_channels, sizeof *latents));
    TRY(memory_alloc(&mask, area, sizeof *mask));
    if (extras) add_extras(&q, latents, mask, &mix);
    TRY(run_once(&taken, d, m, &q, m->n_embedders > 1));
    TRY(memory_plan(&chosen, d, m, &q));
    q.batch = chosen;
    TRY(memory_of_run(&counted, d, m, &q));
    ck_assert_msg(counted == taken && !d->allocated_bytes,
                  "%s, %s kernels, batch %d: counted %llu bytes, took %llu, kept %llu", m->path,
                  kernel_family_names[d->family], batch, (unsigned long long)counted,
                  (unsigned long long)taken, (unsigned long long)d->allocated_bytes);
done:
    free(latents);
    free(mask);
    return st;
}

static void compare_on(const device_info *info, kernel_family family, precision p, model *m)
{
    const device_settings settings = {.family = family, .precision = p};
    device d;
    if (family == FAMILY_CPU && info->quirk.has[QUIRK_LOOPS_ARE_CUT]) return;
    status st = device_open(&d, info, &settings);
    ck_assert_msg(st == OK, "%s", fail_line());
    for (int batch = 0; batch <= 2 && st == OK; batch++) st = compare(&d, m, batch, batch == 2);
    ck_assert_msg(st == OK, "%s: %s", m->path, fail_line());
    device_close(&d);
}

START_TEST(a_dry_run_counts_what_a_run_takes)
{
    const device_list *devices = wanted_devices();
    for (int i = 0; i < (emulated() ? 1 : N_MODELS); i++) {
        model m;
        const model_request request = {.name = models[i].name,
                                       .vae = models[i].vae,
                                       .heads = models[i].heads,
                                       .forced = -1,
                                       .need_dit = true};
        ck_assert_msg(model_open(&m, &request) == OK, "%s", fail_line());
        for (int d = 0; d < devices->n; d++)
            for (int way = 0; way < 3; way++)
                compare_on(&devices->items[d], way ? FAMILY_GPU : FAMILY_CPU,
                           way == 2 ? PRECISION_FP16 : PRECISION_AUTO, &m);
        model_close(&m);
    }
}
END_TEST

/* A dry run for a device that does not exist counts the same buffers. It calls no driver. */
START_TEST(a_plain_device_needs_no_driver)
{
    static const int label = 0;
    model m;
    ck_assert_int_eq(paper_model(&m, "DiT-S/2", 256), OK);
    for (int family = FAMILY_CPU; family <= FAMILY_GPU; family++) {
        const device plain = device_dry_plain((kernel_family)family);
        run_request q = {.labels = &label,
                         .n = 1,
                         .steps = "50",
                         .guidance = 4.0,
                         .sampler = model_any_sampler(&m),
                         .batch = 1,
                         .guided_channels = m.dit.in_channels};
        uint64_t guided, unguided;
        ck_assert_int_eq(memory_of_run(&guided, &plain, &m, &q), OK);
        q.guidance = 1.0;
        ck_assert_int_eq(memory_of_run(&unguided, &plain, &m, &q), OK);
        ck_assert_uint_gt(guided, unguided);
        ck_assert_uint_gt(unguided, 4 * 33000000); /* its parameters */
    }
    model_close(&m);
}
END_TEST

Suite *suite_memory(void)
{
    Suite *s = suite_create("memory");
    TCase *all = tcase_create("plans");
    tcase_add_test(all, a_dry_run_counts_what_a_run_takes);
    tcase_add_test(all, a_plain_device_needs_no_driver);
    tcase_set_timeout(all, 0);
    suite_add_tcase(s, all);
    return s;
}
