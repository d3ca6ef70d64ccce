/* Files and exit codes. See surroundings.h. */
#include "cli/surroundings.h"

#include <stdio.h>

#include "cli/environment.h"
#include "cli/options.h"

typedef struct {
    const char *name, *what;
} row;

static const row files[] = {
    {"~/.config/ditcl/devices",
     "The measured configurations of each device. $XDG_CONFIG_HOME replaces ~/.config."},
    {"~/.cache/ditcl",
     "Built programs and the results of first-use checks. $XDG_CACHE_HOME replaces ~/.cache."},
    {"./models, share/ditcl/models",
     "Folders where ditcl looks up the name of a model: the first in the working folder, the "
     "second beside the folder of the program. $DITCL_MODELS comes before both. After them comes "
     "the cache of the Hugging Face hub."},
};

static const row codes[] = {
    {"0", "Done."},
    {"1", "Failed. The message says what, where, what was found and what was expected."},
    {"2", "Misused: the command line or an environment variable is wrong."},
    {"130", "Interrupted. Outputs that were not complete are removed."},
};

void surroundings_files(void (*visit)(const char *name, const char *what))
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) visit(files[i].name, files[i].what);
}

void surroundings_codes(void (*visit)(const char *name, const char *what))
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) visit(codes[i].name, codes[i].what);
}

static void print_row(const char *name, const char *what)
{
    printf("  %s\n", name);
    options_print_indented(what, 6);
}

void surroundings_print(void)
{
    printf("Environment variables. An empty value counts as unset:\n");
    environment_visit(print_row);
    printf("\nFiles:\n");
    surroundings_files(print_row);
    printf("\nExit codes:\n");
    surroundings_codes(print_row);
}
