/* The store: configurations measured on one device, kept between runs in a readable and editable
 * text file, <the user's settings>/ditcl/devices/<device>.conf, in the grammar of
 * cl/devices/README.md. There are three forms of lines:
 *
 *     match  platform=... device=... driver=...
 *     tune   gemm cpu kernels=0123456789abcdef NV=3 MR=8
 *     tune   gemm gpu auto 512x4608x1152 use=gpu kernels=0123456789abcdef MT=64 NT=128
 *     tune   gemm gpu auto any use=gpu kernels=0123456789abcdef MT=64 NT=128
 *
 * The first configures an implementation for every shape. The others say what serves a shape, or
 * every shape, in a kernel family and precision. A line counts only for the device, driver and
 * kernel sources it was measured with. Lines that cannot be used are named once and ignored. */
#ifndef DITCL_TUNE_STORE_H
#define DITCL_TUNE_STORE_H

#include "base/text.h"
#include "ops/impl.h"

enum { STORE_HASH = 17 };

typedef struct {
    candidate is;
    bool serves;              /* the implementation serves; else it is only configured */
    kernel_family family;     /* with `serves` */
    precision precision;      /* with `serves` */
    int shape[SHAPE_SIZES];   /* zeros: any */
    char kernels[STORE_HASH]; /* hash of their text; "": any */
    bool shipped;             /* compiled into the program: not written */
} store_line;

/* If two lines configure the same, the later one counts. */
typedef struct {
    store_line *lines;
    size_t n, capacity;
} store;

/* Reads the lines that the device can use: those compiled into the program, then the user's.
 * Calls d->settings.warn for lines that it cannot use, at most STORE_WARNINGS times. Fails only
 * with ERR_MEMORY. */
enum { STORE_WARNINGS = 8 };
status store_load(store *s, const device *d);
/* Reads the lines of one file. ERR_FILE if it cannot be read. */
status store_read(store *s, const device *d, const char *path);
void store_free(store *s);

/* From here on the device uses the lines for its kernel family and precision. */
status store_apply(const store *s, device *d);
/* The same with only the lines that are compiled into the program. */
status store_apply_shipped(device *d);

/* Adds a line, or replaces the user's line that configures the same. serves: the candidate
 * serves the shape on this device; else its implementation gets this configuration. shape null:
 * every shape. */
status store_put(store *s, const device *d, const candidate *c, const int *shape, bool serves);
/* Adds a line, or replaces the line that configures the same. */
status store_put_line(store *s, const store_line *line);
void store_drop(store *s, size_t i);

/* Appends the user's lines as the text of a file. */
status store_text(const store *s, const device_info *info, text *out);
/* Rewrites the user's file: these lines, and its lines of other platforms. */
status store_save(const store *s, const device_info *info);
/* Removes the lines of this device's platform from the user's file. */
status store_forget(const device_info *info);

/* The path of the user's file for this device; and whether it is there. */
status store_path(char *out, size_t size, const device_info *info);
bool store_exists(const device_info *info);

/* The hash of the text that cl/<file> is built from, prelude included. */
status store_kernels(char out[STORE_HASH], const char *file);

#endif
