/* Reads a pickle (protocols 2 to 5) as a graph of plain nodes. Nothing is executed, imported or
 * constructed: a call becomes a node with the function's name and arguments. So any class may
 * occur, and this file knows none. The numbers of nodes and items and the sizes of stack and memo
 * are bounded. The graph may have cycles. */
#ifndef DITCL_FILES_PICKLE_H
#define DITCL_FILES_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum {
    PICKLE_OTHER, /* None, bytes, sets: contents are dropped */
    PICKLE_INT,   /* also booleans */
    PICKLE_FLOAT,
    PICKLE_TEXT,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_CLASS,     /* a class or function, by its name */
    PICKLE_CALL,      /* the result of a call; may have items like a dictionary */
    PICKLE_PERSISTENT /* an object that the reading program supplies, by its id */
} pickle_kind;

typedef struct {
    const char *at; /* inside the pickle, not NUL-terminated */
    size_t length;
} pickle_span;

typedef uint32_t pickle_ref; /* index of a node */

typedef struct {
    pickle_kind kind;
    pickle_ref function, arguments; /* for PICKLE_CALL; PICKLE_PERSISTENT: arguments is the id */
    /* of PICKLE_CALL: the object's attributes, usually a PICKLE_DICT, or PICKLE_OTHER */
    pickle_ref attributes;
    union {
        int64_t integer;
        double number;
        struct {
            pickle_span text, module; /* of PICKLE_TEXT and PICKLE_CLASS */
        };
        struct { /* elements; or key, value, key, value, ... */
            pickle_ref *items;
            size_t n_items, capacity;
        };
    };
} pickle_node;

typedef struct {
    pickle_node *nodes;
    size_t n_nodes, node_capacity;
    pickle_ref root;
    size_t n_items; /* sum over all nodes */
} pickle;

/* Reads one pickle from the beginning of data. *used = its size in bytes, if used is not null.
 * where: for messages. */
status pickle_read(pickle *p, const unsigned char *data, size_t size, const char *where,
                   size_t *used);
void pickle_free(pickle *p);

bool pickle_text_is(pickle_span text, const char *expected);

#endif
