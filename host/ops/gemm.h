/* Between gemm.c and the implementations of GEMM, one file each. */
#ifndef DITCL_OPS_GEMM_H
#define DITCL_OPS_GEMM_H

#include "cl/layout.clh"
#include "ops/impl.h"

/* The choice of a layer. If the layer is not loaded yet, the choice is for m rows. config null: no
 * choice is left. */
op_choice gemm_choice_of(const device *d, const gemm_weight *w, int m);
/* As gemm_weight_load, for a choice. *largest = the largest weight if the choice rounds to fp16,
 * else 0. */
status gemm_weight_pack(device *d, gemm_weight *w, op_choice use, const gemm_rows *rows,
                        const float *bias, int n, int k, float *largest, const char *what);

/* Makes the image view of loaded weights if their implementation reads one. */
status gemm_weight_view(device *d, gemm_weight *w);

/* ---- GEMMs with tiles in local memory: gemm_tiles.c ---- */

/* Weights are packed for all tiles in one way: in panels of GEMM_PANEL columns, a multiple of every
 * tile's, with the depth padded to a multiple of every KT. */
enum { GEMM_DEPTH = 32, GEMM_TILES_OPTIONS = 140 };

size_t gemm_tiles_panel(const device *d, const int *config, int n);
size_t gemm_tiles_depth(int k); /* padded */
size_t gemm_tiles_count_fp16(const device *d, const int *config, int n, int k);

typedef struct {
    int rows, columns, steps, items;
    int split; /* parts of the depth, each by a work-group of its own */
} gemm_tile;

/* Whether K can be split into t.split parts: none is short. */
bool gemm_tiles_split_fits(gemm_tile t, const int *shape);
/* For the rule of ops/waves.h: the launch. step: the time of a step of the depth. */
waves gemm_tiles_waves(const device *d, gemm_tile t, read_cost c, double step, const int *shape);
/* Floats of the partial sums, to which the epilogue is applied afterwards. */
size_t gemm_tiles_scratch(gemm_tile t, int m, int n, int k);

/* The options of the shape. load: floats of one load from a, if a is fp32 and K is a multiple of
 * them. vector: floats of one vector of results. */
void gemm_tiles_options(char out[GEMM_TILES_OPTIONS], const gemm_use *u, gemm_tile t, int load,
                        int vector);

/* For plan: the launch of a kernel with the arguments of cl/gemm_gpu.cl, and, if K is split, the
 * launch of the epilogue after it. */
status gemm_tiles_plan(device *d, op_plan *p, const gemm_use *u, gemm_tile t);
status gemm_tiles_enqueue(device *d, const op_plan *p, const gemm_call *c);

/* ---- epilogues ---- */

enum { EPILOGUE_OPTIONS = 72 };

/* "-DGELU=0 -DSILU=0 -DGATE=1 -DRESIDUAL=1", and -DWRITES_FACTORS=1 if it does */
void gemm_epilogue_options(char out[EPILOGUE_OPTIONS], unsigned fused);

/* Queues a kernel with an epilogue: these arguments, then the epilogue's, then the fixed ones. */
#define launch_epilogue(d, l, e, ...)                                                              \
    launch_epilogue_args(d, l, e, (const arg[]){__VA_ARGS__},                                      \
                         sizeof((const arg[]){__VA_ARGS__}) / sizeof(arg))
status launch_epilogue_args(device *d, const prepared_launch *l, const epilogue_args *e,
                            const arg *args, size_t n_args);

/* For enqueue: a launch of arguments out, a, b and the epilogue. */
status gemm_enqueue(device *d, const op_plan *p, const gemm_call *c);
/* The same after launches[1], which packs a into the scratch memory. */
status gemm_enqueue_packed(device *d, const op_plan *p, const gemm_call *c);

/* The epilogue by itself, as launch `l`: out = the epilogue of sums [parts][m][n]; one part may be
 * out itself. */
status gemm_finish_plan(device *d, prepared_launch *l, const gemm_use *u, int parts);
status gemm_finish(device *d, const prepared_launch *l, const gemm_call *c, buf sums);

#endif
