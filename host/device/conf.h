/* Device knowledge as data: the .conf files of cl/devices. Grammar: cl/devices/README.md.
 *
 * A `match` line opens a section. `quirk` and `has` lines below it apply to the devices that it
 * matches. A quirk whose name begins with MAX_ has a number (MAX_GROUP=64); the lowest counts if
 * there are several. `advice` lines apply to platforms that show no device. `cache` lines are for
 * device/driver_needs.h, `tune` lines for tune/store.h, `install` lines for conf_install. An
 * unknown word is an error with file and line. */
#ifndef DITCL_DEVICE_CONF_H
#define DITCL_DEVICE_CONF_H

#include <stdbool.h>

#include "base/status.h"
#include "device/features.h"

typedef enum {
#define QUIRK(name, what) QUIRK_##name,
#include "device/quirks.def"
#undef QUIRK
    N_QUIRKS
} quirk_id;

enum { CONF_ADVICE = 400, CONF_FILES = 160 };

typedef struct {
    bool has[N_QUIRKS];
    const char *from[N_QUIRKS]; /* the file that has the quirk */
    int value[N_QUIRKS];        /* numbers of the quirks that have one */
    bool feature[N_FEATURES];   /* features that the driver does not report */
    char files[CONF_FILES];   /* "a.conf, b.conf": the files with a section for the device; or "" */
    char advice[CONF_ADVICE]; /* for a platform that shows no device; or "" */
    struct {
        /* the environment variable that names the folder of the driver's cache */
        char variable[32];
        char below[64]; /* without the variable: this folder below the user's cache folder */
        bool here;      /* the cache line applies to this device's driver */
    } cache;
} quirks;

/* What a `match` line can compare. */
typedef struct {
    const char *platform, *vendor, *device, *driver, *version; /* null: "" */
} conf_subject;

/* *matches = false if the subject does not match one word of a match line, "key=pattern" or
 * "key<version". */
status conf_match(bool *matches, char *word, const conf_subject *subject, const char *name,
                  int line_number);

/* Applies the text of one file to *q. name: for messages. */
status conf_apply(quirks *q, const char *conf_text, const char *name, const conf_subject *subject);

/* Applies every file compiled into the program. */
status conf_apply_embedded(quirks *q, const conf_subject *subject);

/* package = the distribution's package with the driver for `what`, "cpu" or "pci=VENDOR" (4
 * hexadecimal digits), from the `install` lines; "" if its name is not known, or with a null
 * distribution. False if no line is for `what`. */
enum { CONF_PACKAGE = 80 };
bool conf_install(char package[CONF_PACKAGE], const char *what, const char *distribution);

/* The name as in quirks.def. */
const char *quirk_name(quirk_id id);
const char *quirk_meaning(quirk_id id);
bool quirk_has_value(quirk_id id);

#endif
