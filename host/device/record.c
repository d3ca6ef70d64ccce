/* Records what is queued. See record.h. */
#include "device/record.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "device/opencl.h"

/* A kernel with its arguments; or, if k is null, a GEMM c = a b^T of CLBlast. */
typedef struct recorded_launch {
    kernel *k;
    range global, local;
    arg *args;
    size_t n_args;
    buf c, a, b, scratch;
    int size[3];
    clblast_parameters parameters;
} recorded_launch;

void record_start(record *r, device *d)
{
    *r = (record){0};
    d->recorder = r;
}

status record_stop(record *r, device *d)
{
    d->recorder = NULL;
    return r->failed;
}

void record_free(record *r)
{
    for (size_t i = 0; i < r->n_launches; i++) free(r->launches[i].args);
    free(r->launches);
    free(r->operators);
    *r = (record){0};
}

void record_name(device *d, const char *name)
{
    text_copy(d->announced.name, sizeof d->announced.name, name);
    d->announced.given = true;
    if (d->recorder) d->recorder->next_name = name;
}

static void record_announce(device *d, const char *name, const work *w)
{
    if (!d->announced.given) text_copy(d->announced.name, sizeof d->announced.name, name);
    d->announced.given = false;
    d->announced.flops = w->flops;
    d->announced.bytes = w->bytes;
}

void record_work(device *d, const announcement *a)
{
    record *r = d->recorder;
    record_announce(d, a->name, &a->done);
    if (!r || r->failed != OK) return;
    r->failed = memory_grow(&r->operators, &r->capacity, r->n + 1, sizeof *r->operators);
    if (r->failed != OK) return;
    recorded *o = &r->operators[r->n++];
    *o = (recorded){.done = a->done, .first = r->n_launches};
    if (a->done.executed == 0) o->done.executed = a->done.flops;
    text_copy(o->name, sizeof o->name, r->next_name ? r->next_name : a->name);
    text_copy(o->shape, sizeof o->shape, a->shape);
    r->next_name = NULL;
}

/* Adds a launch to the operator that was announced last. */
static recorded_launch *record_add(record *r)
{
    if (!r || r->failed != OK || r->n == 0) return NULL;
    r->failed =
        memory_grow(&r->launches, &r->launches_capacity, r->n_launches + 1, sizeof *r->launches);
    if (r->failed != OK) return NULL;
    recorded_launch *l = &r->launches[r->n_launches++];
    *l = (recorded_launch){0};
    r->operators[r->n - 1].n++;
    return l;
}

void record_launch(device *d, kernel *k, range global, range local, const arg *args, size_t n_args)
{
    recorded_launch *l = record_add(d->recorder);
    if (!l) return;
    *l = (recorded_launch){.k = k, .global = global, .local = local, .n_args = n_args};
    d->recorder->failed = memory_alloc(&l->args, n_args, sizeof *args);
    if (l->args) memcpy(l->args, args, n_args * sizeof *args);
}

void record_product(device *d, const clblast_parameters *p, buf c, buf a, buf b, const int size[3],
                    buf scratch)
{
    recorded_launch *l = record_add(d->recorder);
    if (!l) return;
    *l = (recorded_launch){.c = c, .a = a, .b = b, .scratch = scratch, .parameters = *p};
    memcpy(l->size, size, sizeof l->size);
}

status record_replay(const record *r, device *d, size_t index)
{
    const recorded *o = &r->operators[index];
    status st = OK;
    record_announce(d, o->name, &o->done);
    for (size_t i = o->first; i < o->first + o->n && st == OK; i++) {
        const recorded_launch *l = &r->launches[i];
        st = l->k ? launch_kernel(d, l->k, l->global, l->local, l->args, l->n_args)
                  : clblast_sgemm(d, &l->parameters, l->c, l->a, l->b, l->size[0], l->size[1],
                                  l->size[2], l->scratch);
    }
    return st;
}

const char *record_kernel(const record *r, const recorded *o, size_t i, const char **options)
{
    const kernel *k = r->launches[o->first + i].k;
    *options = k ? k->options : "";
    return k ? k->name : "clblast";
}

void record_sizes(const record *r, const recorded *o, size_t i, size_t *groups, size_t *items)
{
    const recorded_launch *l = &r->launches[o->first + i];
    *groups = *items = l->k != NULL;
    for (int j = 0; l->k && j < 3; j++) {
        size_t global = l->global.size[j], local = l->local.size[j];
        *items *= local ? local : 1;
        *groups *= global ? ceil_div(global, local ? local : 1) : 1;
    }
}
