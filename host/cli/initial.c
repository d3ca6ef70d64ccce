/* Initial picture, mask and interpolation. See initial.h. */
#include "cli/initial.h"

#include <string.h>

#include "base/text.h"
#include "files/picture_file.h"

status initial_check(const initial_args *args, drawing_request *q)
{
    const char *alone = args->mask ? "--mask" : q->strength >= 0 ? "--strength" : "--fit";
    if (!args->image && (args->mask || q->strength >= 0 || args->fit)) {
        fail(ERR_USAGE, "%s needs --image", alone);
        fail_hint("--image IN.png names the picture to begin with");
        return ERR_USAGE;
    }
    if (args->mask && !strcmp(args->image, "-") && !strcmp(args->mask, "-"))
        return fail(ERR_USAGE, "--image - and --mask -: standard input is one picture");
    if (args->seed_to && !q->frames)
        return fail(ERR_USAGE, "--seed-to: applies only with --interpolate");
    q->has_seed_to = args->seed_to != NULL;
    if (args->seed_to && !text_to_uint(args->seed_to, &q->seed_to))
        return fail(ERR_USAGE,
                    "--seed-to %.60s: expected an integer from 0 to "
                    "18446744073709551615",
                    args->seed_to);
    if (q->frames && q->per_class > 1)
        return fail(ERR_USAGE, "-n %d: --interpolate says how many pictures there are",
                    q->per_class);
    return OK;
}

static status read_picture(png *p, const initial_args *args, const char *path, int side)
{
    int width, height;
    status st = OK;
    TRY(picture_file_input(&path));
    TRY(picture_file_sizes(&width, &height, path));
    if (!args->fit && (width != side || height != side)) {
        st = fail(ERR_USAGE, "%s: is %d x %d pixels, the model draws %d x %d", path, width, height,
                  side, side);
        fail_hint("--fit scales it and keeps the middle");
        goto done;
    }
    TRY(picture_file_read(p, path));
    if (args->fit) TRY(picture_fit(p, side, side));
done:
    return st;
}

status initial_read(initial_args *args, drawing_request *q, model *m)
{
    int side = m->dit.latent_size * vae_scale(&m->vae);
    status st = OK;
    if (!args->image) return OK;
    TRY(vae_check_encoder(m));
    TRY(read_picture(&args->picture, args, args->image, side));
    if (args->mask) TRY(read_picture(&args->white, args, args->mask, side));
    q->image = &args->picture;
    q->mask = args->mask ? &args->white : NULL;
done:
    return st;
}

void initial_free(initial_args *args)
{
    png_free(&args->picture);
    png_free(&args->white);
    *args = (initial_args){0};
}
