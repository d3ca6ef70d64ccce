/* The log file. See tuning_log.h. */
#include "tune/tuning_log.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"
#include "tune/store.h"

enum { PATH_BYTES = 4096, MOST_BYTES = 1 << 24, KEY = 256 };

static status path_of(char out[PATH_BYTES], const device_info *info)
{
    status st = store_path(out, PATH_BYTES - 16, info);
    if (st == OK) strcpy(strrchr(out, '.'), ".tried");
    return st;
}

/* "gemm gpu auto 512x4608x1152 gpu DRIVER+KERNELS" */
static status key_of(char out[KEY], const device *d, const op_impl *t, const int *shape)
{
    char sizes[SHAPE_TEXT], kernels[STORE_HASH], both[HASH_TEXT];
    hash_work w;
    status st = store_kernels(kernels, t->file);
    if (st != OK) return st;
    hash_start(&w);
    hash_add_text(&w, d->info.platform);
    hash_add_text(&w, d->info.driver);
    hash_add_text(&w, kernels);
    hash_text(both, hash_end(&w));
    shape_text(sizes, shape);
    snprintf(out, KEY, "%s %s %s %s %s %.16s", t->op, kernel_family_names[d->family],
             precision_names[d->settings.precision], sizes, t->name, both);
    return OK;
}

/* ---- reading ---- */

/* "KEY v v v"; false: the line is of another device or driver, or unreadable. */
static bool parse_try(const tuning_log *l, tuning_log_entry *e, const char *line)
{
    char op[32], sizes[SHAPE_TEXT], kind[32], key[KEY];
    const op_impl *all[MOST_IMPLS];
    const operator* o = operators;
    *e = (tuning_log_entry){.outcome = OUTCOME_DIED};
    if (sscanf(line, "%31s %*s %*s %47s %31s", op, sizes, kind) != 3) return false;
    while (o->op && strcmp(o->op, op) != 0) o++;
    if (!o->op || !shape_parse(e->shape, sizes)) return false;
    for (int i = operator_impls(o, NULL, NULL, all) - 1; i >= 0; i--)
        if (!strcmp(all[i]->name, kind)) e->t = all[i];
    if (!e->t || key_of(key, l->d, e->t, e->shape) != OK) return false;
    size_t n = strlen(key);
    if (strncmp(line, key, n) != 0) return false;
    for (int i = 0; i < e->t->n; i++) {
        int used = 0;
        if (sscanf(line + n, " %d%n", &e->values[i], &used) != 1) return false;
        n += (size_t)used;
    }
    return configuration_valid(l->d, e->t, e->values, e->shape);
}

static void parse_was(tuning_log_entry *e, const char *line)
{
    if (!strcmp(line, "wrong"))
        e->outcome = OUTCOME_WRONG;
    else if (!strcmp(line, "failed"))
        e->outcome = OUTCOME_FAILED;
    else if (sscanf(line, "%lf %lf %lf", &e->time.seconds, &e->time.executed[ROOF_FP32],
                    &e->time.executed[ROOF_16BIT]) >= 1 &&
             e->time.seconds > 0.0 && e->time.seconds < 1e6)
        e->outcome = OUTCOME_TIME;
}

/* The number at the start of a line; *rest = the text after it, or null if there is no number. */
static unsigned number_of(const char *line, const char **rest)
{
    char *end;
    unsigned long number = strtoul(line, &end, 10);
    *rest = end > line && *end == ' ' && number <= UINT_MAX ? end + 1 : NULL;
    return (unsigned)number;
}

static void read_was(tuning_log *l, unsigned number, const char *line)
{
    for (size_t i = l->n; i > 0; i--) {
        if (l->items[i - 1].number != number) continue;
        parse_was(&l->items[i - 1], line);
        return;
    }
}

static status read_all(tuning_log *l, char *all)
{
    for (char *next = all; next;) {
        const char *line = strsep(&next, "\n"), *rest;
        bool began = !strncmp(line, "try ", 4);
        if (!began && strncmp(line, "was ", 4) != 0) continue;
        unsigned number = number_of(line + 4, &rest);
        if (!rest) continue;
        if (!began) {
            read_was(l, number, rest);
            continue;
        }
        if (number >= l->numbers) l->numbers = number + 1;
        status st = memory_grow(&l->items, &l->capacity, l->n + 1, sizeof *l->items);
        if (st != OK) return st;
        if (!parse_try(l, &l->items[l->n], rest)) continue;
        l->items[l->n++].number = number;
    }
    return OK;
}

/* ---- all of it ---- */

status tuning_log_open(tuning_log *l, const device *d)
{
    char path[PATH_BYTES], folder[PATH_BYTES], *all = NULL;
    status st = OK;
    *l = (tuning_log){.d = d};
    TRY(path_of(path, &d->info));
    if (file_exists(path)) {
        if (file_read_text(&all, path, MOST_BYTES) == OK)
            TRY(read_all(l, all));
        else
            fail_clear(); /* a damaged file: new lines follow it */
    }
    text_copy(folder, sizeof folder, path);
    *strrchr(folder, '/') = 0;
    TRY(file_make_folders(folder));
    l->file = fopen(path, "ae");
    if (!l->file)
        st = fail(ERR_FILE, "%s: cannot write: %s", path, strerror(errno));
    else
        fputs("\n", l->file); /* the last line may be incomplete */
done:
    free(all);
    if (st != OK) tuning_log_close(l);
    return st;
}

void tuning_log_close(tuning_log *l)
{
    if (l->file) fclose(l->file);
    free(l->items);
    *l = (tuning_log){0};
}

const tuning_log_entry *tuning_log_find(const tuning_log *l, const op_impl *t, const int *shape,
                                        const int *values)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->items[i].t == t && !memcmp(l->items[i].shape, shape, sizeof l->items[i].shape) &&
            !memcmp(l->items[i].values, values, sizeof l->items[i].values))
            return &l->items[i];
    return NULL;
}

static status write_line(tuning_log *l)
{
    if (fputs("\n", l->file) < 0 || fflush(l->file) != 0)
        return fail(ERR_FILE, "cannot write the tuning log: %s", strerror(errno));
    fsync(fileno(l->file));
    return OK;
}

status tuning_log_begin(tuning_log *l, size_t *which, const op_impl *t, const int *shape,
                        const int *values)
{
    char key[KEY];
    status st = memory_grow(&l->items, &l->capacity, l->n + 1, sizeof *l->items);
    if (st == OK) st = key_of(key, l->d, t, shape);
    if (st != OK) return st;
    tuning_log_entry *e = &l->items[ *which = l->n++];
    *e = (tuning_log_entry){.t = t, .outcome = OUTCOME_DIED, .number = l->numbers++};
    memcpy(e->shape, shape, sizeof e->shape);
    memcpy(e->values, values, sizeof e->values);
    fprintf(l->file, "try %u %s", e->number, key);
    for (int i = 0; i < t->n; i++) fprintf(l->file, " %d", values[i]);
    return write_line(l);
}

status tuning_log_end(tuning_log *l, size_t which, tuning_outcome outcome,
                      const candidate_time *time)
{
    static const char *const names[] = {"", "wrong", "failed", "died"};
    tuning_log_entry *e = &l->items[which];
    e->outcome = outcome;
    if (time) e->time = *time;
    fprintf(l->file, "was %u ", e->number);
    if (outcome == OUTCOME_TIME)
        fprintf(l->file, "%.9g %.9g %.9g", time->seconds, time->executed[ROOF_FP32],
                time->executed[ROOF_16BIT]);
    else
        fputs(names[outcome], l->file);
    return write_line(l);
}

void tuning_log_forget(const device_info *info)
{
    char path[PATH_BYTES];
    if (path_of(path, info) == OK) remove(path);
}
