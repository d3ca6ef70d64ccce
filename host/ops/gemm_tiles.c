/* What products that make tiles in local memory (cl/gemm_tiles.clh) share. */
#include <stdio.h>

#include "ops/gemm.h"
#include "ops/op.h"

size_t gemm_tiles_panel(const device *d, const int *config, int n)
{
    (void)d, (void)config, (void)n;
    return GEMM_PANEL;
}

size_t gemm_tiles_depth(int k)
{
    return round_up((size_t)k, GEMM_DEPTH);
}

size_t gemm_tiles_count_fp16(const device *d, const int *config, int n, int k)
{
    (void)d, (void)config;
    return round_up((size_t)n, GEMM_PANEL) * gemm_tiles_depth(k) / 2;
}

enum { LEAST_DEPTH = 128 }; /* of a part */

bool gemm_tiles_split_fits(const device *d, gemm_tile t, const int *shape)
{
    size_t units = d->info.compute_units ? d->info.compute_units : 1;
    size_t tiles =
        ceil_div((size_t)shape[0], (size_t)t.rows) * ceil_div((size_t)shape[1], (size_t)t.columns);
    return t.split == 1 ||
           (shape[2] / t.split >= LEAST_DEPTH && tiles <= units / ((size_t)t.split / 2));
}

/* Those that have any steps. */
static size_t parts_of(gemm_tile t, int k)
{
    size_t depth = (size_t)k, steps = (size_t)t.steps;
    return ceil_div(depth, ceil_div(depth, (size_t)t.split * steps) * steps);
}

size_t gemm_tiles_scratch(gemm_tile t, int m, int n, int k)
{
    return t.split == 1 ? 0 : parts_of(t, k) * (size_t)m * (size_t)n;
}

void gemm_tiles_options(char out[GEMM_TILES_OPTIONS], const gemm_call *c, gemm_tile t, int load,
                        int vector)
{
    char epilogue[EPILOGUE_OPTIONS];
    gemm_epilogue_options(epilogue, t.split > 1 ? &gemm_no_epilogue : c->e);
    snprintf(out, GEMM_TILES_OPTIONS, "-DAV=%d -DTAIL=%d -DWHOLE=%d %s", c->w->k % load ? 1 : load,
             c->w->k % t.steps != 0, c->w->n % vector == 0, epilogue);
}

status gemm_tiles_build(device *d, kernel *k[LAYER_KERNELS], const gemm_call *c, gemm_tile t)
{
    return t.split > 1 ? gemm_finish_build(d, &k[1], c) : OK;
}

/* parts: of the depth, each with m rows of out. */
static status launch_tiles(device *d, kernel *k, buf out, const gemm_call *c,
                           const epilogue_args *args, gemm_tile t, size_t parts)
{
    const gemm_weight *w = c->w;
    return launch(d, k,
                  RANGE(ceil_div((size_t)w->n, (size_t)t.columns) * (size_t)t.items,
                        ceil_div((size_t)c->m, (size_t)t.rows), parts),
                  RANGE((size_t)t.items), ARG(out), ARG(c->a),
                  ARG(w->view.memory ? w->view : w->matrix), EPILOGUE_BUFFERS(*args), ARG(c->m),
                  ARG(w->n), ARG(w->k), ARG((int)gemm_tiles_depth(w->k)), EPILOGUE_SIZES(*args));
}

status gemm_tiles_enqueue(device *d, kernel *const k[LAYER_KERNELS], const gemm_call *c,
                          gemm_tile t)
{
    const epilogue_args none = {.bias = c->w->bias};
    size_t parts = parts_of(t, c->w->k);
    if (t.split == 1) return launch_tiles(d, k[0], c->out, c, &c->args, t, 1);
    status st = launch_tiles(d, k[0], c->scratch, c, &none, t, parts);
    return st == OK ? gemm_finish(d, k[1], c, c->scratch, (int)parts) : st;
}

/* ---- epilogues ---- */

const gemm_epilogue gemm_no_epilogue = {0};

void gemm_epilogue_options(char out[EPILOGUE_OPTIONS], const gemm_epilogue *e)
{
    snprintf(out, EPILOGUE_OPTIONS, "-DACTIVATION=%d -DGATE=%d -DRESIDUAL=%d", (int)e->act,
             e->gate != NULL, e->residual.memory != NULL);
}

status gemm_finish_build(device *d, kernel **k, const gemm_call *c)
{
    char options[EPILOGUE_OPTIONS];
    gemm_epilogue_options(options, c->e);
    return program_get(d, k, "epilogue.cl", "epilogue", "%s", options);
}

status gemm_finish(device *d, kernel *k, const gemm_call *c, buf sums, int parts)
{
    size_t group = (size_t)op_items(d);
    return launch(d, k, RANGE(round_up((size_t)c->w->n, group), (size_t)c->m), RANGE(group),
                  ARG(c->out), ARG(sums), ARG(parts), ARG(c->m), EPILOGUE_BUFFERS(c->args),
                  ARG(c->w->n), EPILOGUE_SIZES(c->args));
}
