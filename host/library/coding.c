/* The VAE alone: pictures become latents, and latents pictures. See ditcl.h. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "library/inside.h"
#include "ops/first_use.h"
#include "sample/picture.h"

static status check_use(const ditcl_model *the_model, const ditcl_device *the_device)
{
    if (the_model->of == the_device->of) return library_goes_on(the_model->of);
    return fail(ERR_USAGE, "the model and the device belong to two contexts");
}

ditcl_code ditcl_encode(ditcl_model *the_model, ditcl_device *the_device, const unsigned char *rgb,
                        int width, int height, float *latents)
{
    model *m = &the_model->m;
    const png picture = {width, height, (unsigned char *)(uintptr_t)rgb};
    int scale = vae_scale(&m->vae);
    float *moments = NULL;
    status st = OK;
    library_enter_device(the_device);
    TRY(check_use(the_model, the_device));
    if (width < scale || height < scale || width % scale || height % scale)
        TRY(fail(ERR_USAGE, "the picture is %d x %d pixels, this VAE takes multiples of %d", width,
                 height, scale));
    TRY(vae_check_encoder(m));
    TRY(first_use_finish(&the_device->d));
    size_t area = (size_t)(width / scale) * (size_t)(height / scale);
    TRY(memory_alloc(&moments, 2 * area * (size_t)m->vae.latent_channels, sizeof *moments));
    TRY(picture_encode(moments, &the_device->d, m, &picture));
    vae_sample(latents, moments, NULL, &m->vae, area);
done:
    free(moments);
    return library_leave(the_device->of, st);
}

typedef struct {
    ditcl *of;
    ditcl_pictures *pictures;
    int done;
} decoding;

static status take_picture(void *context, unsigned char *rgb)
{
    decoding *x = context;
    size_t size = (size_t)x->pictures->width * (size_t)x->pictures->height * 3;
    memcpy(x->pictures->rgb + (size_t)x->done++ * size, rgb, size);
    return library_goes_on(x->of);
}

static status decode(decoding *x, device *d, model *m, const float *latents)
{
    const picture_sink sink = {x, take_picture, NULL, NULL};
    int scale = vae_scale(&m->vae), width = x->pictures->width / scale;
    int height = x->pictures->height / scale;
    size_t count =
        (size_t)x->pictures->n * (size_t)m->vae.latent_channels * (size_t)width * (size_t)height;
    vae v = {0};
    buf on_device = {0};
    status st = OK;
    TRY(vae_load(&v, d, m));
    TRY(vae_prepare(&v, height, width));
    TRY(first_use_finish(d));
    TRY(buffer_create(d, &on_device, count, "latents"));
    TRY(buffer_upload(d, on_device, 0, latents, count));
    TRY(picture_decode_all(&sink, &v, on_device, x->pictures->n, m->arithmetic));
done:
    buffer_release(d, &on_device);
    vae_free(&v);
    return st;
}

ditcl_code ditcl_decode(ditcl_model *the_model, ditcl_device *the_device, const float *latents,
                        int n, int width, int height, ditcl_pictures **pictures)
{
    enum { MOST_PICTURES = 1000000, LARGEST = 4096 };
    decoding x = {.of = the_model->of};
    int scale = vae_scale(&the_model->m.vae);
    status st = OK;
    *pictures = NULL;
    library_enter_device(the_device);
    TRY(check_use(the_model, the_device));
    if (n < 1 || n > MOST_PICTURES || width < 1 || width > LARGEST || height < 1 ||
        height > LARGEST)
        TRY(fail(ERR_USAGE, "latents: found %d of %d x %d, expected 1 to %d, of 1 to %d", n, width,
                 height, MOST_PICTURES, LARGEST));
    TRY(library_pictures(&x.pictures, n, width * scale, height * scale, 0));
    TRY(decode(&x, &the_device->d, &the_model->m, latents));
    *pictures = x.pictures;
    x.pictures = NULL;
done:
    ditcl_pictures_free(x.pictures);
    return library_leave(the_device->of, st);
}
