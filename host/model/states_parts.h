/* Between the files states*.c: what a file holds, cut into groups, and the choice among them. */
#ifndef DITCL_MODEL_STATES_PARTS_H
#define DITCL_MODEL_STATES_PARTS_H

#include "model/states.h"

enum { STATES_MAX = 64 };

/* In the order of preference. */
typedef enum { STATE_AVERAGED, STATE_PLAIN, STATE_RAW, STATE_NEVER } state_class_name;

typedef struct {
    char *full;   /* the name without wrappers' words */
    size_t group; /* bytes of it that are the group's key; of an unknown name: the dictionaries' */
    size_t keys;  /* bytes of it that are dictionaries' keys */
    char *name;   /* bare */
    size_t at;    /* the tensor's place in the file */
    bool known, taken;
} state_entry;

typedef struct {
    char *key;
    size_t first, n; /* of the entries, which are sorted by group and name */
    size_t keys;
    bool whole; /* it has an anchor */
    state_class_name class;
    int rank; /* among those of a class: how usual the key is */
} state_group;

typedef struct {
    tensor_file *file;
    const state_kind *kind;
    const char *wanted, *wanted_cleaned; /* cleaned: without wrappers' words */
    state_entry *entries;
    size_t n;
    state_group groups[STATES_MAX];
    size_t n_groups;
    /* found out */
    const state_group *taken, *filled_from;
    const char *filled; /* the first */
    size_t n_filled, n_skipped;
} states;

/* What the words of a key, the nearest to the tensors first, say of the weights. */
state_class_name state_class_of(const char *key, size_t length);
/* So too, and what else the file tells. */
state_class_name state_class(const tensor_file *file, const char *key);
int state_rank(const char *key);

/* Is the entry's group one that may be taken? */
bool state_is_offered(const states *s, const state_entry *e);
/* The group's entry of this name, or null. */
const state_entry *state_find(const states *s, const state_group *g, const char *name);

/* Sets s->taken. */
status state_choose(states *s);
/* After the marks: what is said of the choice. */
status state_describe(state_taken *taken, const states *s);

#endif
