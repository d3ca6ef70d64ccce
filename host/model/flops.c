/* The paper's accounting. See flops.h. */
#include "model/flops.h"

enum { FREQUENCIES = 256 };

uint64_t flops_parameters(const dit_config *c)
{
    const design_facts *f = &designs[c->design];
    uint64_t d = (uint64_t)c->width, p2 = (uint64_t)(c->patch * c->patch);
    uint64_t side = (uint64_t)(c->latent_size / c->patch), tokens = side * side;
    uint64_t patch = d * (uint64_t)c->in_channels * p2 + d;
    uint64_t time = FREQUENCIES * d + d + d * d + d;
    uint64_t labels = (uint64_t)dit_label_rows(c) * d;
    uint64_t norms = (uint64_t)f->parts * d; /* weights and biases, or what adaLN computes */
    uint64_t block = (3 * d * d + 3 * d) + d * d + d       /* attention */
                     + (4 * d * d + 4 * d) + 4 * d * d + d /* MLP */
                     + (f->adaln ? norms * d + norms : norms);
    if (c->design == DESIGN_CROSS_ATTENTION) block += 4 * d * d + 4 * d;
    uint64_t last = (uint64_t)c->out_channels * p2;
    return patch + tokens * d + time + labels + (uint64_t)c->depth * block +
           (f->adaln ? 2 * d * d : 0) + 2 * d + d * last + last;
}

double flops_gflops(const dit_config *c)
{
    const design_facts *f = &designs[c->design];
    double d = c->width, p2 = (double)c->patch * c->patch;
    double side = c->latent_size / c->patch, patches = side * side, tokens = patches + f->context;
    double block = tokens * (3 * d * d + d * d) /* q, k, v and the projection */
                   + 2 * tokens * tokens * d    /* scores and their use */
                   + tokens * 8 * d * d         /* MLP */
                   + 2 * tokens * d;            /* two layer norms */
    if (f->adaln) block += f->parts * d * d;    /* once per picture */
    if (c->design == DESIGN_CROSS_ATTENTION)
        block += tokens * 2 * d * d + 4 * d * d         /* q, projection; k, v of two tokens */
                 + 2 * tokens * 2 * d + tokens * d;     /* scores and their use; the norm */
    double rest = patches * c->in_channels * p2 * d     /* patch embedding */
                  + FREQUENCIES * d + d * d             /* timestep MLP */
                  + (f->adaln ? 2 * d * d : 0)          /* final adaLN */
                  + patches * d * c->out_channels * p2; /* final layer */
    return (c->depth * block + rest) / 1e9;
}
