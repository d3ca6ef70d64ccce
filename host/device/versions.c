/* Versions. See versions.h. */
#include "device/versions.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "base/text.h"

const char opencl_headers_version[] = DITCL_OPENCL_HEADERS;

void opencl_loader_file(char *out, size_t size)
{
    Dl_info library;
    void *function = dlsym(RTLD_DEFAULT, "clGetPlatformIDs");
    char *file = NULL;
    if (function && dladdr(function, &library) && library.dli_fname)
        file = realpath(library.dli_fname, NULL);
    text_copy(out, size, file ? file : "");
    free(file);
}
