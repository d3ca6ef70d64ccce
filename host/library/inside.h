/* What is behind the handles of ditcl.h, and what its functions share.
 *
 * Members may be appended to the structs of ditcl.h, never changed or removed. A member of which
 * programs of older versions know nothing gets its default from ..._init of this version. */
#ifndef DITCL_LIBRARY_INSIDE_H
#define DITCL_LIBRARY_INSIDE_H

#include <stdatomic.h>

#include "checkpoint/model.h"
#include "device/device.h"
#include "library/ditcl.h"

enum { LIBRARY_PATH = 4096 };

struct ditcl {
    int users; /* the program, and each open device and model */
    bool listed;
    device_list devices; /* valid if listed */
    failure last;
    ditcl_log_function log;
    void *log_context;
    atomic_int cancelled;
};

struct ditcl_device {
    ditcl *of;
    device d;
    char program[LIBRARY_PATH]; /* of first-use checks; "": none */
};

struct ditcl_model {
    ditcl *of;
    model m;
    model_request request;
    char *texts[4]; /* what the request points to */
};

struct ditcl_pictures {
    int n, width, height;
    size_t latent_values; /* of one picture */
    unsigned char *rgb;
    float *latents; /* null: of ditcl_decode */
    char *note;     /* may be null */
};

/* A function that can fail begins with library_enter and ends with library_leave, which keeps the
 * failure. In between, log lines of this thread go to the context. */
void library_enter(ditcl *c);
ditcl_code library_leave(ditcl *c, status st);
/* The same for calls that use a device. */
void library_enter_device(ditcl_device *the_device);

/* Sends a line to the log of the context that this thread has entered. */
void library_note(const char *line);
void library_warn(const char *line);

void library_release(ditcl *c);

/* ERR_CANCELLED if the program asked for it. */
status library_goes_on(ditcl *c);

/* The devices are listed once. */
status library_list_devices(ditcl *c);

/* out = `known` bytes: a struct that the program gave, completed by the defaults that out has.
 * ERR_USAGE if it was not initialised, or if it has a member that this version does not know. */
status library_take(void *out, size_t known, const void *given, const char *name);
/* given = the answer, as far as the program knows its members. */
status library_give(void *given, const void *answer, size_t known, const char *name);
/* out = `size` bytes: the defaults, then zeros. */
void library_init(void *out, size_t size, const void *defaults, size_t known);

/* *index = that of the word in names, which ends with null; `none` if the word is null. */
status library_word(int *index, int none, const char *word, const char *const *names,
                    const char *what);

/* *out = room for n pictures, and for their latents if latent_values is not 0. */
status library_pictures(ditcl_pictures **out, int n, int width, int height, size_t latent_values);

#endif
