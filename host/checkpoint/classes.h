/* Names of classes: id2label of model_index.json, and the ways a user may name a class. */
#ifndef DITCL_CHECKPOINT_CLASSES_H
#define DITCL_CHECKPOINT_CLASSES_H

#include <stdbool.h>

#include "base/status.h"

/* id2label: numbers to names. Commas separate synonyms. */
typedef struct {
    int n;        /* highest named class + 1; 0 if the file names none */
    char **names; /* names[i]: all synonyms of class i as in the file, or null */
} class_names;

/* json: the text of model_index.json. path: for messages only. rows: of the label table. Entries
 * outside 0..rows-1 are refused. The null class may have a name too. On failure *names is zero. */
status config_parse_names(class_names *names, const char *json, const char *path, int rows);
void config_free_names(class_names *names);

/* The classes that a user can choose: n_classes classes, then the null class if the model has one.
 */
typedef struct {
    const class_names *names;
    int n_classes;
    bool has_null;
    bool assumed; /* no source says that there is a null class */
} class_choice;

enum { CLASS_ALL = -1 };

/* *class_number = the first class of a list that a user typed. *typed moves behind it, and becomes
 * null after the last class.
 *
 * A class is a number (always allowed), "null" for the null class, "all" for CLASS_ALL, or a name
 * or synonym. Case is ignored. Exact matches have priority over prefixes. A name that matches two
 * classes is refused. Commas separate classes, but a whole label of id2label with its commas is one
 * class; the longest label is tried first. ERR_USAGE with suggestions (by edit distance) if nothing
 * matches. */
status config_next_class(int *class_number, const char **typed, const class_choice *among);

#endif
