/* A whole small network on the device: whether two runs agree bit for bit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "report/send.h"
#include "sample/pipeline.h"

/* What a run of the network came to. error: relative L2 distance from stored numbers, or negative
 * if there are none. */
typedef struct {
    const char *name;
    bool same_bits, finite;
    double error;
} network_result;

/* latents [count] of one picture. */
static status draw(device *d, model *m, float *latents, size_t count)
{
    static const int label = 0;
    run r = {0};
    status st = OK;
    TRY(run_open(&r, d, m,
                 &(run_request){.labels = &label, .n = 1, .steps = "2", .guidance = 4.0,
                                .sampler = model_any_sampler(m), .batch = 1,
                                .guided_channels = m->dit.in_channels}));
    TRY(run_sample(&r));
    TRY(buffer_download(d, r.latents, 0, latents, count));
done:
    run_close(&r);
    return st;
}

/* The smallest network that is there: two runs of the model that ships with the program. */
static status run_network(device *d, network_result *result)
{
    model m = {0};
    float *first = NULL, *second = NULL;
    size_t count;
    status st = OK;
    *result = (network_result){.name = "emoji", .finite = true, .error = -1};
    TRY(model_open(&m, &(model_request){.name = result->name, .forced = -1, .need_dit = true}));
    count = (size_t)m.dit.in_channels * (size_t)m.dit.latent_size * (size_t)m.dit.latent_size;
    TRY(memory_alloc(&first, count, sizeof *first));
    TRY(memory_alloc(&second, count, sizeof *second));
    TRY(draw(d, &m, first, count));
    TRY(draw(d, &m, second, count));
    result->same_bits = memcmp(first, second, count * sizeof *first) == 0;
    for (size_t i = 0; i < count; i++) result->finite &= isfinite(first[i]) != 0;
done:
    free(first);
    free(second);
    model_close(&m);
    return st;
}

status report_network(FILE *to, device *d)
{
    network_result result;
    send_during(to, "running a small network");
    status st = run_network(d, &result);
    if (st == ERR_MEMORY) return st;
    if (st != OK) return send_skipped(to, "network", NULL);
    json_build b;
    json_t *all = json_build_begin(&b);
    json_put_text(&b, all, "name", result.name);
    json_put_bool(&b, all, "two_runs_same_bits", result.same_bits);
    json_put_bool(&b, all, "finite", result.finite);
    json_put_real(&b, all, "error", result.error >= 0 ? result.error : NAN);
    return send_value(to, "network", &b);
}
