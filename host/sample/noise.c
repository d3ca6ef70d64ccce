/* The noise of a run's pictures. See noise.h. */
#include "sample/noise.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static size_t generators_of(const noise_request *q)
{
    return q->seeds ? (size_t)q->n : 1;
}

size_t noise_at_once(const noise_request *q, size_t values, int halves)
{
    size_t pictures = q->seeds ? 1 : q->picks ? (size_t)q->series : (size_t)q->n;
    return pictures * values * (size_t)halves;
}

status noise_open(noise_stream *s, const noise_request *request, size_t values)
{
    *s = (noise_stream){.request = *request, .values = values};
    size_t most;
    status st = OK;
    if (request->picks && !size_mul((size_t)request->series, 2 * values, &most))
        return fail(ERR_LIMIT, "a series of %d pictures is too long", request->series);
    TRY(memory_alloc(&s->generators, generators_of(request), sizeof *s->generators));
    if (request->seeds || request->picks)
        TRY(memory_alloc(&s->drawn, noise_at_once(request, values, 2), sizeof *s->drawn));
    noise_restart(s);
done:
    if (st != OK) noise_close(s);
    return st;
}

void noise_restart(noise_stream *s)
{
    const noise_request *q = &s->request;
    for (size_t i = 0; i < generators_of(q); i++)
        rng_seed_source(&s->generators[i], &q->source, q->seeds ? q->seeds[i] : q->seed);
}

void noise_draw(noise_stream *s, float *out, int halves)
{
    const noise_request *q = &s->request;
    size_t bytes = s->values * sizeof *out, at_once = noise_at_once(q, s->values, halves);
    if (!q->seeds) rng_randn(&s->generators[0], q->picks ? s->drawn : out, at_once);
    for (size_t i = 0; s->drawn && i < (size_t)q->n; i++) {
        if (q->seeds) rng_randn(&s->generators[i], s->drawn, at_once);
        size_t from = q->seeds ? 0 : (size_t)q->picks[i];
        memcpy(out + i * s->values, s->drawn + from * s->values, bytes);
    }
}

void noise_close(noise_stream *s)
{
    free(s->generators);
    free(s->drawn);
    *s = (noise_stream){0};
}
