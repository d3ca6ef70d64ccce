/* Pictures in memory. See ditcl.h. */
#include <stdlib.h>

#include "base/memory.h"
#include "library/inside.h"

status library_pictures(ditcl_pictures **out, int n, int width, int height, size_t latent_values)
{
    size_t size = (size_t)width * (size_t)height * 3;
    ditcl_pictures *new = NULL;
    status st = OK;
    *out = NULL;
    TRY(memory_alloc(&new, 1, sizeof *new));
    *new =
        (ditcl_pictures){.n = n, .width = width, .height = height, .latent_values = latent_values};
    TRY(memory_alloc(&new->rgb, (size_t)n, size));
    if (latent_values)
        TRY(memory_alloc(&new->latents, (size_t)n, latent_values * sizeof *new->latents));
    *out = new;
    new = NULL;
done:
    ditcl_pictures_free(new);
    return st;
}

void ditcl_pictures_free(ditcl_pictures *pictures)
{
    if (!pictures) return;
    free(pictures->rgb);
    free(pictures->latents);
    free(pictures->note);
    free(pictures);
}

int ditcl_pictures_count(const ditcl_pictures *pictures)
{
    return pictures->n;
}

int ditcl_pictures_width(const ditcl_pictures *pictures)
{
    return pictures->width;
}

int ditcl_pictures_height(const ditcl_pictures *pictures)
{
    return pictures->height;
}

const unsigned char *ditcl_pictures_rgb(const ditcl_pictures *pictures, int i)
{
    size_t size = (size_t)pictures->width * (size_t)pictures->height * 3;
    return i >= 0 && i < pictures->n ? pictures->rgb + (size_t)i * size : NULL;
}

const float *ditcl_pictures_latents(const ditcl_pictures *pictures, int i)
{
    bool there = pictures->latents && i >= 0 && i < pictures->n;
    return there ? pictures->latents + (size_t)i * pictures->latent_values : NULL;
}

const char *ditcl_pictures_note(const ditcl_pictures *pictures)
{
    return pictures->note ? pictures->note : "";
}
