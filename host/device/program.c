/* Builds kernels. See program.h. */
#include "device/program.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "device/opencl.h"
#include "device/source.h"

static void kernel_free(kernel *k)
{
    if (k->handle) clReleaseKernel(k->handle);
    if (k->program) clReleaseProgram(k->program);
    free(k->file);
    free(k->name);
    free(k->options);
    free(k);
}

void program_free_all(device *d)
{
    for (kernel *k = d->handles->kernels; k;) {
        kernel *next = k->next;
        kernel_free(k);
        k = next;
    }
    d->handles->kernels = NULL;
}

/* The whole log goes to stderr only on request; the message takes its first line with an error. */
static status build_failed(device *d, const kernel *k, cl_int code)
{
    size_t size = 0;
    char *log = NULL;
    clGetProgramBuildInfo(k->program, d->handles->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
    if (size && (log = calloc(size + 1, 1)))
        clGetProgramBuildInfo(k->program, d->handles->id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    if (log && getenv("DITCL_BUILD_LOG")) fprintf(stderr, "%s\n", log);
    char *first = log ? strstr(log, "error") : NULL;
    while (first && first > log && first[-1] != '\n') first--;
    int n = first ? (int)strcspn(first, "\n") : 0;
    fail(ERR_BUILD, "building cl/%s with %s: %s: %.*s", k->file, k->options, cl_error_name(code),
         n, first ? first : "");
    fail_hint("DITCL_BUILD_LOG=1 prints the compiler's whole log");
    free(log);
    return ERR_BUILD;
}

static status build(device *d, kernel *k)
{
    status st = OK;
    char *prelude = NULL, *source = NULL;
    text whole = {0};
    cl_int code;
    TRY(source_read(&prelude, "prelude.clh"));
    TRY(source_read(&source, k->file));
    TRY(text_append(&whole, "%s\n#line 1 \"cl/%s\"\n%s", prelude, k->file, source));
    const char *pointer = whole.data;
    k->program = clCreateProgramWithSource(d->handles->context, 1, &pointer, &whole.length, &code);
    CL_TRY("clCreateProgramWithSource", code);
    code = clBuildProgram(k->program, 1, &d->handles->id, k->options, NULL, NULL);
    if (code != CL_SUCCESS) {
        st = build_failed(d, k, code);
        goto done;
    }
    k->handle = clCreateKernel(k->program, k->name, &code);
    CL_TRY("clCreateKernel", code);
    CL_TRY("clGetKernelInfo", clGetKernelInfo(k->handle, CL_KERNEL_NUM_ARGS, sizeof k->n_args,
                                              &k->n_args, NULL));
done:
    free(prelude);
    free(source);
    text_free(&whole);
    return st;
}

status program_get(device *d, kernel **out, const char *file, const char *name,
                   const char *options_format, ...)
{
    char options[512];
    va_list args;
    va_start(args, options_format);
    int used = vsnprintf(options, sizeof options, options_format, args);
    va_end(args);
    if (used < 0 || (size_t)used >= sizeof options)
        return fail(ERR_BUILD, "cl/%s: build options too long", file);
    for (kernel *k = d->handles->kernels; k; k = k->next)
        if (!strcmp(k->name, name) && !strcmp(k->file, file) && !strcmp(k->options, options)) {
            *out = k;
            return OK;
        }
    status st = OK;
    kernel *k = NULL;
    TRY(memory_alloc(&k, 1, sizeof *k));
    TRY(memory_strdup(&k->file, file));
    TRY(memory_strdup(&k->name, name));
    TRY(memory_strdup(&k->options, options));
    TRY(build(d, k));
    k->next = d->handles->kernels;
    d->handles->kernels = k;
    *out = k;
done:
    if (st != OK && k) kernel_free(k);
    return st;
}
