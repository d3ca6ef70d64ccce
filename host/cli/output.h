/* Where pictures go: one file, a numbered series, a folder, or one sheet. Nothing appears under its
 * final name before everything is written. */
#ifndef DITCL_CLI_OUTPUT_H
#define DITCL_CLI_OUTPUT_H

#include <stdbool.h>

#include "base/file.h"
#include "base/status.h"
#include "model/vae.h"

enum { OUTPUT_EXTRAS = 2 };

typedef struct {
    const char *path;
    enum { OUTPUT_FILE, OUTPUT_SERIES, OUTPUT_FOLDER, OUTPUT_SHEET } kind;
    int n, done;
    int unit; /* a sheet's rows hold whole units of so many pictures, where that is not too wide */
    int width, height; /* of a picture */
    /* null, or [height][width][3]: where white is not white, pictures become those of known */
    const unsigned char *known, *white;
    unsigned char *sheet; /* all pictures, for OUTPUT_SHEET */
    file_out *files;      /* finished, not yet committed */
    int n_files, extras;
    const char *options[OUTPUT_EXTRAS]; /* the options that named the extras */
    file_names names;                   /* of pictures and extras, until output_check */
    const char *const *notes;           /* PNG text: keyword, value, ..., null */
} output;

/* Understands path for n pictures of width x height and checks that all can be written. A name
 * gets the picture, or a sheet of several; one %d or %0Nd after its last slash numbers them from
 * 0, and %% there is one %; a folder gets 000000.png, 000001.png, ... */
status output_open(output *o, const char *path, int n, int unit, int width, int height);

/* For the only output of a command: checks, before any work, that it can be written. Unless quiet,
 * warns of a mount point, since that is written in place. An array may replace only a .npy file. */
status output_check_one(const char *path, bool quiet);
status output_check_array(const char *path, bool quiet);

/* An output without pictures, for arrays only. */
status output_open_arrays(output *o);

/* planes [3][H][W] of one picture of latents, through pixels [H][W][3]. */
status output_planes(float *planes, float *pixels, vae *v, buf latents, int picture);

/* Decodes the output's n pictures and adds them, rounded to 8 bits as the named program does. */
status output_decode(output *o, vae *v, buf latents, compat arithmetic, bool quiet);

/* Adds an array that will be written with the pictures, at most OUTPUT_EXTRAS. asked_by: the option
 * that names it. */
status output_add_array(output *o, const char *asked_by, const char *path);
/* Call it when all outputs are added: fails if two names are one file. Unless quiet, warns of mount
 * points. */
status output_check(output *o, bool quiet);

/* The next array's file; open it with file_out_open. */
file_out *output_extra(output *o);

/* Writes the sheet, then renames every file to its final name. On a terminal it says so, unless
 * quiet. */
status output_commit(output *o, bool quiet);

/* Removes what was not committed. */
void output_close(output *o);

#endif
