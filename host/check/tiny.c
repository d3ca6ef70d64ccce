/* A tiny network. See tiny.h. */
#include "check/tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/fp16.h"
#include "base/memory.h"
#include "model/vae.h"
#include "sample/pipeline.h"

/* The settings of scripts/oracle_tiny.py. */
enum { LABEL = 1, SEED = 7, CHANNELS = 4, SIDE = 8, PICTURE = 16 };
enum { N_LATENTS = CHANNELS * SIDE * SIDE, N_PICTURE = 3 * PICTURE * PICTURE };
enum { N_EXPECTED = N_LATENTS + N_PICTURE };

/* The largest relative L2 that is allowed, by precision. Guidance multiplies the error of a forward
 * pass by about ten. fp32 was measured at 6e-6; ten times that is allowed. The other precisions are
 * allowed more, in proportion to the errors of their forward passes (auto 7e-6, bf16 5e-3, fp16
 * 5e-4). */
static const double granted[N_PRECISIONS] = {5e-4, 6e-5, 2e-1, 3e-2};

/* Transposes the picture [H*W][3] of the device to [3][H*W]. */
static status decode(device *d, model *m, buf latents, float *out)
{
    vae v = {0};
    buf image;
    float *pixels = NULL;
    status st = OK;
    TRY(memory_alloc(&pixels, N_PICTURE, sizeof *pixels));
    TRY(vae_load(&v, d, m));
    TRY(vae_prepare(&v, SIDE, SIDE));
    TRY(vae_decode(&v, &image, latents, 0));
    TRY(buffer_download(d, image, 0, pixels, N_PICTURE));
    for (int i = 0; i < N_PICTURE; i++) out[i % 3 * (N_PICTURE / 3) + i / 3] = pixels[i];
done:
    free(pixels);
    vae_free(&v);
    return st;
}

static status tiny_draw(device *d, model *m, float *out)
{
    static const int label = LABEL;
    run r = {0};
    status st = OK;
    run_request request = {.labels = &label,
                           .n = 1,
                           .seed = SEED,
                           .steps = "2",
                           .guidance = 4.0,
                           .guided_channels = CHANNELS,
                           .batch = 1};
    TRY(model_sampler(&request.sampler, m));
    TRY(run_open(&r, d, m, &request));
    TRY(run_sample(&r));
    TRY(buffer_download(d, r.latents, 0, out, N_LATENTS));
    TRY(decode(d, m, r.latents, out + N_LATENTS));
done:
    run_close(&r);
    return st;
}

static double relative_l2(const float *found, const float *expected, int n)
{
    double off = 0.0, size = 0.0;
    for (int i = 0; i < n; i++) {
        double e = (double)found[i] - (double)expected[i];
        off += e * e;
        size += (double)expected[i] * (double)expected[i];
    }
    return isfinite(off) ? sqrt(off / size) : INFINITY;
}

static status read_expected(const model *m, float out[N_EXPECTED])
{
    char path[4096];
    file_map map = {0};
    status st = OK;
    TRY(file_join(path, sizeof path, m->path, "expected.bin"));
    TRY(file_map_open(&map, path));
    if (map.size != N_EXPECTED * sizeof *out)
        TRY(fail(ERR_FORMAT, "%s: %zu bytes, expected %zu", path, map.size,
                 N_EXPECTED * sizeof *out));
    for (size_t i = 0; i < N_EXPECTED; i++) {
        const unsigned char *b = map.data + 4 * i;
        uint32_t bits =
            (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        out[i] = float_from_bits(bits);
    }
done:
    file_map_close(&map);
    return st;
}

status tiny_check(device *d, double *error, char wrong[TINY_WRONG], hash128 *bits)
{
    model m = {0};
    float expected[N_EXPECTED], found[N_EXPECTED];
    double most = granted[d->settings.precision];
    status st = OK;
    *wrong = 0;
    TRY(model_open(&m, &(model_request){.name = "tiny", .forced = -1, .need_dit = true}));
    TRY(read_expected(&m, expected));
    TRY(tiny_draw(d, &m, found));
    double latents = relative_l2(found, expected, N_LATENTS);
    double picture = relative_l2(found + N_LATENTS, expected + N_LATENTS, N_PICTURE);
    *error = fmax(latents, picture);
    if (bits) *bits = hash_bytes(found, sizeof found);
    if (latents > most)
        snprintf(wrong, TINY_WRONG, "its forward passes are off by %.1e, at most %.0e is right",
                 latents, most);
    else if (picture > most)
        snprintf(wrong, TINY_WRONG, "its decoder is off by %.1e, at most %.0e is right", picture,
                 most);
done:
    model_close(&m);
    return st;
}
