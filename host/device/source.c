/* Kernel text by name. See source.h. */
#include "device/source.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

status source_read(char **out, const char *name)
{
    const char *folder = getenv("DITCL_CL_DIR");
    if (folder && *folder) {
        char path[4096];
        status st = file_join(path, sizeof path, folder, name);
        return st == OK ? file_read_text(out, path, (size_t)1 << 24) : st;
    }
    for (const embedded_file *f = embedded_files; f->name; f++)
        if (!strcmp(f->name, name)) return memory_strdup(out, f->data);
    return fail(ERR_BUILD, "kernel file %s is not in this program", name);
}

/* Returns the name in a line #include "NAME.clh". Returns false for other lines. */
static bool included(char name[64], const char *line)
{
    static const char word[] = "#include \"";
    if (strncmp(line, word, sizeof word - 1) != 0) return false;
    line += sizeof word - 1;
    size_t n = strcspn(line, "\"\n");
    if (line[n] != '"' || n >= 64) return false;
    snprintf(name, 64, "%.*s", (int)n, line);
    return true;
}

static status add_file(text *out, const char *file)
{
    char *body = NULL, *next = NULL, name[64];
    int line_number = 0;
    status st = OK;
    TRY(source_read(&body, file));
    TRY(text_append(out, "\n#line 1 \"cl/%s\"\n", file));
    for (char *line = body; line; line = next) {
        line_number++;
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        if (!included(name, line)) {
            TRY(text_append(out, "%s%s", line, next ? "\n" : ""));
            continue;
        }
        TRY(add_file(out, name));
        TRY(text_append(out, "\n#line %d \"cl/%s\"\n", line_number + 1, file));
    }
done:
    free(body);
    return st;
}

status source_program(text *out, const char *file)
{
    char *prelude = NULL;
    status st = source_read(&prelude, "prelude.clh");
    if (st == OK) st = text_append(out, "%s", prelude);
    free(prelude);
    return st == OK ? add_file(out, file) : st;
}
