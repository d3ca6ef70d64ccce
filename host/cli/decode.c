/* ditcl decode: latents -> pictures, or the output of the decoder before rounding. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "files/npy.h"
#include "model/vae.h"
#include "ops/first_use.h"
#include "sample/grid.h"
#include "sample/picture.h"

typedef struct {
    const char *model, *vae, *latents, *out;
    device_choice on;
    int compat; /* -1: not on the command line */
    bool quiet, verbose;
} decode_request;

typedef struct {
    const decode_request *q;
    vae v;
    npy latents;
    int n, width, height;
    buf on_device;
} decoding;

static bool is_npy(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && text_equal_nocase(path + n - 4, ".npy");
}

static status check_latents(const npy *a, const char *path, const void *context)
{
    enum { LARGEST = 4096 };
    int channels = *(const int *)context;
    if (a->n_dims == 4 && a->dims[0] >= 1 && a->dims[0] <= 1000000 &&
        a->dims[1] == (size_t)channels && a->dims[2] >= 1 && a->dims[2] <= LARGEST &&
        a->dims[3] >= 1 && a->dims[3] <= LARGEST)
        return OK;
    char found[256];
    text_shape(found, sizeof found, a->dims, a->n_dims);
    return fail(ERR_FORMAT, "%s: has shape %s, expected [n,%d,h,w]", path, found, channels);
}

static status write_raw(decoding *x)
{
    size_t count = (size_t)x->width * (size_t)x->height * 3;
    size_t dims[4] = {(size_t)x->n, 3, (size_t)x->height, (size_t)x->width};
    float *all = NULL, *pixels = NULL;
    file_out file = {0};
    progress bar = {0};
    status st = OK;
    progress_start(&bar, "decoding", x->q->quiet);
    TRY(file_out_open(&file, x->q->out));
    TRY(memory_alloc(&all, (size_t)x->n * count, sizeof *all));
    TRY(memory_alloc(&pixels, count, sizeof *pixels));
    for (int i = 0; i < x->n; i++) {
        progress_update(&bar, i, x->n);
        TRY(picture_decode(pixels, &x->v, x->on_device, i));
        grid_planes(all + (size_t)i * count, pixels, x->height, x->width);
    }
    TRY(npy_write(&file, all, 4, dims));
    TRY(file_out_finish(&file));
    TRY(file_out_commit(&file, 1));
done:
    progress_end(&bar);
    file_out_discard(&file);
    free(all);
    free(pixels);
    return st;
}

static status add_picture(void *context, unsigned char *rgb)
{
    return output_add(context, rgb);
}

static status write_pictures(decoding *x, output *o, compat arithmetic)
{
    progress bar = {0};
    const picture_sink sink = {o, add_picture, &bar, progress_update};
    progress_start(&bar, "decoding", x->q->quiet);
    status st = picture_decode_all(&sink, &x->v, x->on_device, x->n, arithmetic);
    progress_end(&bar);
    return st;
}

/* Loads the VAE and the latents to the device. */
static status prepare(decoding *x, device *d, model *m)
{
    const npy *a = &x->latents;
    status st = OK;
    x->n = (int)a->dims[0];
    TRY(vae_load(&x->v, d, m));
    if (x->v.unknown && !x->q->quiet)
        cli_warn("%s: unknown tensor %s is ignored", m->vae_weights.file.path, x->v.unknown);
    TRY(vae_prepare(&x->v, (int)a->dims[2], (int)a->dims[3]));
    TRY(first_use_finish(d));
    x->height = (int)a->dims[2] * vae_scale(&m->vae);
    x->width = (int)a->dims[3] * vae_scale(&m->vae);
    TRY(buffer_create(d, &x->on_device, a->count, "latents"));
    TRY(buffer_upload(d, x->on_device, 0, a->data, a->count));
done:
    return st;
}

static status decode(decode_request *q)
{
    model m = {0};
    device d = {0};
    output o = {0};
    decoding x = {.q = q};
    status st = OK;
    q->verbose &= !q->quiet;
    if (is_npy(q->out) && q->compat >= 0)
        TRY(fail(ERR_USAGE, "--compat: applies only to pictures; %.200s gets the decoder's values",
                 q->out));
    TRY(model_open(&m, &(model_request){.name = q->model, .vae = q->vae, .forced = -1}));
    TRY(npy_read_judged(&x.latents, q->latents, check_latents, &m.vae.latent_channels));
    if (is_npy(q->out))
        TRY(output_check_one(q->out, q->quiet));
    else
        TRY(output_open(&o, q->out, (int)x.latents.dims[0], 1,
                        (int)x.latents.dims[3] * vae_scale(&m.vae),
                        (int)x.latents.dims[2] * vae_scale(&m.vae)));
    TRY(output_check(&o, q->quiet));
    cli_note_weights(&m, q->quiet);
    cli_note_vae(&m, q->verbose);
    q->on.verbose = q->verbose;
    q->on.measured = true;
    TRY(cli_open_device(&d, &q->on, q->quiet));
    TRY(prepare(&x, &d, &m));
    cli_note_wide(&d, q->quiet);
    if (q->verbose)
        fprintf(stderr, "loaded: %d pictures of %d x %d, %.0f MB on the device\n", x.n, x.width,
                x.height, (double)d.allocated_bytes / 1e6);
    if (is_npy(q->out)) {
        TRY(write_raw(&x));
    } else {
        compat arithmetic = q->compat < 0 ? COMPAT_DIFFUSERS : (compat)q->compat;
        TRY(write_pictures(&x, &o, arithmetic));
        TRY(output_commit(&o, q->quiet));
    }
done:
    output_close(&o);
    buffer_release(&d, &x.on_device);
    vae_free(&x.v);
    npy_free(&x.latents);
    device_close(&d);
    model_close(&m);
    return st;
}

status cli_decode(int argc, char **argv)
{
    decode_request q = {.out = "ditcl.png", .compat = -1};
    const option options[] = {
        OPTION_HEADING("Model and input"),
        {"latents", 0, OPTION_TEXT, &q.latents, "F.npy",
         "latents to decode, float32 [n,C,h,w]\n"
         "They have the sampler's scale, as sample --latents-out writes them.",
         0, 0, NULL},
        {"compat", 0, OPTION_CHOICE, &q.compat, "NAME",
         "round as original or diffusers [diffusers]\n"
         "The two programs round to 8 bits in different ways.",
         0, 0, compat_names},
        {"vae", 0, OPTION_TEXT, &q.vae, "PATH", "another VAE: a folder or a file", 0, 0, NULL},
        OPTION_HEADING("Device"),
        OPTIONS_DEVICE(&q.on),
        OPTION_HEADING("Output"),
        {"out", 'o', OPTION_TEXT, &q.out, "PATH",
         "pictures, as sample --out, or a .npy file [ditcl.png]\n"
         "A .npy file receives the output of the decoder before rounding, float32 [n,3,H,W].",
         0, 0, NULL},
        OPTION_QUIET(&q.quiet),
        OPTION_VERBOSE(&q.verbose),
        {0},
    };
    const char *const positional[] = {"MODEL", NULL};
    const command c = {.name = "decode",
                       .arguments = "MODEL --latents F.npy [--out PATH]",
                       .summary = "Decodes latents with the VAE of a model. MODEL: as for sample, "
                                  "or a VAE folder or file.",
                       .positional = positional,
                       .values = &q.model,
                       .details = "Example:\n"
                                  "  ditcl decode emoji --latents cat.npy --out cat.png\n",
                       .options = options};
    bool helped;
    status st = options_parse(&c, argc, argv, &helped);
    if (st != OK || helped) return st;
    if (!q.latents) return fail(ERR_USAGE, "decode: --latents F.npy is missing");
    return decode(&q);
}
