/* What first-use checks found on devices, kept between runs: <the user's cache folder>/ditcl/
 * checked.txt, a line each,
 *
 *     DEVICE KEY right WORDS            it was right
 *     DEVICE KEY struck WORDS: WHY      it failed to build or to run, or was wrong
 *     DEVICE KEY died WORDS: WHY        it ended the process that tried it, or hung
 *
 * DEVICE stands for the device, its driver and the text of all kernels, KEY for what was checked.
 * Lines are only ever added, each in one write, so that processes need no lock; a file that others
 * may write is not believed. */
#ifndef DITCL_CHECK_VERDICTS_H
#define DITCL_CHECK_VERDICTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/hash.h"
#include "base/status.h"

typedef enum { VERDICT_RIGHT, VERDICT_STRUCK, VERDICT_DIED, N_VERDICTS } verdict_kind;

enum { VERDICT_TEXT = 320, DEVICE_DIGITS = 16 };

typedef struct {
    verdict_kind kind;
    hash128 key;
    char text[VERDICT_TEXT]; /* WORDS, or WORDS: WHY; printable ASCII */
} verdict;

typedef struct {
    verdict *items; /* of one device */
    size_t n, capacity;
    char device[DEVICE_DIGITS + 1];
    bool kept; /* whether new verdicts are written to the file; false after opening */
} verdicts;

/* Reads the verdicts of a device. A file that is missing, or that others may write, counts as
 * empty. Fails only with ERR_MEMORY. */
status verdicts_open(verdicts *v, hash128 device);
void verdicts_close(verdicts *v);

/* The newest for the key, or null. */
const verdict *verdicts_find(const verdicts *v, hash128 key);

/* Adds a verdict, and writes it to the file if that is wanted and possible. Fails only with
 * ERR_MEMORY. */
status verdicts_add(verdicts *v, verdict_kind kind, hash128 key, const char *words);

/* Removes what is known of all devices. */
void verdicts_forget(void);

#endif
