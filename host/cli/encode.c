/* ditcl encode: a picture -> latents, and the error of the decoded latents. */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "files/npy.h"
#include "files/picture_file.h"
#include "ops/first_use.h"
#include "sample/grid.h"
#include "sample/picture.h"
#include "sample/rng.h"

typedef struct {
    const char *words[2]; /* IN.png OUT.npy */
    const char *vae, *rng;
    device_choice on;
    bool fit, sample, quiet, verbose;
    uint64_t seed;
    rng_source source;
} encode_request;

static const char details[] =
    "At the end, unless -q is given, decodes the latents and prints the peak\n"
    "signal-to-noise ratio between the result and the picture, both in 8 bits.\n"
    "\n"
    "Examples:\n"
    "  ditcl encode cat.png cat.npy --vae emoji\n"
    "  ditcl decode emoji --latents cat.npy --out again.png\n";

/* Reads the picture, whose sides must be multiples of the VAE's scale. */
static status read_picture(png *p, const encode_request *q, int scale)
{
    int stored_width, stored_height;
    const char *path = q->words[0];
    status st = picture_file_input(&path);
    if (st == OK) st = picture_file_sizes(&stored_width, &stored_height, path);
    if (st != OK) return st;
    int width = stored_width / scale * scale, height = stored_height / scale * scale;
    bool fits = width == stored_width && height == stored_height;
    if (fits || (q->fit && width && height)) {
        st = picture_file_read(p, path);
        if (st == OK && !fits) picture_crop(p, p->width / scale * scale, p->height / scale * scale);
        return st;
    }
    fail(ERR_USAGE, "%s: is %d x %d pixels, this VAE takes multiples of %d", path, stored_width,
         stored_height, scale);
    if (width && height) fail_hint("--fit keeps the middle %d x %d", width, height);
    return ERR_USAGE;
}

static size_t area_of(const png *p, const vae_config *c)
{
    size_t scale = (size_t)vae_scale(c);
    return (size_t)p->width / scale * ((size_t)p->height / scale);
}

/* *psnr = the peak signal-to-noise ratio between the decoded latents and the picture. */
static status compare(double *psnr, device *d, model *m, const png *p, const float *latents)
{
    int scale = vae_scale(&m->vae), height = p->height / scale, width = p->width / scale;
    size_t count = (size_t)p->width * (size_t)p->height * 3;
    size_t values = (size_t)width * (size_t)height * (size_t)m->vae.latent_channels;
    vae v = {0};
    buf on_device = {0};
    float *pixels = NULL;
    unsigned char *rgb = NULL;
    status st = OK;
    TRY(memory_alloc(&pixels, count, sizeof *pixels));
    TRY(memory_alloc(&rgb, count, 1));
    TRY(vae_load(&v, d, m));
    TRY(vae_prepare(&v, height, width));
    TRY(buffer_create(d, &on_device, values, "latents"));
    TRY(buffer_upload(d, on_device, 0, latents, values));
    TRY(picture_decode(pixels, &v, on_device, 0));
    grid_to_8bit(rgb, pixels, p->height, p->width, ROUND_DIFFUSERS);
    *psnr = picture_psnr(rgb, p->rgb, count);
done:
    buffer_release(d, &on_device);
    vae_free(&v);
    free(pixels);
    free(rgb);
    return st;
}

/* latents = the encoded picture. *psnr = that of the decoded latents, unless -q is given. */
static status encode_on(double *psnr, const encode_request *q, device *d, model *m, const png *p,
                        float *latents)
{
    size_t area = area_of(p, &m->vae), count = area * (size_t)m->vae.latent_channels;
    float *moments = NULL, *noise = NULL;
    rng generator;
    status st = OK;
    TRY(memory_alloc(&moments, 2 * count, sizeof *moments));
    TRY(picture_encode(moments, d, m, p));
    if (q->sample) {
        TRY(memory_alloc(&noise, count, sizeof *noise));
        rng_seed_source(&generator, &q->source, q->seed);
        rng_randn(&generator, noise, count);
    }
    vae_sample(latents, moments, noise, &m->vae, area);
    if (!q->quiet) TRY(compare(psnr, d, m, p, latents));
done:
    free(moments);
    free(noise);
    return st;
}

static status write_latents(const encode_request *q, const float *latents, const png *p,
                            const vae_config *c)
{
    size_t scale = (size_t)vae_scale(c);
    size_t dims[4] = {1, (size_t)c->latent_channels, (size_t)p->height / scale,
                      (size_t)p->width / scale};
    file_out file = {0};
    status st = OK;
    TRY(file_out_open(&file, q->words[1]));
    TRY(npy_write(&file, latents, 4, dims));
    TRY(file_out_finish(&file));
    TRY(file_out_commit(&file, 1));
done:
    file_out_discard(&file);
    return st;
}

/* Checks that options do not exclude each other and that the output may be replaced. */
static status check(encode_request *q)
{
    status st = rng_source_parse(&q->source, q->rng);
    if (st != OK) return st;
    if (!q->sample && (q->seed || q->source.kind != RNG_TORCH_CPU))
        return fail(ERR_USAGE, "--%s: applies only with --sample", q->seed ? "seed" : "rng");
    return output_check_array(q->words[1], q->quiet);
}

static status encode(encode_request *q)
{
    model m = {0};
    device d = {0};
    png p = {0};
    float *latents = NULL;
    double psnr = 0;
    status st = OK;
    q->verbose &= !q->quiet;
    TRY(check(q));
    TRY(model_open(&m, &(model_request){.name = q->vae, .forced = -1}));
    TRY(vae_check_encoder(&m));
    if (!q->quiet) TRY(vae_check(&m));
    TRY(read_picture(&p, q, vae_scale(&m.vae)));
    size_t values = area_of(&p, &m.vae) * (size_t)m.vae.latent_channels;
    if (q->sample) TRY(rng_source_check(&q->source, values));
    cli_note_weights(&m, q->quiet);
    cli_note_vae(&m, q->verbose);
    q->on.verbose = q->verbose;
    q->on.measured = true;
    TRY(cli_open_device(&d, &q->on, q->quiet));
    TRY(first_use_finish(&d));
    TRY(memory_alloc(&latents, values, sizeof *latents));
    TRY(encode_on(&psnr, q, &d, &m, &p, latents));
    cli_note_wide(&d, q->quiet);
    TRY(write_latents(q, latents, &p, &m.vae));
    if (!q->quiet)
        printf("%s: [1,%d,%d,%d]; decoded again: PSNR %.2f dB\n", TEXT_SHOWN(q->words[1]),
               m.vae.latent_channels, p.height / vae_scale(&m.vae), p.width / vae_scale(&m.vae),
               psnr);
done:
    free(latents);
    png_free(&p);
    device_close(&d);
    model_close(&m);
    return st;
}

status cli_encode(int argc, char **argv)
{
    encode_request q = {.rng = "torch-cpu"};
    const option options[] = {
        OPTION_HEADING("Model and input"),
        {"vae", 0, OPTION_TEXT, &q.vae, "PATH", "VAE folder or file, or a model that has a VAE", 0,
         0, NULL},
        {"fit", 0, OPTION_FLAG, &q.fit, NULL,
         "crop the picture to a size that the VAE takes\n"
         "The VAE takes multiples of its scale, such as 8. The middle is kept.",
         0, 0, NULL},
        OPTION_HEADING("Noise"),
        {"sample", 0, OPTION_FLAG, &q.sample, NULL,
         "draw from the latents' distribution [take its mean]", 0, 0, NULL},
        {"seed", 's', OPTION_UINT64, &q.seed, "S", "random seed of --sample [0]", 0, 0, NULL},
        {"rng", 0, OPTION_TEXT, &q.rng, "NAME",
         "generator of --sample, as for ditcl sample [torch-cpu]", 0, 0, NULL},
        OPTION_HEADING("Device"),
        OPTIONS_DEVICE(&q.on),
        OPTION_HEADING("Output"),
        OPTION_QUIET(&q.quiet),
        OPTION_VERBOSE(&q.verbose),
        {0},
    };
    const char *const positional[] = {"IN.png", "OUT.npy", NULL};
    const command c = {.name = "encode",
                       .arguments = "IN.png OUT.npy --vae PATH [--sample] ...",
                       .summary = "Encodes a picture with a VAE. Writes float32 [1,C,h,w] on the "
                                  "sampler's scale, which decode --latents and sample "
                                  "--latents-in read. IN.png may be -, standard input.",
                       .positional = positional,
                       .values = q.words,
                       .details = details,
                       .options = options};
    bool helped;
    status st = options_parse(&c, argc, argv, &helped);
    if (st != OK || helped) return st;
    if (!q.vae) {
        fail(ERR_USAGE, "encode: --vae PATH is missing");
        fail_hint("a VAE's folder or file, or a model such as emoji");
        return ERR_USAGE;
    }
    return encode(&q);
}
