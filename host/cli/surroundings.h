/* What `ditcl help environment` and the manual page say of files and exit codes, as tables, and the
 * plain page. environment.h has the table of variables. */
#ifndef DITCL_CLI_SURROUNDINGS_H
#define DITCL_CLI_SURROUNDINGS_H

/* Call visit for each file or folder, or exit code, with what it is. */
void surroundings_files(void (*visit)(const char *name, const char *what));
void surroundings_codes(void (*visit)(const char *name, const char *what));

/* Prints environment variables, files and exit codes. */
void surroundings_print(void);

#endif
