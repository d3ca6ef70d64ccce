/* The noise that training added at each timestep; linspace and arange as in numpy and torch. */
#include <math.h>

#include "base/memory.h"
#include "sample/sampler.h"

/* The cumulative alpha product of the cosine schedule at t in 0..1. */
static double cosine_product(double t)
{
    const double pi = 3.14159265358979323846;
    double c = cos((t + 0.008) / 1.008 * pi / 2);
    return c * c;
}

static double cosine_beta(int i, int n)
{
    double beta = 1 - cosine_product((double)(i + 1) / n) / cosine_product((double)i / n);
    return beta < 0.999 ? beta : 0.999;
}

double linspace_double(double first, double last, int n, int i)
{
    if (n > 1 && i == n - 1) return last;
    return n > 1 ? i * ((last - first) / (n - 1)) + first : first;
}

float linspace_float(float first, float last, int n, int i)
{
    if (n == 1) return first;
    float step = (last - first) / (float)(n - 1);
    return i < n / 2 ? first + step * (float)i : last - step * (float)(n - 1 - i);
}

double beta_double(const schedule_config *c, int i)
{
    double root;
    switch (c->betas) {
    case BETAS_SCALED_LINEAR:
        root = linspace_double(sqrt(c->beta_start), sqrt(c->beta_end), c->n_train, i);
        return root * root;
    case BETAS_COSINE: return cosine_beta(i, c->n_train);
    case BETAS_TRAINED: return c->trained_betas[i];
    default: return linspace_double(c->beta_start, c->beta_end, c->n_train, i);
    }
}

static float beta_float(const schedule_config *c, int i)
{
    float root;
    switch (c->betas) {
    case BETAS_SCALED_LINEAR:
        root = linspace_float((float)sqrt(c->beta_start), (float)sqrt(c->beta_end), c->n_train, i);
        return root * root;
    case BETAS_COSINE: return (float)cosine_beta(i, c->n_train);
    case BETAS_TRAINED: return (float)c->trained_betas[i];
    default: return linspace_float((float)c->beta_start, (float)c->beta_end, c->n_train, i);
    }
}

status alpha_products_float(float **out, const schedule_config *c)
{
    double product = 1; /* torch's cumprod of float32 accumulates in double */
    status st = memory_alloc(out, (size_t)c->n_train, sizeof **out);
    for (int i = 0; st == OK && i < c->n_train; i++)
        (*out)[i] = (float)(product *= 1 - beta_float(c, i));
    return st;
}

int trailing_count(int n_train, int n_steps)
{
    return (int)ceil((0 - (double)n_train) / -((double)n_train / n_steps));
}

int trailing_timestep(int n_train, int n_steps, int i)
{
    /* as numpy's arange computes it */
    double first = n_train, difference = (first - first / n_steps) - first;
    return (int)rint(first + i * difference) - 1;
}
