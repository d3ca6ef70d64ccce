/* GEMM by CLBlast, as shipped or with parameters that the tuner found on this device;
 * cl/epilogue.cl follows. */
#include <float.h>
#include <string.h>

#include "device/clblast.h"
#include "ops/gemm.h"
#include "ops/op.h"

/* ---- parameters, by CLBlast's rules (its src/tuning/kernels/xgemm.hpp, xgemm_direct.hpp) ---- */

/* CLBlast's other kernel of this name, GEMMK=1, is wrong where MWG and NWG differ. */
#define TUNABLES(T)                                                                                \
    T(MWG, "rows of a work-group's tile", 16, 32, 64, 128)                                         \
    T(NWG, "columns of a work-group's tile", 16, 32, 64, 128)                                      \
    T(KWG, "depth of a tile", 16, 32)                                                              \
    T(MDIMC, "work-items along the rows", 4, 8, 16, 32)                                            \
    T(NDIMC, "work-items along the columns", 4, 8, 16, 32)                                         \
    T(MDIMA, "work-items along the rows, as they load a", 4, 8, 16, 32)                            \
    T(NDIMB, "work-items along the columns, as they load b", 4, 8, 16, 32)                         \
    T(KWI, "unrolling", 2, 8)                                                                      \
    T(VWM, "floats of a vector along the rows", 1, 2, 4, 8)                                        \
    T(VWN, "floats of a vector along the columns", 1, 2, 4, 8)                                     \
    T(STRM, "whether a work-item's rows lie apart", 0, 1)                                          \
    T(STRN, "whether a work-item's columns lie apart", 0, 1)                                       \
    T(SA, "whether a goes through local memory", 0, 1)                                             \
    T(SB, "whether b goes through local memory", 0, 1)                                             \
    T(GEMMK, "which of its kernels", 0)                                                            \
    T(KREG, "registers along k, of the other kernel", 1)
DECLARE_TUNABLES(TUNABLES);

static const int configs[][CONFIG_VALUES] = {
    {64, 64, 16, 8, 8, 8, 8, 2, 4, 4, 0, 0, 1, 1, 0, 1},
    {128, 64, 16, 16, 8, 16, 8, 2, 4, 4, 0, 0, 1, 1, 0, 1},
    {64, 64, 32, 16, 16, 16, 16, 8, 2, 2, 0, 0, 1, 1, 0, 1},
    {128, 128, 16, 16, 16, 16, 16, 8, 4, 4, 0, 0, 1, 1, 0, 1},
    {64, 64, 32, 8, 8, 8, 8, 2, 8, 8, 0, 0, 0, 0, 0, 1},
    {128, 128, 32, 8, 8, 8, 8, 2, 8, 8, 1, 1, 0, 0, 0, 1},
    {32, 32, 16, 8, 8, 8, 8, 2, 1, 1, 0, 0, 0, 0, 0, 1},
    {16, 16, 16, 4, 4, 4, 4, 2, 1, 1, 0, 0, 0, 0, 0, 1},
};

enum { MOST_SUMS = 128 }; /* sums of a work-item: no device keeps more in registers */

/* What CLBlast's own parameters for GPUs need (its src/database/kernels), for its GEMM and for its
 * kernels that transpose and pad around it: work-groups of 16 x 16, and the local memory that
 * OpenCL 1.2 promises. */
enum { LEAST_GROUP = 256, LEAST_LOCAL = 32768 };

static bool device_fits(const device *d)
{
    return d->info.max_work_group >= LEAST_GROUP && d->info.local_bytes >= LEAST_LOCAL;
}

static bool fits_shipped(const device *d, const int *v, const int *shape)
{
    (void)v, (void)shape;
    return device_fits(d);
}

static bool whole(int a, int b)
{
    return a % b == 0;
}

static bool fits_xgemm(const device *d, const int *v, const int *shape)
{
    int items = v[MDIMC] * v[NDIMC];
    int floats = v[SA] * v[KWG] * v[MWG] + v[SB] * v[KWG] * v[NWG];
    (void)shape;
    return device_fits(d) && whole(v[KWG], v[KWI]) && whole(v[MWG], v[MDIMC] * v[VWM]) &&
           whole(v[NWG], v[NDIMC] * v[VWN]) && whole(v[MWG], v[MDIMA] * v[VWM]) &&
           whole(v[NWG], v[NDIMB] * v[VWN]) && whole(items, v[MDIMA]) && whole(items, v[NDIMB]) &&
           whole(v[KWG], items / v[MDIMA]) && whole(v[KWG], items / v[NDIMB]) &&
           v[MWG] * v[NWG] / items <= MOST_SUMS && (size_t)items <= d->info.max_work_group &&
           (uint64_t)floats * sizeof(float) < d->info.local_bytes; /* drivers use some, too */
}

#define DIRECT_TUNABLES(T)                                                                         \
    T(WGD, "rows and columns of a work-group's tile", 8, 16, 32, 64)                               \
    T(MDIMCD, "work-items along the rows", 8, 16, 32)                                              \
    T(NDIMCD, "work-items along the columns", 8, 16, 32)                                           \
    T(MDIMAD, "work-items along the rows, as they load a", 8, 16, 32)                              \
    T(NDIMBD, "work-items along the columns, as they load b", 8, 16, 32)                           \
    T(KWID, "unrolling", 2, 8, 16)                                                                 \
    T(VWMD, "floats of a vector along the rows", 1, 2, 4, 8)                                       \
    T(VWND, "floats of a vector along the columns", 1, 2, 4, 8)                                    \
    T(PADA, "padding of a in local memory", 0, 1)                                                  \
    T(PADB, "padding of b in local memory", 0, 1)
enum { DIRECT_TUNABLES(TUNABLE_ENUM) N_DIRECT };
static const tunable direct_tunables[] = {DIRECT_TUNABLES(TUNABLE_ROW)};

static const int direct_configs[][CONFIG_VALUES] = {{8, 8, 8, 8, 8, 2, 1, 1, 1, 1},
                                                    {32, 8, 8, 8, 8, 2, 1, 1, 1, 1},
                                                    {32, 16, 8, 16, 8, 2, 2, 4, 1, 1},
                                                    {64, 16, 16, 16, 16, 8, 4, 4, 0, 0}};

static bool fits_direct(const device *d, const int *v, const int *shape)
{
    int items = v[MDIMCD] * v[NDIMCD];
    int floats = v[WGD] * (v[WGD] + v[PADA]) + v[WGD] * (v[WGD] + v[PADB]);
    (void)shape;
    return device_fits(d) && whole(v[WGD], v[KWID]) && whole(v[WGD], v[MDIMCD] * v[VWMD]) &&
           whole(v[WGD], v[NDIMCD] * v[VWND]) && whole(v[WGD], v[MDIMAD] * v[VWMD]) &&
           whole(v[WGD], v[NDIMBD] * v[VWND]) && whole(items, v[MDIMAD]) &&
           whole(items, v[NDIMBD]) && whole(v[WGD], items / v[MDIMAD]) &&
           whole(v[WGD], items / v[NDIMBD]) && (size_t)items <= d->info.max_work_group &&
           (uint64_t)floats * sizeof(float) < d->info.local_bytes; /* drivers use some, too */
}

#define NAME(name, what, ...) #name,
static const char *const names[] = {TUNABLES(NAME)};
static const char *const direct_names[] = {DIRECT_TUNABLES(NAME)};

/* The parameters as CLBlast ships them: there are none to choose. */
static clblast_parameters shipped(const int *config)
{
    (void)config;
    return (clblast_parameters){0};
}

static clblast_parameters xgemm(const int *config)
{
    int tile = config[MWG] > config[NWG] ? config[MWG] : config[NWG];
    return (clblast_parameters){"Xgemm", names, config, N_TUNABLES_HERE, tile};
}

static clblast_parameters direct(const int *config)
{
    return (clblast_parameters){"XgemmDirect", direct_names, config, N_DIRECT, config[WGD]};
}

/* ---- implementations ---- */

/* CLBlast's own parameters are lost once others were used. Without this check, results would
 * depend on the order of GEMMs. */
static bool gemm_clblast_supports(const device *d, const int *shape)
{
    (void)shape;
    return !configuration_used(d, &gemm_clblast_xgemm) &&
           !configuration_used(d, &gemm_clblast_direct);
}

static bool supports_always(const device *d, const int *shape)
{
    (void)shape;
    (void)d;
    return true;
}

static size_t gemm_clblast_packed_count(const device *d, const int *config, int n, int k)
{
    (void)d, (void)config;
    return (size_t)n * (size_t)k;
}

static size_t gemm_clblast_panel(const device *d, const int *config, int n)
{
    (void)d, (void)config;
    return n < 64 ? (size_t)n : 64;
}

/* Copies the rows, since CLBlast reads [n][k]. */
static void gemm_clblast_pack(const device *d, const int *config, void *packed, const float *rows,
                              int first, int count, int n, int k)
{
    (void)d, (void)config, (void)n;
    memcpy((float *)packed + (size_t)first * (size_t)k, rows,
           (size_t)count * (size_t)k * sizeof *rows);
}

static status gemm_clblast_scratch_for(device *d, clblast_parameters p, size_t *count, int m, int n,
                                       int k)
{
    return clblast_scratch(d, &p, count, m, n, k);
}

static status scratch_shipped(device *d, const int *config, size_t *count, int m, int n, int k)
{
    return gemm_clblast_scratch_for(d, shipped(config), count, m, n, k);
}

static status scratch_xgemm(device *d, const int *config, size_t *count, int m, int n, int k)
{
    return gemm_clblast_scratch_for(d, xgemm(config), count, m, n, k);
}

static status scratch_direct(device *d, const int *config, size_t *count, int m, int n, int k)
{
    return gemm_clblast_scratch_for(d, direct(config), count, m, n, k);
}

static status gemm_clblast_plan(device *d, op_plan *p, const gemm_use *u)
{
    return gemm_finish_plan(d, &p->launches[0], u, 1);
}

static status multiply(device *d, clblast_parameters parameters, const op_plan *p,
                       const gemm_call *c)
{
    const int *s = p->shape;
    status st = clblast_sgemm(d, &parameters, c->out, c->a, c->b, s[0], s[1], s[2], c->scratch);
    return st == OK ? gemm_finish(d, &p->launches[0], c, c->out) : st;
}

static status enqueue_shipped(device *d, const op_plan *p, const gemm_call *c)
{
    return multiply(d, shipped(p->choice.config), p, c);
}

static status enqueue_xgemm(device *d, const op_plan *p, const gemm_call *c)
{
    return multiply(d, xgemm(p->choice.config), p, c);
}

static status enqueue_direct(device *d, const op_plan *p, const gemm_call *c)
{
    return multiply(d, direct(p->choice.config), p, c);
}

#define FUNCTIONS(of)                                                                              \
    .gemm = {.packed_count = gemm_clblast_packed_count,                                            \
             .panel = gemm_clblast_panel,                                                          \
             .pack = gemm_clblast_pack,                                                            \
             .scratch = scratch_##of,                                                              \
             .plan = gemm_clblast_plan,                                                            \
             .enqueue = enqueue_##of}

const op_impl gemm_clblast = {.op = "gemm",
                              .name = "clblast",
                              .file = "epilogue.cl",
                              IMPL_NO_TUNABLES,
                              .supports = gemm_clblast_supports,
                              .fits = fits_shipped,
                              .excludes = "clblast_",
                              FUNCTIONS(shipped)};

const op_impl gemm_clblast_xgemm = {.op = "gemm",
                                    .name = "clblast_xgemm",
                                    .file = "epilogue.cl",
                                    IMPL_TUNABLES,
                                    .supports = supports_always,
                                    .fits = fits_xgemm,
                                    FUNCTIONS(xgemm)};

const op_impl gemm_clblast_direct = {.op = "gemm",
                                     .name = "clblast_direct",
                                     .file = "epilogue.cl",
                                     .tunables = direct_tunables,
                                     .n = N_DIRECT,
                                     .configs = direct_configs,
                                     .n_configs = sizeof direct_configs / sizeof *direct_configs,
                                     .supports = supports_always,
                                     .fits = fits_direct,
                                     FUNCTIONS(direct)};
