/* What operators say of themselves, for people. See op.h, ops.h. */
#include "ops/op.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

const char *const arith_names[N_ARITHS] = {"fp32", "bf16x3", "bf16", "fp16"};

void plan_begin(op_plan *p, const char *name, work w, const char *shape, ...)
{
    va_list args;
    *p = (op_plan){.announcing = {.name = name, .done = w}};
    va_start(args, shape);
    vsnprintf(p->announcing.shape, sizeof p->announcing.shape, shape, args);
    va_end(args);
}

void op_stays_fp32(device *d, const char *layer, float largest)
{
    if (d->wide.n++) return;
    text_copy(d->wide.first, sizeof d->wide.first, layer);
    d->wide.largest = largest;
}

/* Behind what is there: "fp32 and fp16 GEMM". */
static void append(char out[OP_RAN], unsigned ran, const char *what)
{
    const char *between = *out ? ", " : "";
    for (int a = 0; a < N_ARITHS; a++) {
        if (!(ran >> a & 1u)) continue;
        size_t used = strlen(out);
        snprintf(out + used, OP_RAN - used, "%s%s", between, arith_names[a]);
        between = " and ";
    }
    size_t used = strlen(out);
    if (ran) snprintf(out + used, OP_RAN - used, " %s", what);
}

void op_ran(char out[OP_RAN], const device *d)
{
    *out = 0;
    if ((d->ran.gemm | d->ran.attention | d->ran.conv) == 1u << ARITH_FP32) {
        snprintf(out, OP_RAN, "fp32");
        return;
    }
    append(out, d->ran.gemm, "GEMM");
    append(out, d->ran.attention, "attention");
    append(out, d->ran.conv, "convolution");
}
