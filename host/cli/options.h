/* Command-line options as data: parsing, --help, the manual page and "did you mean" read one table.
 */
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
    OPTION_CHOICE, /* int: index into choices, which end with a null */
    OPTION_GROUP   /* no option: help is the heading of the rows that follow */
} option_kind;

typedef struct {
    char **items; /* ends with a null; null if there are none */
    int n;
    size_t capacity;
} text_list;

typedef struct {
    const char *name; /* without dashes; empty for a heading */
    char letter;      /* 0: none */
    option_kind kind;
    void *value;          /* initially the default */
    const char *argument; /* the value's name in the help */
    const char *help;     /* the first line; --help -v also prints the text after "\n" */
    double least, most;
    const char *const *choices;
} option;

/* A table row that begins a group. */
#define OPTION_HEADING(title)                                                                      \
    {                                                                                              \
        .name = "", .kind = OPTION_GROUP, .help = (title)                                          \
    }

typedef struct {
    const char *name, *arguments, *summary;
    const char *const *positional; /* names of the required arguments, in order; ends with a null */
    const char **values;           /* receive the required arguments */
    const char *details;           /* paragraphs that --help prints after the options */
    const char *more;              /* paragraphs that only --help -v prints, or null */
    const option *options;         /* ends with a null name */
    bool own_program;              /* its name is ditcl-NAME */
    bool rest;                     /* extra receives the arguments after the required ones */
    text_list *extra;
} command;

/* Parses argv[0..argc), the arguments after the command's name. If --help, -h or the single
 * argument help is among them, prints the help and sets *helped. The single argument --man prints
 * the command's part of the manual page; --complete WORD... prints what WORD could become. */
status options_parse(const command *c, int argc, char **argv, bool *helped);

/* Prints the help. detailed: --help -v, with the rest of each option's text. */
void options_help(const command *c, bool detailed);

/* Prints the words as help does: wrapped, and every line indented. */
void options_print_indented(const char *words, int indent);
/* Calls visit for each option on the command line with its value (null: a flag), and for each
 * argument with a null option, in their order. The command line was parsed without an error. */
status options_walk(const command *c, int argc, char **argv,
                    status (*visit)(void *context, const option *o, const char *value),
                    void *context);

/* Appends a word. */
status text_list_add(text_list *list, const char *word);

/* The option that a word names, such as --seed, --seed=7, -s or -s7; null: none. */
const option *options_named(const command *c, const char *word);
void text_list_free(text_list *list);

#endif
