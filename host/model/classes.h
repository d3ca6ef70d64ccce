/* Names of classes: id2label of model_index.json, and what a user may type for one. */
#ifndef DITCL_MODEL_CLASSES_H
#define DITCL_MODEL_CLASSES_H

#include "base/status.h"

/* id2label: numbers -> names, synonyms separated by commas. */
typedef struct {
    int n;        /* highest named class + 1: 0 when the file names none */
    char **names; /* names[i]: all synonyms of class i as the file writes them, or null */
} class_names;

/* json: the text of model_index.json; path: for messages only. Entries outside 0..n_classes-1 are
 * refused. On failure *names is zero. */
status config_parse_names(class_names *names, const char *json, const char *path, int n_classes);
void config_free_names(class_names *names);

/* Finds a class by what a user typed: a number (always allowed); else a name or synonym, exact
 * before prefix, case ignored; what fits two classes is refused. ERR_USAGE with suggestions (edit
 * distance) else. */
status config_find_class(int *class_number, const class_names *names, const char *typed,
                         int n_classes);

#endif
