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
/* size bytes from data on will not be read soon: their pages need not count as this process's. */
void file_map_forget(const file_map *map, const unsigned char *data, size_t size);

/* *out = the file's text, NUL-terminated, freed with free(); more than limit bytes is an error, and
 * so is a NUL byte inside. */
status file_read_text(char **out, const char *path, size_t limit);

/* Links are followed. */
bool file_exists(const char *path);
bool file_is_folder(const char *path);
/* Whether both exist and are the same file, whatever their names. */
bool file_is_same(const char *a, const char *b);
/* What follows the last slash. */
const char *file_last_part(const char *path);
/* out = folder/name; ERR_LIMIT when it does not fit. */
status file_join(char *out, size_t size, const char *folder, const char *name);

/* out = the folder "ditcl" in the user's for caches (XDG_CACHE_HOME, else ~/.cache) or for settings
 * (XDG_CONFIG_HOME, else ~/.config). Nothing is made. ERR_FILE where the environment names none. */
typedef enum { FOLDER_CACHE, FOLDER_CONFIG } user_folder;
status file_user_folder(char *out, size_t size, user_folder which);

/* Makes the folder and those above it, where they are not there, for this user alone. */
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
    bool disposable;    /* not worth keeping when it cannot get its final name */
} file_out;

/* Checks, before any work, that path can be written: its folder is there and can be written, and
 * the file of that name, if there is one, can be replaced. A link stands for what it leads to. A
 * mount point can only be written in place; see file_names. */
status file_out_check(const char *path);
status file_out_open(file_out *out, const char *path);
/* What failed while the stream was written to; OK, if nothing did yet. */
status file_out_state(const file_out *out);
/* Only this user may read the file. */
void file_out_protect(const file_out *out);
/* Flushes and closes the temporary; the final name is untouched until the commit. */
status file_out_close(file_out *out);
/* The same, and waits until the disk has it. */
status file_out_finish(file_out *out);
/* Renames n finished outputs to their final names, with interrupts held back meanwhile. One that
 * cannot be renamed is kept under another name, which the hint says. */
status file_out_commit(file_out *outs, size_t n);
/* Removes the temporary, if there is one still. Accepts zero and twice. */
void file_out_discard(file_out *out);

/* All outputs of a run, looked at together before any work. */
typedef struct {
    struct file_name *items;
    size_t n, capacity;
    char *folder; /* the last one that was tried */
} file_names;

/* As file_out_check, and takes the name down. */
status file_names_add(file_names *names, const char *path);
/* a and b = the numbers of two names of one file, in the order they were added, from 0; both 0 if
 * no two are. */
status file_names_clash(const file_names *names, size_t *a, size_t *b);
/* Name i is written in place: an interruption can leave it incomplete. */
bool file_names_in_place(const file_names *names, size_t i);
const char *file_names_path(const file_names *names, size_t i);
void file_names_free(file_names *names);

/* A new folder with sub-folders: made in a hidden one, and renamed when all is in it. */
enum { FOLDER_PARTS = 8 };
typedef struct {
    char *path, *shown, *temporary, *parts[FOLDER_PARTS];
    int n_parts;
    unsigned mode; /* of the empty folder that is replaced, else 0 */
    struct partial *in;
} folder_out;

/* path must not be there, or be an empty folder; the one it is to be in must be. */
status folder_out_open(folder_out *out, const char *path);
/* Makes a folder in it; its path is out->parts[0] for the first and so on. */
status folder_out_add(folder_out *out, const char *name);
/* Opens a file in the folder, or in its part of this number where that is not negative. */
status folder_out_file(const folder_out *out, file_out *file, int part, const char *name);
/* Gives the folder, and n finished outputs in it, its final name, as file_out_commit does. */
status folder_out_commit(folder_out *out, file_out *outs, size_t n);
/* Removes the hidden folder, whose files must be discarded before. Accepts zero and twice. */
void folder_out_discard(folder_out *out);

/* SIGINT, SIGTERM and SIGHUP remove registered temporaries and leave at once with 128 + signal
 * (130 for Ctrl-C), whatever an OpenCL call is waiting for. So does SIGBUS with 1: a mapped file
 * became shorter. SIGXFSZ is ignored, so that a write behind the limit fails with its reason. */
void file_guard_signals(void);

#endif
