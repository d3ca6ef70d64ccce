/* Kernel text by name. See source.h. */
#include "device/source.h"

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
