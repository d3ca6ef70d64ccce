/* Files: whole-file mapping for reading, whole-or-not-at-all writing.
 *
 * An output is written to a hidden temporary beside its final name and renamed when it is complete.
 * Temporaries are registered, so that an interrupt removes them. */
#ifndef DITCL_BASE_FILE_H
#define DITCL_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/status.h"

typedef struct {
    const unsigned char *data; /* size bytes, read only; null for an empty file */
    size_t size;
} file_map;

/* Maps a regular file for reading. Messages begin with the path. */
status file_map_open(file_map *map, const char *path);
void file_map_close(file_map *map);
/* size bytes from data on will not be read soon: their pages need not count as this process's. */
void file_map_forget(const file_map *map, const unsigned char *data, size_t size);

/* *out = the file's text, NUL-terminated, freed with free(); more than limit bytes is an error, and
 * so is a NUL byte inside. */
status file_read_text(char **out, const char *path, size_t limit);

/* Links are followed. */
bool file_exists(const char *path);
bool file_is_folder(const char *path);
/* Both are there and one, whatever their names. */
bool file_is_same(const char *a, const char *b);
/* out = folder/name; ERR_LIMIT when it does not fit. */
status file_join(char *out, size_t size, const char *folder, const char *name);

/* out = the folder "ditcl" in the user's for caches (XDG_CACHE_HOME, else ~/.cache) or for settings
 * (XDG_CONFIG_HOME, else ~/.config). Nothing is made. ERR_FILE where the environment names none. */
typedef enum { FOLDER_CACHE, FOLDER_CONFIG } user_folder;
status file_user_folder(char *out, size_t size, user_folder which);

/* Makes the folder and those above it, where they are not there, for this user alone. */
status file_make_folders(const char *path);

typedef struct {
    FILE *stream; /* write here */
    char *path, *temporary;
    char *shown; /* what messages call it: the path, or in a hidden folder the one to be */
} file_out;

/* Checks, before any work, that path can be written: its folder exists and is writable, and path is
 * no folder, device or pipe. */
status file_out_check(const char *path);
status file_out_open(file_out *out, const char *path);
/* Flushes and closes the temporary; the final name is untouched until the commit. */
status file_out_finish(file_out *out);
/* Renames n finished outputs to their final names, with interrupts held back meanwhile. */
status file_out_commit(file_out *outs, size_t n);
/* Removes the temporary, if there is one still. Accepts zero and twice. */
void file_out_discard(file_out *out);

/* A new folder with sub-folders: made under a hidden name, and renamed when all is in it. */
enum { FOLDER_PARTS = 8 };
typedef struct {
    char *path, *temporary, *parts[FOLDER_PARTS];
    int n_parts;
} folder_out;

/* path must not be there, or be an empty folder; the one it is to be in must be. */
status folder_out_open(folder_out *out, const char *path);
/* Makes a folder in it; its path is out->parts[0] for the first and so on. */
status folder_out_add(folder_out *out, const char *name);
/* Opens a file in the folder, or in its part of this number where that is not negative. */
status folder_out_file(const folder_out *out, file_out *file, int part, const char *name);
/* Renames n finished outputs, which are in it, and the folder, as file_out_commit does. */
status folder_out_commit(folder_out *out, file_out *outs, size_t n);
/* Removes the hidden folder, whose files must be discarded before. Accepts zero and twice. */
void folder_out_discard(folder_out *out);

/* SIGINT, SIGTERM and SIGHUP remove registered temporaries and leave at once with 128 + signal
 * (130 for Ctrl-C), whatever an OpenCL call is waiting for. So does SIGBUS with 1: a mapped file
 * became shorter. */
void file_guard_signals(void);

#endif
