/* Shared by states*.c: the groups of a file's tensors, and the choice among them. */
#ifndef DITCL_CHECKPOINT_STATES_PARTS_H
#define DITCL_CHECKPOINT_STATES_PARTS_H

#include "checkpoint/states.h"

enum { STATES_MAX = 64 };

/* By descending preference. */
typedef enum { STATE_AVERAGED, STATE_PLAIN, STATE_RAW, STATE_NEVER } state_class_name;

typedef struct {
    char *full;   /* the name without the words of wrappers */
    size_t group; /* length of the group's key in `full`; unknown name: the same as keys */
    size_t keys;  /* length of the dictionaries' keys in `full` */
    char *name;   /* bare name */
    size_t at;    /* index of the tensor in the file */
    bool known, taken;
} state_entry;

typedef struct {
    char *key;
    size_t first, n; /* its entries, which are sorted by group and name */
    size_t keys;
    bool whole; /* it has an anchor */
    state_class_name class;
    int rank; /* how common the key is, within its class */
} state_group;

typedef struct {
    tensor_file *file;
    const state_kind *kind;
    const char *wanted, *wanted_cleaned; /* cleaned: without the words of wrappers */
    state_entry *entries;
    size_t n;
    state_group groups[STATES_MAX];
    size_t n_groups;
    /* results */
    const state_group *taken, *filled_from;
    const char *filled; /* the first tensor that came from filled_from */
    size_t n_filled, n_skipped;
} states;

/* The class of weights by the words of their key. Words nearer to the tensors have priority. */
state_class_name state_class_of(const char *key, size_t length);
/* The same, but also uses other contents of the file. */
state_class_name state_class(const tensor_file *file, const char *key);
int state_rank(const char *key);

/* True if the entry's group may be taken. */
bool state_is_offered(const states *s, const state_entry *e);
/* The group's entry of this name, or null. */
const state_entry *state_find(const states *s, const state_group *g, const char *name);

/* Sets s->taken. */
status state_choose(states *s);
/* Describes the choice. Call it after the entries are marked as taken. */
status state_describe(state_taken *taken, const states *s);

#endif
