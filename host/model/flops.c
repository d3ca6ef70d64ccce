/* The paper's accounting. See flops.h. */
#include "model/flops.h"

enum { FREQUENCIES = 256 };

uint64_t flops_parameters(const dit_config *c)
{
    uint64_t d = (uint64_t)c->width, p2 = (uint64_t)(c->patch * c->patch);
    uint64_t side = (uint64_t)(c->latent_size / c->patch), tokens = side * side;
    uint64_t patch = d * (uint64_t)c->in_channels * p2 + d;
    uint64_t time = FREQUENCIES * d + d + d * d + d;
    uint64_t labels = ((uint64_t)c->n_classes + 1) * d;
    uint64_t block = (6 * d * d + 6 * d)               /* adaLN */
                     + (3 * d * d + 3 * d) + d * d + d /* attention */
                     + (4 * d * d + 4 * d) + 4 * d * d + d;
    uint64_t last = (uint64_t)c->out_channels * p2;
    return patch + tokens * d + time + labels + (uint64_t)c->depth * block +
           (2 * d * d + 2 * d + d * last + last);
}

double flops_gflops(const dit_config *c)
{
    double d = c->width, p2 = (double)c->patch * c->patch;
    double side = c->latent_size / c->patch, tokens = side * side;
    double block = 6 * d * d                          /* adaLN, once per picture */
                   + tokens * (3 * d * d + d * d)     /* q, k, v and the projection */
                   + 2 * tokens * tokens * d          /* scores and their use */
                   + tokens * 8 * d * d               /* MLP */
                   + 2 * tokens * d;                  /* two layer norms */
    double rest = tokens * c->in_channels * p2 * d    /* patch embedding */
                  + FREQUENCIES * d + d * d           /* timestep MLP */
                  + 2 * d * d                         /* final adaLN */
                  + tokens * d * c->out_channels * p2 /* final layer */
                  + tokens * d;                       /* its norm */
    return (c->depth * block + rest) / 1e9;
}
