/* Output of pictures: one file, a numbered series, a folder, or one sheet. Files get their final
 * names only after all of them are written. */
#ifndef DITCL_CLI_OUTPUT_H
#define DITCL_CLI_OUTPUT_H

#include <stdbool.h>

#include "base/file.h"
#include "base/status.h"

enum { OUTPUT_EXTRAS = 4 };

typedef struct {
    const char *path;
    enum { OUTPUT_FILE, OUTPUT_SERIES, OUTPUT_FOLDER, OUTPUT_SHEET } kind;
    int n, done;
    const int *numbers;  /* null, or [n]: those in the names of files; set before output_open */
    char *const *labels; /* null, or [n]: what a sheet says below each picture; set as numbers */
    int unit; /* a row of a sheet has a multiple of `unit` pictures, unless that is too wide */
    int width, height;    /* of a picture, in pixels */
    unsigned char *sheet; /* all pictures, for OUTPUT_SHEET */
    file_out *files;      /* finished, not yet committed */
    int n_files, extras;
    char *piped; /* a picture for standard output, freed with free() */
    size_t piped_bytes;
    const char *options[OUTPUT_EXTRAS]; /* the options that named the extras */
    file_names names;                   /* of pictures and extras, until output_check */
    const char *const *notes;           /* PNG text: keyword, value, ..., null */
} output;

/* Parses path for n pictures of width x height and checks that all files can be written. A file
 * receives the picture, or a sheet of several. One %d or %0Nd after the last slash numbers a series
 * from 0 or by o->numbers, and %% is one %. A folder receives 000000.png, 000001.png, ... - is
 * standard output, which receives a PNG when it is complete. */
status output_open(output *o, const char *path, int n, int unit, int width, int height);

/* For a command with a single output: checks, before any work, that the file can be written. Unless
 * quiet, warns of a mount point, which is written in place. An array replaces only a .npy file. */
status output_check_one(const char *path, bool quiet);
status output_check_array(const char *path, bool quiet);

/* An output without pictures, for arrays only. */
status output_open_arrays(output *o);

/* Adds the next picture, [height][width][3]. */
status output_add(output *o, const unsigned char *rgb);

/* Adds an array that is written with the pictures; at most OUTPUT_EXTRAS. asked_by: its option. */
status output_add_array(output *o, const char *asked_by, const char *path);
/* Adds a PNG file that is no picture of the run, such as a preview, in the same way. */
status output_add_picture(output *o, const char *asked_by, const char *path);
/* Call this after all outputs are added. Fails if two names are the same file. Unless quiet, warns
 * of mount points. */
status output_check(output *o, bool quiet);

/* The file of the next array; open it with file_out_open. */
file_out *output_extra(output *o);

/* Writes the sheet, then renames every file to its final name. On a terminal, prints the names
 * unless quiet. */
status output_commit(output *o, bool quiet);

/* Removes files that are not committed. */
void output_close(output *o);

#endif
