/* The paper's four ways to condition a block on timestep and label (section 3.2, figure 3). Data
 * alone: what tells the designs apart wherever sizes, weights or offsets are asked for. */
#ifndef DITCL_CHECKPOINT_DESIGN_H
#define DITCL_CHECKPOINT_DESIGN_H

#include <stdbool.h>

typedef enum {
    DESIGN_ADALN_ZERO, /* the published one */
    DESIGN_ADALN,
    DESIGN_CROSS_ATTENTION,
    DESIGN_IN_CONTEXT,
    N_DESIGNS
} conditioning_design;

/* Every layer norm is followed by a shift and a scale, and these by gates in adaLN-Zero: together a
 * block's modulation. With adaLN a layer computes it from the conditioning; without, the norms are
 * affine, and it is one row of biases and weights less 1. */
typedef struct {
    const char *name;             /* as a suffix of --arch, and in messages */
    int parts;                    /* of a block's modulation, each of the model's width */
    int attention, mlp, cross;    /* where their shifts begin, in widths; the scales follow */
    int attention_gate, mlp_gate; /* -1: none */
    bool adaln;                   /* here and in the final layer */
    int context;                  /* tokens before the picture's */
} design_facts;

extern const design_facts designs[N_DESIGNS];

#endif
