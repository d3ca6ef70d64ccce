/* The operators' part of a device. See choices.h. */
#include "ops/choices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "ops/op.h"

static void free_all(device_slot *slot)
{
    choices *c = (choices *)(void *)slot;
    for (chosen *next; c->newest; c->newest = next) {
        next = c->newest->next;
        free(c->newest);
    }
    if (c->checks && c->checks->close) c->checks->close(c->checks);
    free(c);
}

choices *choices_make(device *d)
{
    choices *c = NULL;
    if (d->slot) return (choices *)(void *)d->slot;
    if (memory_alloc(&c, 1, sizeof *c) != OK) return NULL;
    c->slot.free = free_all;
    d->slot = &c->slot;
    return c;
}

/* ---- for messages ---- */

const char *const arith_names[N_ARITHS] = {"fp32", "bf16x3", "bf16", "fp16"};

void op_stays_fp32(device *d, const char *layer, float largest)
{
    choices *c = choices_make(d);
    if (!c || c->wide.n++) return;
    text_copy(c->wide.first, sizeof c->wide.first, layer);
    c->wide.largest = largest;
}

void op_note_ran(device *d, op_choice use)
{
    choices *c = d->dry ? NULL : choices_make(d);
    if (c) c->ran[operator_find(use.impl->op) - operators] |= 1u << op_arith(op_choice_error(use));
}

/* Appends text such as "fp32 and fp16 GEMM". */
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
    static const char *const names[N_OPERATORS] = {
        [OP_GEMM] = "GEMM", [OP_ATTENTION] = "attention", [OP_CONV] = "convolution"};
    const choices *c = choices_of(d);
    unsigned all = 0;
    *out = 0;
    for (int o = 0; c && o < N_OPERATORS; o++) all |= c->ran[o];
    if (all == 1u << ARITH_FP32) {
        snprintf(out, OP_RAN, "fp32");
        return;
    }
    for (int o = 0; c && o < N_OPERATORS; o++) append(out, c->ran[o], names[o]);
}
