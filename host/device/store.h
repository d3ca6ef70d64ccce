/* Configurations measured on one device, kept between runs in a readable and editable text file,
 * <the user's settings>/ditcl/devices/<device>.conf, in the grammar of cl/devices/README.md:
 *
 *     match  platform=... device=... driver=...
 *     tune   gemm cpu kernels=0123456789abcdef NV=3 MR=8
 *     tune   gemm gpu auto 512x4608x1152 use=gpu kernels=0123456789abcdef MT=64 NT=128
 *
 * A line counts only for the device, driver and kernel sources it was measured with. Lines that
 * cannot be used are named once and ignored. Layers above know what the values mean. */
#ifndef DITCL_DEVICE_STORE_H
#define DITCL_DEVICE_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/text.h"
#include "device/device.h"

enum { STORE_WORD = 32, STORE_VALUES = 16, STORE_HASH = 17 };

typedef struct {
    char name[STORE_WORD]; /* upper case: the kernel's -D option */
    int value;
} store_value;

typedef struct {
    char op[STORE_WORD], shape[2 * STORE_WORD]; /* words behind it, joined by blanks; or "" */
    char use[STORE_WORD];                       /* the implementation that serves it; or "" */
    char kernels[STORE_HASH];                   /* hash of their text; "": any */
    store_value values[STORE_VALUES];
    int n_values;
    bool shipped;  /* compiled into the program: not written */
    char from[64]; /* "pthread-cpu.conf:3" */
    size_t next;   /* for store.c: 1 + the index of the next line in the same bucket; 0: none */
} store_line;

typedef struct {
    store_line *lines; /* of this device and driver */
    size_t n, capacity;
    size_t *buckets; /* n_buckets: 1 + the index of a line with this hash; 0: none */
    size_t n_buckets;
    int n_ignored;
} store;

/* Reads the lines for this device: those compiled into the program and those of the user's file. In
 * each, a later line replaces an earlier one. A missing file is no error. Calls warn (may be null)
 * for ignored lines, at most STORE_WARNINGS times. Fails only with ERR_MEMORY. */
enum { STORE_WARNINGS = 8 };
status store_load(store *s, const device_info *info, void (*warn)(const char *line));
/* Only those compiled into the program. */
status store_shipped(store *s, const device_info *info);
void store_free(store *s);

/* Whether the user has a file for this device. */
bool store_exists(const device_info *info);

/* The line for this operator and shape, the user's before a shipped one; or null. */
store_line *store_find(const store *s, const char *op, const char *shape);
/* Adds the line, or replaces the one for its operator and shape; shipped ones stay beside the
 * user's. */
status store_put(store *s, const store_line *line);
/* Removes one of s's lines. */
void store_drop(store *s, store_line *line);

/* Reads the lines of one file for this device, as store_load reads the user's. ERR_FILE if it
 * cannot be read. */
status store_read(store *s, const char *path, const device_info *info,
                  void (*warn)(const char *line));
/* Appends s's lines as the text of a file, without shipped lines. */
status store_text(const store *s, const device_info *info, text *out);
/* Removes the lines of this device's platform from the user's file. */
status store_forget(const device_info *info);

/* Rewrites the user's file: s's lines that are not shipped, and its lines of other platforms. */
status store_save(const store *s, const device_info *info);

/* The hash of the text that cl/<file> is built from, prelude included. */
status store_kernels(char out[STORE_HASH], const char *file);

/* The file's path; nothing is made. */
status store_path(char *out, size_t size, const device_info *info);

#endif
