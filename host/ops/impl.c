/* The table of implementations, and the dispatcher. See impl.h. */
#include "ops/impl.h"

#include <stdlib.h>
#include <string.h>

#include "ops/first_use.h"
#include "ops/op.h"

#define IN_TABLE(name) &name,
static const op_impl *const of_gemm[] = {GEMM_IMPLS(IN_TABLE) NULL};
static const op_impl *const of_attention[] = {ATTENTION_IMPLS(IN_TABLE) NULL};
static const op_impl *const of_conv[] = {CONV_IMPLS(IN_TABLE) NULL};

const operator operators[] = {
    [OP_GEMM] = {"gemm", 3, "DITCL_GEMM", true, of_gemm},
    [OP_ATTENTION] = {"attention", 4, "DITCL_ATTENTION", false, of_attention},
    [OP_CONV] = {"conv", 4, "DITCL_CONV", false, of_conv},
    {NULL, 0, NULL, false, NULL}};

const operator* operator_find(const char *op)
{
    const operator* o = operators;
    while (o->op && strcmp(o->op, op) != 0) o++;
    return o->op ? o : NULL;
}

const op_impl *impl_find(const operator* o, const char *name)
{
    const op_impl *const *i = o->impls;
    while (*i && strcmp((*i)->name, name) != 0) i++;
    return *i;
}

const int configuration_none[1][CONFIG_VALUES] = {{0}};

bool impl_fits(const op_impl *impl, const device *d, const int *config, const int *shape)
{
    return !impl->fits || impl->fits(d, config, shape);
}

double op_choice_error(op_choice c)
{
    return c.impl->input_error_of ? c.impl->input_error_of(c.config) : c.impl->input_error;
}

bool impl_keeps_fp32(const op_impl *impl)
{
    return op_arith(impl->input_error) == ARITH_FP32;
}

unsigned impl_use(const op_impl *impl, const int *shape, unsigned use)
{
    enum { M, N, K, HEAD_DIM, VECTOR = 8 };
    bool gemm = !strcmp(impl->op, "gemm");
    int in = gemm ? shape[K] : shape[HEAD_DIM], out = gemm ? shape[N] : in; /* one head each */
    if (!(impl->factors & READS_FACTORS) || in % VECTOR) use &= ~(unsigned)READS_FACTORS;
    if (!(impl->factors & WRITES_FACTORS) || out % VECTOR) use &= ~(unsigned)WRITES_FACTORS;
    return use;
}

int operator_impls(const operator* o, const device *d, const int *shape,
                   const op_impl *out[MOST_IMPLS])
{
    int n = 0;
    for (const op_impl *const *i = o->impls; *i; i++)
        if (!d || ((*i)->supports(d, shape) && configuration_for(d, *i, shape))) out[n++] = *i;
    return n;
}

/* ---- the dispatcher ---- */

/* This implementation with its configuration for the shape; config is null if it cannot serve. */
static op_choice choice_of(const device *d, const op_impl *impl, const int *shape)
{
    const int *config = impl->supports(d, shape) ? configuration_for(d, impl, shape) : NULL;
    return (op_choice){impl, config};
}

/* The implementation that the operator's environment variable names. */
static op_choice choose_named(const device *d, const operator* o, const int *shape)
{
    const char *name = getenv(o->variable);
    for (const op_impl *const *i = o->impls; name && *i; i++) {
        if (strcmp((*i)->name, name) != 0) continue;
        op_choice c = choice_of(d, *i, shape);
        if (!c.config && o->forces_family && (*i)->roof == ROOF_FP32)
            c.config = configuration_for(d, *i, shape);
        return c;
    }
    return (op_choice){0};
}

/* The implementation that was stored for the device. */
static op_choice choose_stored(const device *d, const operator* o, const int *shape)
{
    const op_impl *stored = configuration_serving(d, o->op, shape);
    return stored ? choice_of(d, stored, shape) : (op_choice){0};
}

op_choice impl_choose(const device *d, const operator* o, const int *shape, bool exact)
{
    op_choice c = {0};
    if (!exact) c = choose_named(d, o, shape);
    if (!exact && !c.config) c = choose_stored(d, o, shape);
    for (const op_impl *const *i = o->impls; *i && !c.config; i++)
        if (!exact || impl_keeps_fp32(*i)) c = choice_of(d, *i, shape);
    return c;
}

status impl_choose_right(device *d, op_choice *c, const operator* o, const int *shape, unsigned use,
                         bool exact)
{
    bool right = false;
    while (!right) {
        *c = impl_choose(d, o, shape, exact);
        if (!c->config) return first_use_none(d, o->op, shape);
        const first_use what = {o->op, c->impl, c->config, shape, impl_use(c->impl, shape, use)};
        status st = first_use_check(d, &what, &right);
        if (st != OK) return st;
    }
    return OK;
}

const char *impl_serving_name(const device *d, const operator* o, const int *shape)
{
    op_choice c = impl_choose(d, o, shape, false);
    return c.config ? c.impl->name : "none";
}

double impl_serving_error(const device *d, const operator* o, const int *shape)
{
    op_choice c = impl_choose(d, o, shape, false);
    return c.config ? op_choice_error(c) : 0.0;
}
