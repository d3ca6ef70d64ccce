/* The paper's designs. See design.h. */
#include "checkpoint/design.h"

const design_facts designs[N_DESIGNS] = {
    [DESIGN_ADALN_ZERO] = {"adaLN-Zero", 6, 0, 3, -1, 2, 5, true, 0},
    [DESIGN_ADALN] = {"adaLN", 4, 0, 2, -1, -1, -1, true, 0},
    [DESIGN_CROSS_ATTENTION] = {"cross-attention", 6, 0, 4, 2, -1, -1, false, 0},
    [DESIGN_IN_CONTEXT] = {"in-context", 4, 0, 2, -1, -1, -1, false, 2},
};
