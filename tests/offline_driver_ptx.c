/* Programs and launches of an offline device that runs PTX. See offline_driver.c and ptx.h. */
#include "offline_driver.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MOST_WORDS = 256 };

/* ---- programs ---- */

static bool write_text(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");
    bool good = out && fputs(text, out) >= 0;
    if (out && fclose(out)) good = false;
    return good;
}

static char *read_text(const char *path)
{
    FILE *in = fopen(path, "r");
    char *text = NULL;
    size_t room = 0;
    if (!in) return NULL;
    if (getdelim(&text, &room, 0, in) < 0) {
        free(text);
        text = NULL;
    }
    fclose(in);
    return text;
}

/* Runs offline.ptx SOURCE RESULT OPTION... */
static bool compile(const char *source, const char *result, const char *options)
{
    char *words[MOST_WORDS] = {offline.ptx, (char *)(uintptr_t)source, (char *)(uintptr_t)result};
    char *copy = strdup(options), *rest = copy;
    pid_t child;
    int n = 3, ended = 0;
    for (char *word; copy && (word = strsep(&rest, " \n")) && n < MOST_WORDS - 1;)
        if (*word) words[n++] = word;
    bool compiled = copy && !posix_spawn(&child, offline.ptx, NULL, NULL, words, environ) &&
                    waitpid(child, &ended, 0) == child && ended == 0;
    free(copy);
    return compiled;
}

bool ptx_device_build(cl_program p)
{
    char folder[] = "/tmp/ptx-XXXXXX", source[64], result[64];
    snprintf(p->log, sizeof p->log, "%s: no temporary folder", offline.ptx);
    if (!mkdtemp(folder)) return false;
    snprintf(source, sizeof source, "%s/k.cl", folder);
    snprintf(result, sizeof result, "%s/k.ptx", folder);
    snprintf(p->log, sizeof p->log, "%s failed", offline.ptx);
    bool compiled = write_text(source, p->source) && compile(source, result, p->options);
    char *text = compiled ? read_text(result) : NULL;
    ptx_free(p->ptx);
    p->ptx = text ? ptx_parse(text, p->log) : NULL;
    if (p->ptx)
        *p->log = 0;
    else
        fprintf(stderr, "offline_driver: %s\n", p->log);
    free(text);
    unlink(source);
    unlink(result);
    rmdir(folder);
    return p->ptx != NULL;
}

/* ---- launches ---- */

/* With DITCL_PTX_COUNTS, a file, each launch adds a line to it. */
static void write_counts(cl_kernel k, const ptx_launch *l, const ptx_counts *c)
{
    const char *path = getenv("DITCL_PTX_COUNTS");
    FILE *out = path && *path ? fopen(path, "a") : NULL;
    if (!out) return;
    fprintf(out, "%s\t%u\t%u", k->listed->name, l->groups[0] * l->groups[1] * l->groups[2],
            l->local[0] * l->local[1] * l->local[2]);
    const uint64_t all[] = {c->instructions, c->mma,         c->wavefronts,
                            c->shared_bytes, c->global_read, c->global_written};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        fprintf(out, "\t%llu", (unsigned long long)all[i]);
    fprintf(out, "\t%zu\t%s\n", ptx_shared_bytes(k->ptx), k->program->options);
    fclose(out);
}

cl_int ptx_device_launch(cl_kernel k, cl_uint dims, const size_t *offset, const size_t *global,
                         const size_t *local)
{
    static unsigned launches;
    unsigned launch = __atomic_fetch_add(&launches, 1, __ATOMIC_SEQ_CST);
    ptx_launch l = {.order = (ptx_order)(launch % N_PTX_ORDERS), .seed = launch};
    char why[PTX_WHY];
    ptx_counts counts;
    for (int i = 0; i < 3; i++) {
        size_t group = (cl_uint)i < dims && local ? local[i] : 1;
        l.local[i] = (unsigned)group;
        l.groups[i] = (cl_uint)i < dims ? (unsigned)(global[i] / group) : 1;
        l.offset[i] = (cl_uint)i < dims && offset ? (unsigned)offset[i] : 0;
    }
    for (int i = 0; i < ptx_arguments(k->ptx); i++) {
        cl_mem m = (cl_mem)(uintptr_t)k->values[i];
        bool buffer = ptx_is_pointer(k->ptx, i);
        l.args[i] = !buffer ? k->values[i] : m ? (uint64_t)(uintptr_t)m->data : 0;
    }
    ptx_buffer *buffers = offline_buffers(&l.n_buffers);
    l.buffers = buffers;
    bool right = buffers && ptx_run(k->ptx, &l, &counts, why);
    free(buffers);
    if (right) {
        write_counts(k, &l, &counts);
        return CL_SUCCESS;
    }
    fprintf(stderr, "offline_driver: %s\n", why);
    return CL_OUT_OF_RESOURCES;
}
