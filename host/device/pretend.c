/* Writes down what would be built. See pretend.h. */
#include "device/pretend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "device/opencl.h"

status device_pretend(device *d, pretended *p, const device_info *limits,
                      const device_settings *settings)
{
    *d = (device){.info = *limits,
                  .settings = *settings,
                  .pretended = p,
                  .family = settings->family,
                  .vector_width = 4};
    return memory_alloc(&d->handles, 1, sizeof *d->handles);
}

void pretended_free(pretended *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->kernels[i].file);
        free(p->kernels[i].name);
        free(p->kernels[i].options);
        free(p->kernels[i].path);
    }
    free(p->kernels);
    *p = (pretended){0};
}

/* name null: any kernel of the program. */
static pretended_kernel *find(pretended *p, const char *file, const char *name, const char *options)
{
    for (size_t i = 0; i < p->n; i++) {
        pretended_kernel *k = &p->kernels[i];
        if (!strcmp(k->file, file) && !strcmp(k->options, options) &&
            (!name || !strcmp(k->name, name)))
            return k;
    }
    return NULL;
}

/* folder/gemm-0123456789ab.cl: the file's stem and a hash of file and options. */
static status name_source(char **path, const char *folder, const char *file, const char *options)
{
    enum { DIGITS = 12 };
    char digits[HASH_TEXT], name[128], joined[4096];
    hash_work w;
    hash_start(&w);
    hash_add_text(&w, file);
    hash_add_text(&w, options);
    hash_text(digits, hash_end(&w));
    snprintf(name, sizeof name, "%.*s-%.*s.cl", (int)strcspn(file, "."), file, DIGITS, digits);
    status st = file_join(joined, sizeof joined, folder, name);
    return st == OK ? memory_strdup(path, joined) : st;
}

static status write_source(const char *path, const text *source)
{
    file_out out = {0};
    status st = file_out_open(&out, path);
    if (st != OK) return st;
    fwrite(source->data, 1, source->length, out.stream);
    st = file_out_finish(&out);
    if (st == OK) st = file_out_commit(&out, 1);
    file_out_discard(&out);
    return st;
}

status pretend_kernel(pretended *p, const char *file, const char *name, const char *options,
                      const text *source)
{
    status st = OK;
    if (find(p, file, name, options)) return OK;
    bool new_program = !find(p, file, NULL, options);
    TRY(memory_grow(&p->kernels, &p->capacity, p->n + 1, sizeof *p->kernels));
    pretended_kernel *k = &p->kernels[p->n++];
    *k = (pretended_kernel){.set = p->set, .precision = p->precision};
    TRY(memory_strdup(&k->file, file));
    TRY(memory_strdup(&k->name, name));
    TRY(memory_strdup(&k->options, options));
    TRY(name_source(&k->path, p->folder, file, options));
    if (new_program) TRY(write_source(k->path, source));
done:
    return st;
}

void pretend_launch(pretended *p, const char *file, const char *name, const char *options,
                    size_t group)
{
    pretended_kernel *k = find(p, file, name, options);
    if (k && k->group < group) k->group = group;
}
