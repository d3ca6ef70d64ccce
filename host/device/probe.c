/* Launches cl/probe.cl. See probe.h. */
#include "device/probe.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/fp16.h"
#include "base/text.h"
#include "device/buffer.h"
#include "device/launch.h"
#include "device/mma.h"
#include "device/program.h"

enum { ROWS = 16, PAIRS = 16, COLUMNS = 16, TILE = ROWS * PAIRS, VALUES = 16 };

const char probe_pair_options[] = "-DVEC=16 -DBF16 -DVECTOR_ASSEMBLY=1";

const char *probe_tile_options(const device *d)
{
    return d->feature[FEATURE_AVX512_BF16] ? "-DVEC=16 -DTILES -DBF16 -DVECTOR_ASSEMBLY=1"
                                           : "-DVEC=16 -DTILES -DBF16 -DVECTOR_ASSEMBLY=0";
}

/* Numbers to round: ties on both sides, the largest and smallest, and NaN. */
static const float values[VALUES] = {0x1.01p0f,       0x1.03p0f,   -0x1.01p0f,  0x1.0100002p0f,
                                     0x1.00fffep0f,   3.14159274f, -1e-30f,     1e30f,
                                     0x1.fefffep127f, -65504.0f,   0.0f,        INFINITY,
                                     -INFINITY,       0x1p-126f,   1.0f / 3.0f, NAN};

/* The two factors of the GEMM: small integers. */
static int a_value(int i)
{
    return i * 5 % 7 - 3;
}

static int b_value(int i)
{
    return i * 3 % 11 - 5;
}

/* True for the exact results; sums of small integers are exact in every arithmetic. */
static bool as_expected(const float *sums, const uint16_t *rounded)
{
    for (int m = 0; m < ROWS; m++)
        for (int n = 0; n < COLUMNS; n++) {
            int sum = 0;
            for (int k = 0; k < 2 * PAIRS; k++)
                sum += a_value(m * 2 * PAIRS + k) * b_value((k / 2 * COLUMNS + n) * 2 + k % 2);
            if (sums[m * COLUMNS + n] != (float)sum) return false;
        }
    for (int i = 0; i < VALUES; i++)
        if (isnan(values[i]) ? !isnan(bf16_to_float(rounded[i]))
                             : rounded[i] != float_to_bf16(values[i]))
            return false;
    return true;
}

static status run_probe(device *d, bool *is_right, const char *name, const char *options)
{
    status st = OK;
    kernel *k;
    uint16_t a[2 * TILE], b[2 * TILE], rounded[VALUES];
    float sums[ROWS * COLUMNS];
    buf sums_buf = {0}, rounded_buf = {0}, a_buf = {0}, b_buf = {0}, values_buf = {0};
    for (int i = 0; i < 2 * TILE; i++) {
        a[i] = float_to_bf16((float)a_value(i));
        b[i] = float_to_bf16((float)b_value(i));
    }
    TRY(program_get(d, &k, "probe.cl", name, "%s", options));
    TRY(buffer_create(d, &sums_buf, ROWS * COLUMNS, "a probe"));
    TRY(buffer_create(d, &rounded_buf, VALUES / 2, "a probe"));
    TRY(buffer_create(d, &a_buf, TILE, "a probe"));
    TRY(buffer_create(d, &b_buf, TILE, "a probe"));
    TRY(buffer_create(d, &values_buf, VALUES, "a probe"));
    TRY(buffer_upload(d, a_buf, 0, a, TILE));
    TRY(buffer_upload(d, b_buf, 0, b, TILE));
    TRY(buffer_upload(d, values_buf, 0, values, VALUES));
    TRY(launch(d, k, RANGE(1), RANGE(1), ARG(sums_buf), ARG(rounded_buf), ARG(a_buf), ARG(b_buf),
               ARG(values_buf)));
    TRY(buffer_download(d, sums_buf, 0, sums, ROWS * COLUMNS));
    TRY(buffer_download(d, rounded_buf, 0, rounded, VALUES / 2));
    *is_right = as_expected(sums, rounded);
done:
    buffer_release(d, &sums_buf);
    buffer_release(d, &rounded_buf);
    buffer_release(d, &a_buf);
    buffer_release(d, &b_buf);
    buffer_release(d, &values_buf);
    return st;
}

/* True if a probe failed in a way that does not tell whether the feature exists. */
static bool is_inconclusive(status st)
{
    return st == ERR_MEMORY || st == ERR_RESOURCES || st == ERR_LOST;
}

/* Keeps the result for reports. A later try of the feature replaces an earlier one. */
static void keep_result(device *d, feature_id feature, status st, bool is_right)
{
    probe_result *p = &d->probed[feature];
    p->tried = true;
    p->built = st != ERR_BUILD;
    p->right = st == OK && is_right;
    text_copy(p->why, sizeof p->why, st == OK ? is_right ? "" : "wrong results" : fail_line());
}

/* A feature whose kernel does not compile or computes wrong values is absent. */
static status probe_kernel(device *d, feature_id feature, const char *name, const char *options)
{
    bool is_right = false;
    if (!d->feature[feature]) return OK;
    status st = run_probe(d, &is_right, name, options);
    if (is_inconclusive(st)) return st;
    keep_result(d, feature, st, is_right);
    if (st != OK) fail_clear();
    d->feature[feature] = st == OK && is_right;
    return OK;
}

/* ---- sub-groups ---- */

enum { WORK_ITEMS = 64 };

void probe_subgroup_options(char out[PROBE_OPTIONS], const device *d)
{
    bool asks = d->info.quirk.has[QUIRK_SUBGROUPS_NEED_CL2] && d->info.c_version >= 200;
    snprintf(out, PROBE_OPTIONS, "-DSUBGROUPS -DSUBGROUPS_REQUIRED=%d -DSG_SIZE=%d%s",
             d->subgroups.required, d->subgroups.size, asks ? " -cl-std=CL2.0" : "");
}

/* The sub-group size that all work-items reported, if the work-items of a sub-group are neighbours
 * in order; else 0. */
static int reported_size(const int *places, const int *sizes, const float *sums)
{
    int size = sizes[0];
    if (size < 4 || size > WORK_ITEMS || WORK_ITEMS % size != 0) return 0;
    for (int i = 0; i < WORK_ITEMS; i++) {
        int sum = 0, plain = 0, most = a_value(i - i % size);
        for (int u = 0; u < size; u++) {
            int x = a_value(i - i % size + u);
            sum += (u + 1) * x;
            plain += x;
            most = x > most ? x : most;
        }
        sum += 1024 * plain + 65536 * most;
        if (sizes[i] != size || places[i] != i % size || sums[i] != (float)sum) return 0;
    }
    return size;
}

static status run_subgroups(device *d, int *size)
{
    status st = OK;
    kernel *k;
    int places[WORK_ITEMS], sizes[WORK_ITEMS];
    float x[WORK_ITEMS], sums[WORK_ITEMS];
    char options[PROBE_OPTIONS];
    buf b[4] = {0};
    *size = 0;
    for (int i = 0; i < WORK_ITEMS; i++) x[i] = (float)a_value(i);
    probe_subgroup_options(options, d);
    TRY(program_get(d, &k, "probe.cl", "probe_subgroups", "%s", options));
    for (int i = 0; i < 4; i++) TRY(buffer_create(d, &b[i], WORK_ITEMS, "a probe"));
    TRY(buffer_upload(d, b[3], 0, x, WORK_ITEMS));
    TRY(launch(d, k, RANGE(WORK_ITEMS), RANGE(WORK_ITEMS), ARG(b[0]), ARG(b[1]), ARG(b[2]),
               ARG(b[3])));
    TRY(buffer_download(d, b[0], 0, places, WORK_ITEMS));
    TRY(buffer_download(d, b[1], 0, sizes, WORK_ITEMS));
    TRY(buffer_download(d, b[2], 0, sums, WORK_ITEMS));
    *size = reported_size(places, sizes, sums);
done:
    for (int i = 0; i < 4; i++) buffer_release(d, &b[i]);
    return st;
}

/* Takes the first size that compilers accept as required, else the size that they choose. */
static status probe_subgroups(device *d)
{
    static const int wanted[] = {16, 32, 8, 0};
    if (!d->feature[FEATURE_SUBGROUPS]) return OK;
    d->feature[FEATURE_SUBGROUPS] = false;
    if (d->info.max_work_group < WORK_ITEMS) return OK;
    for (int i = 0; i < (int)(sizeof wanted / sizeof *wanted); i++) {
        int size;
        d->subgroups.size = wanted[i];
        d->subgroups.required = wanted[i] > 0;
        status st = run_subgroups(d, &size);
        if (is_inconclusive(st)) return st;
        keep_result(d, FEATURE_SUBGROUPS, st,
                    st == OK && size && (!wanted[i] || size == wanted[i]));
        if (st != OK) fail_clear();
        if (st != OK || !size || (wanted[i] && size != wanted[i])) continue;
        d->subgroups.size = size;
        d->feature[FEATURE_SUBGROUPS] = true;
        return OK;
    }
    d->subgroups.size = 0;
    return OK;
}

/* ---- images ---- */

enum { TEXELS = 67 };

/* out [4 TEXELS]: the texels, of 16 or 8 bytes, hold a_value(0), a_value(1), ... */
static status run_image(device *d, int texel, bool *is_right)
{
    enum { N = 4 * TEXELS };
    status st = OK;
    kernel *k;
    float out[N], x[N];
    uint16_t halves[N];
    size_t count = (size_t)(TEXELS * texel / 4);
    buf in = {0}, image = {0}, out_buf = {0};
    for (int i = 0; i < N; i++) {
        x[i] = (float)a_value(i) / 8;
        halves[i] = float_to_fp16_finite(x[i]);
    }
    TRY(program_get(d, &k, "probe.cl", "probe_image", "-DIMAGES"));
    TRY(buffer_create(d, &in, count, "a probe"));
    TRY(buffer_create(d, &out_buf, N, "a probe"));
    TRY(buffer_view(d, &image, in, texel));
    TRY(buffer_upload(d, in, 0, texel == 16 ? (const void *)x : halves, count));
    TRY(launch(d, k, RANGE(TEXELS), RANGE(1), ARG(out_buf), ARG(image), ARG((int)TEXELS)));
    TRY(buffer_download(d, out_buf, 0, out, N));
    *is_right = true;
    for (int i = 0; i < N; i++) *is_right &= out[i] == x[(TEXELS - 1 - i / 4) * 4 + i % 4];
done:
    buffer_release(d, &image);
    buffer_release(d, &in);
    buffer_release(d, &out_buf);
    return st;
}

static status probe_images(device *d)
{
    bool floats = false, halves = false;
    if (!d->feature[FEATURE_IMAGES]) return OK;
    status st = run_image(d, 16, &floats);
    if (st == OK) st = run_image(d, 8, &halves);
    if (is_inconclusive(st)) return st;
    keep_result(d, FEATURE_IMAGES, st, floats && halves);
    if (st != OK) fail_clear();
    d->feature[FEATURE_IMAGES] = st == OK && floats && halves;
    return OK;
}

/* ---- matrix units ---- */

enum { MMA_STEPS = 2 * MMA_DEPTH, MMA_MOST = 16, LEAST_LOCAL = 8192 };

/* c [m][n] = a [m][MMA_STEPS] x b [n][MMA_STEPS]^T, by two MMAs. */
static status run_mma(device *d, const matrix_unit *u, bool *is_right)
{
    status st = OK;
    kernel *k;
    char options[MMA_OPTIONS];
    float a[MMA_MOST * MMA_STEPS], b[MMA_MOST * MMA_STEPS], c[MMA_MOST * MMA_MOST];
    buf a_buf = {0}, b_buf = {0}, c_buf = {0};
    size_t n_a = (size_t)(u->m * MMA_STEPS), n_b = (size_t)(u->n * MMA_STEPS);
    size_t n_c = (size_t)(u->m * u->n);
    for (size_t i = 0; i < n_a; i++) a[i] = (float)a_value((int)i);
    for (size_t i = 0; i < n_b; i++) b[i] = (float)b_value((int)i);
    mma_options(options, d, u);
    TRY(program_get(d, &k, "probe.cl", "probe_mma", "%s", options));
    TRY(buffer_create(d, &a_buf, n_a, "a probe"));
    TRY(buffer_create(d, &b_buf, n_b, "a probe"));
    TRY(buffer_create(d, &c_buf, n_c, "a probe"));
    TRY(buffer_upload(d, a_buf, 0, a, n_a));
    TRY(buffer_upload(d, b_buf, 0, b, n_b));
    TRY(launch(d, k, RANGE((size_t)u->lanes), RANGE((size_t)u->lanes), ARG(c_buf), ARG(a_buf),
               ARG(b_buf)));
    TRY(buffer_download(d, c_buf, 0, c, n_c));
    *is_right = true;
    for (int i = 0; i < u->m * u->n; i++) {
        int sum = 0;
        for (int l = 0; l < MMA_STEPS; l++)
            sum += a_value(i / u->n * MMA_STEPS + l) * b_value(i % u->n * MMA_STEPS + l);
        *is_right &= c[i] == (float)sum;
    }
done:
    buffer_release(d, &a_buf);
    buffer_release(d, &b_buf);
    buffer_release(d, &c_buf);
    return st;
}

static void note_absent(const device *d, const matrix_unit *u, const char *why)
{
    char line[1200];
    snprintf(line, sizeof line, "matrix units (%s): not used: %s", feature_name(u->feature), why);
    if (d->settings.note) d->settings.note(line);
}

static status probe_mma(device *d, const matrix_unit *u)
{
    /* MMAs read local memory, even in the probe */
    bool fits = d->info.local_bytes >= LEAST_LOCAL && d->info.max_work_group >= (size_t)u->lanes;
    bool is_right = false;
    status st = fits ? run_mma(d, u, &is_right) : OK;
    if (is_inconclusive(st)) return st;
    keep_result(d, u->feature, st, is_right);
    d->feature[u->feature] = st == OK && is_right;
    if (!d->feature[u->feature])
        note_absent(d, u,
                    !fits      ? "the work-groups or the local memory are too small"
                    : st == OK ? "their probe gave wrong products"
                               : fail_line());
    if (st != OK) fail_clear();
    return OK;
}

/* ---- all features ---- */

/* The matrix unit of a feature. */
static const matrix_unit *unit_of(feature_id which)
{
    const matrix_unit *u = matrix_units;
    while (u->option && u->feature != which) u++;
    return u;
}

int probe_list(feature_id out[N_FEATURES], const device *d)
{
    int n = 0;
    bool pairs = d->family == FAMILY_CPU && d->settings.precision != PRECISION_FP32;
    for (int i = 0; i < N_FEATURES; i++) {
        bool used = i == FEATURE_AVX512_BF16 || i == FEATURE_AMX_BF16 ? pairs
                    : i == FEATURE_SUBGROUPS || i == FEATURE_IMAGES
                        ? d->family == FAMILY_GPU
                        : d->family == FAMILY_GPU && mma_serves(d, unit_of((feature_id)i));
        if (used && d->feature[i]) out[n++] = (feature_id)i;
    }
    return n;
}

status probe_feature(device *d, feature_id which)
{
    switch (which) {
    case FEATURE_AVX512_BF16: return probe_kernel(d, which, "probe_pairs", probe_pair_options);
    case FEATURE_AMX_BF16: return probe_kernel(d, which, "probe_tiles", probe_tile_options(d));
    case FEATURE_SUBGROUPS: return probe_subgroups(d);
    case FEATURE_IMAGES: return probe_images(d);
    default: break;
    }
    const matrix_unit *u = unit_of(which);
    return u->option ? probe_mma(d, u) : OK;
}

status probe_features(device *d)
{
    feature_id all[N_FEATURES];
    int n = probe_list(all, d);
    for (int i = 0; i < n; i++) {
        status st = probe_feature(d, all[i]);
        if (st != OK) return st;
    }
    return OK;
}
