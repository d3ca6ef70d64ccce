/* Labels of the pictures on a sheet. See labels.h. */
#include "cli/labels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stb_easy_font.h>

#include "base/text.h"

/* Rows of a line in the font's pixels, and what a label is cut to. */
enum { LINE = 12, MOST = 64, WHITE = 255 };
/* stb_easy_font's rectangles: 4 corners of x, y, z (float) and a colour */
enum { CORNER = 16, QUAD = 4 * CORNER, QUADS_EACH = 12 };

/* out = the name of the picture's class. */
static void name_label(char out[MOST], const drawing *g, int label)
{
    const class_names *names = &g->m->classes;
    int classes = g->m->dit.n_classes, n = 0;
    if (label > classes || (label == classes && !g->m->dit.has_null)) {
        snprintf(out, MOST, "between"); /* of an interpolation */
        return;
    }
    const char *name = label < names->n ? names->names[label] : NULL;
    if (!name) {
        snprintf(out, MOST, label == classes ? "null" : "%d", label);
        return;
    }
    for (const char *at = name; *at && *at != ',' && n < MOST - 1;) {
        int32_t c;
        at += text_decode(at, &c);
        out[n++] = c >= ' ' && c <= '~' ? (char)c : '?'; /* the font has ASCII only */
    }
    out[n] = 0;
}

status labels_of(text_list *labels, const drawing *g)
{
    char name[MOST];
    status st = OK;
    for (int i = 0; i < g->n && st == OK; i++) {
        name_label(name, g, g->labels[i]);
        st = text_list_add(labels, name);
    }
    return st;
}

/* One pixel of the font is as many pixels of the picture per side. */
static int scale_of(int width)
{
    return width < 256 ? 1 : width / 128;
}

int labels_height(int width)
{
    return (LINE + 1) * scale_of(width);
}

static void fill(unsigned char *strip, int width, int left, int top, int right, int bottom)
{
    int height = labels_height(width);
    for (int y = top < 0 ? 0 : top; y < bottom && y < height; y++)
        for (int x = left < 0 ? 0 : left; x < right && x < width; x++)
            memset(strip + 3 * ((size_t)y * (size_t)width + (size_t)x), 0, 3);
}

void labels_draw(unsigned char *strip, int width, const char *label)
{
    char shown[MOST], quads[MOST * QUADS_EACH * QUAD];
    int scale = scale_of(width);
    memset(strip, WHITE, 3 * (size_t)labels_height(width) * (size_t)width);
    text_copy(shown, sizeof shown, label);
    for (size_t n = strlen(shown); n && stb_easy_font_width(shown) > width / scale;) shown[--n] = 0;
    int left = (width - scale * stb_easy_font_width(shown)) / 2;
    int n = stb_easy_font_print(0, 2, shown, NULL, quads, sizeof quads);
    for (int i = 0; i < n; i++) {
        float from[2], to[2];
        memcpy(from, quads + i * QUAD, sizeof from);
        memcpy(to, quads + i * QUAD + 2 * CORNER, sizeof to);
        fill(strip, width, left + scale * (int)from[0], scale * (int)from[1],
             left + scale * (int)to[0], scale * (int)to[1]);
    }
}
