/* Files: mapping whole files for reading; writing outputs whole or not at all.
 *
 * An output is written to a temporary in a hidden folder beside its final name (partial.h). It is
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
    unsigned char *copy; /* owns data if the file was read because it could not be mapped */
    size_t held;         /* bytes from the beginning that are in memory */
    int fd;              /* open while held < size, to read the rest */
} file_map;

/* Maps a regular file for reading. Reads it into memory if its file system cannot map files.
 * Messages begin with the path. */
status file_map_open(file_map *map, const char *path);
/* Does the same in two steps. If the file must be read into memory, the first step reads at most
 * `head` bytes. So the caller can check size and header before a large file is read. */
status file_map_begin(file_map *map, const char *path, size_t head);
status file_map_rest(file_map *map, const char *path);
void file_map_close(file_map *map);
/* From now on, this thread reads files into memory (on) or maps them (off, the default). A file
 * that was read can become shorter without a signal. */
void file_map_copies(bool on);
/* Releases the pages of `size` bytes from data on, since they will not be read soon. */
void file_map_forget(const file_map *map, const unsigned char *data, size_t size);

/* *out = the file's text, NUL-terminated, freed with free(). A file of more than `limit` bytes, or
 * with a NUL byte, is an error. */
status file_read_text(char **out, const char *path, size_t limit);

/* Follows links. */
bool file_exists(const char *path);
bool file_is_folder(const char *path);
/* True if both exist and are the same file, even under different names. */
bool file_is_same(const char *a, const char *b);
/* The part of path after its last slash. */
const char *file_last_part(const char *path);
/* out = folder/name. ERR_LIMIT if it does not fit. */
status file_join(char *out, size_t size, const char *folder, const char *name);

/* out = the folder "ditcl" in the user's cache folder (XDG_CACHE_HOME, else ~/.cache) or settings
 * folder (XDG_CONFIG_HOME, else ~/.config). Creates no folder. ERR_FILE if the environment names
 * none. */
typedef enum { FOLDER_CACHE, FOLDER_CONFIG } user_folder;
status file_user_folder(char *out, size_t size, user_folder which);

/* Creates the folder and its missing parents, readable by this user only. */
status file_make_folders(const char *path);

/* ---- writing ---- */

typedef struct {
    FILE *stream;       /* write here */
    struct sink *sink;  /* the stream's descriptor, and errno of its first failed write */
    char *path;         /* the final name after links are followed */
    char *shown;        /* the name in messages */
    char *temporary;    /* null after the commit */
    struct partial *in; /* the hidden folder of the temporary; null inside a folder_out */
    bool in_place;   /* the final name is a mount point: the commit copies the temporary into it */
    bool disposable; /* remove it if it cannot get its final name */
} file_out;

/* Checks, before any work, that path can be written: its folder exists and is writable, and an
 * existing file can be replaced. Follows links. A mount point can only be written in place; see
 * file_names. */
status file_out_check(const char *path);
status file_out_open(file_out *out, const char *path);
/* OK, or the failure of an earlier write to the stream. */
status file_out_state(const file_out *out);
/* Lets only this user read the file. */
void file_out_protect(const file_out *out);
/* Flushes and closes the temporary. The commit gives it its final name. */
status file_out_close(file_out *out);
/* Does the same, and waits until the data is on the disk. */
status file_out_finish(file_out *out);
/* Renames n finished outputs to their final names, with interrupts blocked. An output that cannot
 * be renamed is kept under another name, which the hint gives. */
status file_out_commit(file_out *outs, size_t n);
/* Removes the temporary if it still exists. Accepts a zero struct and a second call. */
void file_out_discard(file_out *out);

/* All of it for one text. */
status file_out_text(const char *path, const char *text);

/* The names of all outputs of a run, checked together before any work. */
typedef struct {
    struct file_name *items;
    size_t n, capacity;
    char *folder; /* the last folder that was checked */
} file_names;

/* Checks path as file_out_check does, and records it. */
status file_names_add(file_names *names, const char *path);
/* a and b = the indices (in the order of file_names_add, from 0) of two names of one file; both 0
 * if there are none. */
status file_names_clash(const file_names *names, size_t *a, size_t *b);
/* True if name i is written in place, so that an interruption can leave it incomplete. */
bool file_names_in_place(const file_names *names, size_t i);
const char *file_names_path(const file_names *names, size_t i);
void file_names_free(file_names *names);

/* A new folder with sub-folders. It is built in a hidden folder and renamed when complete. */
enum { FOLDER_PARTS = 8 };
typedef struct {
    char *path, *shown, *temporary, *parts[FOLDER_PARTS];
    int n_parts;
    unsigned mode; /* mode of the empty folder that is replaced, else 0 */
    struct partial *in;
} folder_out;

/* path must not exist, or must be an empty folder; its parent must exist. */
status folder_out_open(folder_out *out, const char *path);
/* Creates a sub-folder. The first one's path is out->parts[0], and so on. */
status folder_out_add(folder_out *out, const char *name);
/* Opens a file in the folder; in its sub-folder number `part` if part is not negative. */
status folder_out_file(const folder_out *out, file_out *file, int part, const char *name);
/* Renames the folder, with n finished outputs in it, to its final name, as file_out_commit does. */
status folder_out_commit(folder_out *out, file_out *outs, size_t n);
/* Removes the hidden folder. The caller discards its files first. Accepts a zero struct and a
 * second call. */
void folder_out_discard(folder_out *out);

/* SIGINT, SIGTERM and SIGHUP remove registered temporaries and exit at once with 128 + signal (130
 * for Ctrl-C), even inside an OpenCL call. SIGBUS, which means that a mapped file became shorter,
 * does the same with exit code 1. SIGXFSZ is ignored, so that a write beyond the limit fails with a
 * reason. */
void file_guard_signals(void);

#endif
