/* The paper's four ways to condition a block on timestep and label (section 3.2, figure 3). This
 * table holds every difference between the designs in sizes, weights and offsets. */
#ifndef DITCL_CHECKPOINT_DESIGN_H
#define DITCL_CHECKPOINT_DESIGN_H

#include <stdbool.h>

typedef enum {
    DESIGN_ADALN_ZERO, /* the published design */
    DESIGN_ADALN,
    DESIGN_CROSS_ATTENTION,
    DESIGN_IN_CONTEXT,
    N_DESIGNS
} conditioning_design;

/* A shift and a scale follow every layer norm; adaLN-Zero adds gates. Together they are a block's
 * modulation. With adaLN a layer computes the modulation from the conditioning vector. Without
 * adaLN the norms are affine, and the modulation is one constant row: shifts are the norms'
 * biases, scales their weights minus 1. */
typedef struct {
    const char *name;             /* suffix of --arch; also in messages */
    int parts;                    /* vectors of a block's modulation, each as wide as the model */
    int attention, mlp, cross;    /* where each one's shift begins, in widths; its scale follows */
    int attention_gate, mlp_gate; /* -1: no gate */
    bool adaln;                   /* in blocks and in the final layer */
    int context;                  /* tokens before the picture's tokens */
} design_facts;

extern const design_facts designs[N_DESIGNS];

#endif
