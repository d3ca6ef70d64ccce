/* Command-line options as data: parsing, --help and "did you mean" come from one table. */
#ifndef DITCL_CLI_OPTIONS_H
#define DITCL_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum {
    OPTION_FLAG,   /* bool */
    OPTION_INT,    /* int, from least to most */
    OPTION_UINT64, /* uint64_t */
    OPTION_DOUBLE, /* double, from least to most */
    OPTION_TEXT,   /* const char * */
    OPTION_LIST,   /* text_list: repeatable, commas separate */
    OPTION_TEXTS,  /* text_list: repeatable, as typed */
    OPTION_CHOICE  /* int: index into choices, which end with a null */
} option_kind;

typedef struct {
    char **items; /* ends with a null; null if there are none */
    int n;
    size_t capacity;
} text_list;

typedef struct {
    const char *name; /* without dashes */
    char letter;      /* 0: none */
    option_kind kind;
    void *value;          /* initially the default */
    const char *argument; /* the value's name in the help */
    const char *help;
    double least, most;
    const char *const *choices;
} option;

typedef struct {
    const char *name, *arguments, *summary;
    const char *const *positional; /* names of the required words, in order; ends with a null */
    const char **values;           /* where they go */
    const char *details;           /* paragraphs behind the options, examples among them */
    const option *options;         /* ends with a null name */
    bool rest;                     /* more words may follow; they go to extra */
    text_list *extra;
} command;

/* Reads argv[0..argc), the words after the command's name. *helped: --help (or the single
 * word help) was given, and the help was printed. */
status options_parse(const command *c, int argc, char **argv, bool *helped);

void options_help(const command *c);
void text_list_free(text_list *list);

#endif
