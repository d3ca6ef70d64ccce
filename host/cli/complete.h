/* Completion of command lines in shells. A script, which `ditcl completion` prints, asks the
 * program by `ditcl --complete WORD...` what the last word could become. So every shell knows the
 * options, models, classes and devices that this program knows. */
#ifndef DITCL_CLI_COMPLETE_H
#define DITCL_CLI_COMPLETE_H

#include "cli/options.h"

/* The line that says: the word may also be the name of a file. */
#define COMPLETE_FILES ":files"

/* The shells that completion knows; ends with a null. */
extern const char *const completion_shells[];

/* Prints one candidate and a tab and what it means, if the candidate begins with typed. prefix: the
 * part of the word before it, which the candidate keeps. what: may be null. */
void complete_put(const char *prefix, const char *typed, const char *candidate, const char *what);

/* Prints the candidates for the last of the words that follow the name of the command. */
void complete_command(const command *c, int n, char **words);

#endif
