/* Files: whole-file mapping for reading, whole-or-not-at-all writing.
 *
 * An output is written to a temporary in a hidden folder beside its final name (partial.h) and
 * renamed when it is complete. */
#ifndef DITCL_BASE_FILE_H
#define DITCL_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/status.h"

typedef struct {
    const unsigned char *data; /* size bytes, read only; null for an empty file */
    size_t size;
    unsigned char *copy; /* data, if it was read because it could not be mapped */
    size_t held;         /* how many of the first bytes can be looked at */
    int fd;              /* open while held < size: the rest is read from it */
} file_map;

/* Maps a regular file for reading, or reads it into memory where its file system maps no files.
 * Messages begin with the path. */
status file_map_open(file_map *map, const char *path);
/* The same in two steps. If the file must be read into memory, the first step reads at most `head`
 * bytes, so that its size and its header can be judged before a large file is read. */
status file_map_begin(file_map *map, const char *path, size_t head);
status file_map_rest(file_map *map, const char *path);
void file_map_close(file_map *map);
/* Releases the pages of size bytes from data on, which will not be read soon. */
void file_map_forget(const file_map *map, const unsigned char *data, size_t size);

/* *out = the file's text, NUL-terminated, freed with free(); more than limit bytes is an error, and
 * so is a NUL byte inside. */
status file_read_text(char **out, const char *path, size_t limit);

/* Links are followed. */
bool file_exists(const char *path);
bool file_is_folder(const char *path);
/* Whether both exist and are the same file, whatever their names. */
bool file_is_same(const char *a, const char *b);
/* The part of path after its last slash. */
const char *file_last_part(const char *path);
/* out = folder/name; ERR_LIMIT when it does not fit. */
status file_join(char *out, size_t size, const char *folder, const char *name);

/* out = the folder "ditcl" in the user's cache folder (XDG_CACHE_HOME, else ~/.cache) or settings
 * folder (XDG_CONFIG_HOME, else ~/.config). Makes nothing. ERR_FILE if the
 * environment names none. */
typedef enum { FOLDER_CACHE, FOLDER_CONFIG } user_folder;
status file_user_folder(char *out, size_t size, user_folder which);

/* Makes the folder and those above it that do not exist, for this user alone. */
status file_make_folders(const char *path);

/* ---- writing ---- */

typedef struct {
    FILE *stream;       /* write here */
    struct sink *sink;  /* behind it: the descriptor, and errno of the first write that failed */
    char *path;         /* the final name, links followed */
    char *shown;        /* what messages call it */
    char *temporary;    /* null: committed */
    struct partial *in; /* the hidden folder of the temporary; null in a folder_out */
    bool in_place;      /* a mount point: the temporary is copied into it at the end */
    bool disposable;    /* remove it if it cannot get its final name */
} file_out;

/* Checks, before any work, that path can be written: its folder exists and can be written, and an
 * existing file can be replaced. Links are followed. A mount point can only be written in place;
 * see file_names. */
status file_out_check(const char *path);
status file_out_open(file_out *out, const char *path);
/* The failure of a write to the stream, or OK. */
status file_out_state(const file_out *out);
/* Lets only this user read the file. */
void file_out_protect(const file_out *out);
/* Flushes and closes the temporary; the final name is untouched until the commit. */
status file_out_close(file_out *out);
/* The same, and waits until the data is on the disk. */
status file_out_finish(file_out *out);
/* Renames n finished outputs to their final names; interrupts are blocked meanwhile. An output that
 * cannot be renamed is kept under another name, which the hint tells. */
status file_out_commit(file_out *outs, size_t n);
/* Removes the temporary, if it still exists. Accepts a zero struct and a second call. */
void file_out_discard(file_out *out);

/* The names of all outputs of a run, checked together before any work. */
typedef struct {
    struct file_name *items;
    size_t n, capacity;
    char *folder; /* the last folder that was tried */
} file_names;

/* Checks as file_out_check does, and records the name. */
status file_names_add(file_names *names, const char *path);
/* a and b = the numbers of two names of one file, in the order they were added, from 0; both 0 if
 * no two are. */
status file_names_clash(const file_names *names, size_t *a, size_t *b);
/* Name i is written in place: an interruption can leave it incomplete. */
bool file_names_in_place(const file_names *names, size_t i);
const char *file_names_path(const file_names *names, size_t i);
void file_names_free(file_names *names);

/* A new folder with sub-folders. It is made in a hidden folder and renamed when complete. */
enum { FOLDER_PARTS = 8 };
typedef struct {
    char *path, *shown, *temporary, *parts[FOLDER_PARTS];
    int n_parts;
    unsigned mode; /* of the empty folder that is replaced, else 0 */
    struct partial *in;
} folder_out;

/* path must not exist, or be an empty folder; the folder above it must exist. */
status folder_out_open(folder_out *out, const char *path);
/* Makes a folder in it; its path is out->parts[0] for the first and so on. */
status folder_out_add(folder_out *out, const char *name);
/* Opens a file in the folder, or in its sub-folder number `part` if part is not negative. */
status folder_out_file(const folder_out *out, file_out *file, int part, const char *name);
/* Renames the folder, with n finished outputs in it, to its final name, as file_out_commit does. */
status folder_out_commit(folder_out *out, file_out *outs, size_t n);
/* Removes the hidden folder; discard its files before. Accepts a zero struct and a second call. */
void folder_out_discard(folder_out *out);

/* SIGINT, SIGTERM and SIGHUP remove registered temporaries and leave at once with 128 + signal (130
 * for Ctrl-C), even inside an OpenCL call. SIGBUS, which means that a mapped file became shorter,
 * does the same with exit code 1. SIGXFSZ is ignored, so that a write beyond the limit fails with
 * its reason. */
void file_guard_signals(void);

#endif
