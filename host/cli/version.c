/* ditcl --version. See version.h. */
#include "cli/version.h"

#include <stdio.h>

#include "base/text.h"
#include "base/version.h"
#include "device/clblast.h"
#include "device/versions.h"

#if defined(__clang__)
static const char compiler[] = "clang " __clang_version__;
#elif defined(__GNUC__)
static const char compiler[] = "gcc " __VERSION__;
#else
static const char compiler[] = "";
#endif

static const char *known(const char *value)
{
    return *value ? value : "unknown";
}

void version_print(void)
{
    char loader[TEXT_SHOWN_BYTES];
    opencl_loader_file(loader, sizeof loader);
    printf("ditcl %s\n", DITCL_VERSION);
    printf("commit    %s\n", known(version_commit));
    printf("compiler  %s\n", known(compiler));
    printf("OpenCL    headers %s, loader %s\n", known(opencl_headers_version),
           known(TEXT_SHOWN(loader)));
    printf("CLBlast   %s\n", known(clblast_version));
}
