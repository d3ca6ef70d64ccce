/* Previews and strips. See previews.h. */
#include "cli/previews.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "files/png.h"
#include "sample/grid.h"

enum { USUAL_EVERY = 5, USUAL_STATES = 8 };

const char *const preview_ways[] = {"vae", "linear", NULL};

static bool on_terminal(const previews *p)
{
    return p->path && !strcmp(p->path, "terminal");
}

status previews_check(const previews *p, drawing_request *q)
{
    const char *alone = p->every ? "--preview-every" : p->way >= 0 ? "--preview-with" : NULL;
    if (alone && !p->path) return fail(ERR_USAGE, "%s: needs --preview FILE", alone);
    if (p->states && !p->strip) return fail(ERR_USAGE, "--strip-states: needs --strip FILE");
    if (on_terminal(p) && !isatty(STDERR_FILENO)) {
        fail(ERR_USAGE, "--preview terminal: standard error is not a terminal");
        fail_hint("--preview FILE.png writes a file");
        return ERR_USAGE;
    }
    if (p->path) q->preview_every = p->every ? p->every : USUAL_EVERY;
    q->preview_exact = p->way != 1;
    if (p->strip) q->states = p->states ? p->states : USUAL_STATES;
    return OK;
}

status previews_add(previews *p, output *o, const drawing *g)
{
    status st = OK;
    p->width = p->height = g->m->dit.latent_size * vae_scale(&g->m->vae);
    if (p->path && !on_terminal(p)) TRY(output_add_picture(o, "--preview", p->path));
    if (!p->strip) goto done;
    TRY(output_add_picture(o, "--strip", p->strip));
    p->n_states = drawing_states(g);
    size_t bytes = (size_t)p->width * (size_t)p->height * 3;
    TRY(memory_alloc(&p->pixels, (size_t)p->n_states, bytes));
done:
    return st;
}

/* Writes pictures as a sheet, or as one picture. The file is not yet committed. */
static status write_sheet(const previews *p, file_out *file, const unsigned char *rgb, int n,
                          int columns)
{
    unsigned char *sheet = NULL;
    int width = p->width, height = p->height;
    status st = OK;
    if (n > 1) TRY(grid_make(&sheet, &width, &height, rgb, n, columns, p->width, p->height));
    TRY(png_write(file, sheet ? sheet : rgb, width, height, NULL));
done:
    free(sheet);
    return st;
}

static status show_here(previews *p, const unsigned char *rgb, int n)
{
    unsigned char *sheet = NULL;
    int width = p->width, height = p->height;
    status st = OK;
    if (n > 1)
        TRY(grid_make(&sheet, &width, &height, rgb, n, grid_columns(n), p->width, p->height));
    TRY(terminal_show(&p->place, sheet ? sheet : rgb, width, height));
done:
    free(sheet);
    return st;
}

status previews_show(previews *p, const unsigned char *rgb, int n)
{
    if (on_terminal(p)) return show_here(p, rgb, n);
    file_out file = {0};
    status st = OK;
    TRY(file_out_open(&file, p->path));
    TRY(write_sheet(p, &file, rgb, n, grid_columns(n)));
    TRY(file_out_close(&file));
    TRY(file_out_commit(&file, 1));
done:
    file_out_discard(&file);
    return st;
}

void previews_keep(previews *p, const unsigned char *rgb, int state)
{
    size_t bytes = (size_t)p->width * (size_t)p->height * 3;
    memcpy(p->pixels + (size_t)state * bytes, rgb, bytes);
}

status previews_write(const previews *p, output *o)
{
    if (!p->strip) return OK;
    file_out *file = output_extra(o);
    status st = file_out_open(file, p->strip);
    if (st == OK) st = write_sheet(p, file, p->pixels, p->n_states, p->n_states);
    return st == OK ? file_out_finish(file) : st;
}

void previews_free(previews *p)
{
    free(p->pixels);
    p->pixels = NULL;
}
