/* Builds kernels. See program.h. */
#include "device/program.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "device/cache.h"
#include "device/opencl.h"
#include "device/pace.h"
#include "device/source.h"

static void kernel_free(kernel *k, bool lost)
{
    if (k->handle && !lost) clReleaseKernel(k->handle);
    if (k->program && !lost) clReleaseProgram(k->program);
    pace_free(k->rates);
    free(k->file);
    free(k->name);
    free(k->options);
    free(k);
}

void program_free_all(device *d)
{
    for (kernel *k = d->handles->kernels; k;) {
        kernel *next = k->next;
        kernel_free(k, d->handles->lost);
        k = next;
    }
    d->handles->kernels = NULL;
}

/* The compiler's log, or null if there is none. */
static char *build_log(const device *d, const kernel *k)
{
    size_t size = 0;
    char *log = NULL;
    cl_int code =
        clGetProgramBuildInfo(k->program, d->handles->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
    if (code != CL_SUCCESS || memory_alloc(&log, size + 1, 1) != OK) return NULL;
    clGetProgramBuildInfo(k->program, d->handles->id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
    return log;
}

/* The message has the first line of the log with an error. The whole log goes to stderr on request
 * only. */
static status build_failed(device *d, const kernel *k, cl_int code)
{
    if (code == CL_OUT_OF_HOST_MEMORY || code == CL_OUT_OF_RESOURCES)
        return fail_in(cl_fail("clBuildProgram", code), "cl/%s", k->file);
    char *log = build_log(d, k);
    const char *wanted = getenv("DITCL_BUILD_LOG");
    if (log && !d->settings.silent && wanted && !strcmp(wanted, "1")) text_print(stderr, log);
    char *first = log ? strstr(log, "error") : NULL;
    while (first && first > log && first[-1] != '\n') first--;
    int n = first ? (int)strcspn(first, "\n") : 0;
    fail(ERR_BUILD, "building cl/%s with %s: %s: %.*s", k->file, k->options, cl_error_name(code), n,
         first ? first : "");
    fail_hint("DITCL_BUILD_LOG=1 prints the compiler's whole log");
    free(log);
    return ERR_BUILD;
}

/* ---- the cache on disk ---- */

/* A hash of all that a program's binary depends on. */
static hash128 program_key(const device *d, const kernel *k, const text *source)
{
    char version[256] = "", numbers[64] = "";
    hash_work w;
    clGetPlatformInfo(d->info.platform_handle, CL_PLATFORM_VERSION, sizeof version - 1, version,
                      NULL);
    int n = snprintf(numbers, sizeof numbers, "%zu %u", sizeof(void *), d->info.native_vector);
    for (int i = 0; i < N_FEATURES; i++)
        n += snprintf(numbers + n, sizeof numbers - (size_t)n, " %d", d->feature[i]);
    const char *const parts[] = {"ditcl " DITCL_VERSION,
                                 numbers,
                                 d->info.platform,
                                 version,
                                 d->info.vendor,
                                 d->info.name,
                                 d->info.driver,
                                 d->info.version,
                                 k->file,
                                 k->options,
                                 source->data};
    hash_start(&w);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) hash_add_text(&w, parts[i]);
    return hash_end(&w);
}

static void note(const device *d, const kernel *k, const char *what)
{
    char line[1200];
    snprintf(line, sizeof line, "cl/%s %s: %s: %s", k->file, k->name, what, fail_line());
    if (d->settings.note) d->settings.note(line);
}

static status open_kernel(device *d, kernel *k)
{
    status st = OK;
    cl_int code;
    k->handle = clCreateKernel(k->program, k->name, &code);
    CL_TRY("clCreateKernel", code);
    CL_TRY("clGetKernelInfo",
           clGetKernelInfo(k->handle, CL_KERNEL_NUM_ARGS, sizeof k->n_args, &k->n_args, NULL));
    if (d->info.quirk.has[QUIRK_KERNEL_GROUPS_UNDERSTATED] ||
        clGetKernelWorkGroupInfo(k->handle, d->handles->id, CL_KERNEL_WORK_GROUP_SIZE,
                                 sizeof k->max_group, &k->max_group, NULL) != CL_SUCCESS)
        k->max_group = 0;
done:
    return st;
}

/* ERR_FILE if the cache has no such program; any other error if its file is unusable. */
static status load_stored(device *d, kernel *k)
{
    unsigned char *binary = NULL;
    size_t size = 0;
    cl_int code, of_binary = CL_SUCCESS;
    status st = OK;
    TRY(cache_read(&binary, &size, k->key));
    const unsigned char *pointer = binary;
    k->program = clCreateProgramWithBinary(d->handles->context, 1, &d->handles->id, &size, &pointer,
                                           &of_binary, &code);
    CL_TRY("clCreateProgramWithBinary", code != CL_SUCCESS ? code : of_binary);
    code = clBuildProgram(k->program, 1, &d->handles->id, k->options, NULL, NULL);
    if (code != CL_SUCCESS) TRY(build_failed(d, k, code));
    st = open_kernel(d, k);
done:
    free(binary);
    if (st == OK || !k->program) return st;
    clReleaseProgram(k->program);
    k->program = NULL;
    return st == ERR_FILE ? ERR_DEVICE : st;
}

static status store(device *d, kernel *k)
{
    unsigned char *binary = NULL;
    size_t size = 0;
    status st = OK;
    CL_TRY("clGetProgramInfo",
           clGetProgramInfo(k->program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL));
    if (size == 0) TRY(fail(ERR_DEVICE, "the driver gives no binary"));
    if (size > CACHE_FILE_BYTES) TRY(fail(ERR_LIMIT, "a binary of %zu bytes", size));
    TRY(memory_alloc(&binary, size, 1));
    unsigned char *pointers[1] = {binary};
    CL_TRY("clGetProgramInfo",
           clGetProgramInfo(k->program, CL_PROGRAM_BINARIES, sizeof pointers, pointers, NULL));
    TRY(cache_write(k->key, binary, size));
    d->programs.stored++;
done:
    free(binary);
    return st;
}

/* True if these options make cl/prelude.clh or cl/mma.clh use inline assembly. */
static bool has_assembly(const char *options)
{
    return strstr(options, "-DVECTOR_ASSEMBLY=1") || strstr(options, "-DTILES") ||
           strstr(options, "-DMATRIX_UNIT_MMA");
}

void program_store_all(device *d)
{
    for (kernel *k = d->handles->kernels; k; k = k->next) {
        if (!k->unstored || !k->launched) continue;
        if (d->info.quirk.has[QUIRK_NO_ASSEMBLY_BINARIES] && has_assembly(k->options)) continue;
        for (kernel *other = k; other; other = other->next)
            if (other->program == k->program) other->unstored = false;
        if (store(d, k) == OK) continue;
        note(d, k, "not stored in the cache");
        return; /* the next program would fail, too */
    }
}

/* ---- building ---- */

static status build_source(device *d, kernel *k, const text *source)
{
    status st = OK;
    cl_int code;
    const char *pointer = source->data;
    k->program =
        clCreateProgramWithSource(d->handles->context, 1, &pointer, &source->length, &code);
    CL_TRY("clCreateProgramWithSource", code);
    double start = clock_seconds();
    if (d->settings.building) d->settings.building(k->file);
    code = clBuildProgram(k->program, 1, &d->handles->id, k->options, NULL, NULL);
    k->build_seconds = clock_seconds() - start;
    if (code != CL_SUCCESS) {
        st = build_failed(d, k, code);
        goto done;
    }
    d->programs.built++;
    k->unstored = !d->settings.no_cache;
    TRY(open_kernel(d, k));
done:
    return st;
}

/* Takes the program from the cache on disk, else builds it from source. */
static status program_build(device *d, kernel *k)
{
    status st = OK, stored = ERR_FILE;
    text source = {0};
    TRY(source_program(&source, k->file));
    k->key = program_key(d, k, &source);
    if (!d->settings.no_cache) stored = load_stored(d, k);
    if (stored == OK) {
        d->programs.loaded++;
        goto done;
    }
    if (stored != ERR_FILE) {
        d->programs.refused++;
        note(d, k, "built anew");
        cache_forget(k->key);
    }
    TRY(build_source(d, k, &source));
done:
    text_free(&source);
    return st;
}

/* Finds the program of another kernel that has the same file and options, or adds a new one. */
static status find_program(device *d, kernel *k)
{
    for (kernel *other = d->handles->kernels; other; other = other->next) {
        if (strcmp(other->file, k->file) != 0 || strcmp(other->options, k->options) != 0) continue;
        clRetainProgram(other->program);
        k->program = other->program;
        k->key = other->key;
        k->unstored = other->unstored;
        return open_kernel(d, k);
    }
    return program_build(d, k);
}

void program_each(const device *d, void (*visit)(void *context, const program_facts *p),
                  void *context)
{
    if (!d->handles) return;
    for (const kernel *k = d->handles->kernels; k; k = k->next)
        visit(context, &(program_facts){k->file, k->name, k->options, k->build_seconds});
}

status program_get(device *d, kernel **out, const char *file, const char *name,
                   const char *options_format, ...)
{
    char options[512];
    *out = NULL;
    if (d->dry) return OK;
    int family = snprintf(options, sizeof options, "%s%s", d->family == FAMILY_CPU ? "-DCPU " : "",
                          d->info.quirk.has[QUIRK_ANY_GROUP] ? "-DANY_GROUP " : "");
    va_list args;
    va_start(args, options_format);
    int used = vsnprintf(options + family, sizeof options - (size_t)family, options_format, args);
    va_end(args);
    if (used < 0 || (size_t)(family + used) >= sizeof options)
        return fail(ERR_BUILD, "cl/%s: build options too long", file);
    for (kernel *k = d->handles->kernels; k; k = k->next)
        if (!strcmp(k->name, name) && !strcmp(k->file, file) && !strcmp(k->options, options)) {
            *out = k;
            return OK;
        }
    status st = OK;
    kernel *k = NULL;
    if (d->handles->lost) return cl_fail_lost(d);
    TRY(memory_alloc(&k, 1, sizeof *k));
    TRY(memory_strdup(&k->file, file));
    TRY(memory_strdup(&k->name, name));
    TRY(memory_strdup(&k->options, options));
    TRY(find_program(d, k));
    k->next = d->handles->kernels;
    d->handles->kernels = k;
    *out = k;
done:
    if (st != OK && k) kernel_free(k, d->handles->lost);
    return st;
}
