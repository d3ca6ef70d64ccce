/* The tuning log: the candidates that `ditcl tune` has tried on a device, in the file
 * <device>.tried in the folder of the store. A candidate is written before it runs and its outcome
 * afterwards, so a candidate that ended the process or the machine is not tried again. Unreadable
 * lines are skipped. The lines are:
 *
 *     try 17 gemm gpu auto 512x4608x1152 gpu HASH 64 128 16 ...
 *     was 17 0.0021 4.9e9 0 | was 17 wrong | was 17 failed | was 17 died */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "tune/search.h"

enum { PATH_BYTES = 4096, MOST_BYTES = 1 << 24, LINE = 512 };

static status path_of(char out[PATH_BYTES], const device_info *info)
{
    status st = store_path(out, PATH_BYTES - 16, info);
    if (st == OK) strcpy(strrchr(out, '.'), ".tried");
    return st;
}

/* "gemm gpu auto 512x4608x1152 gpu HASH 64 128 16"; the hash: of the driver and the kernels. */
static status write_words(char out[LINE], const device *d, const candidate *c, const int *shape)
{
    char sizes[SHAPE_TEXT], kernels[STORE_HASH], both[HASH_TEXT], words[CANDIDATE_TEXT];
    hash_work w;
    status st = store_kernels(kernels, c->impl->file);
    if (st != OK) return st;
    hash_start(&w);
    hash_add_text(&w, d->info.platform);
    hash_add_text(&w, d->info.driver);
    hash_add_text(&w, kernels);
    hash_text(both, hash_end(&w));
    shape_text(sizes, shape);
    candidate_text(words, c);
    snprintf(out, LINE, "%s %s %s %s %s %.16s%s", c->impl->op, kernel_family_names[d->family],
             precision_names[d->settings.precision], sizes, c->impl->name, both,
             words + strlen(c->impl->name));
    return OK;
}

/* ---- reading ---- */

/* Returns false if the line is of another device or driver, or unreadable. */
static bool parse_try(const tuning_log *l, log_entry *e, const char *line)
{
    char op[32], sizes[SHAPE_TEXT], name[32], words[CANDIDATE_TEXT], same[LINE];
    int used = 0;
    *e = (log_entry){.outcome = OUTCOME_DIED};
    if (sscanf(line, "%31s %*s %*s %47s %31s %*s%n", op, sizes, name, &used) != 3 || !used)
        return false;
    snprintf(words, sizeof words, "%s%s", name, line + used);
    return shape_parse(e->shape, sizes) && candidate_parse(&e->is, op, words) &&
           impl_fits(e->is.impl, l->d, e->is.config, e->shape) &&
           write_words(same, l->d, &e->is, e->shape) == OK && !strcmp(line, same);
}

static void parse_was(log_entry *e, const char *line)
{
    if (!strcmp(line, "wrong"))
        e->outcome = OUTCOME_WRONG;
    else if (!strcmp(line, "failed"))
        e->outcome = OUTCOME_FAILED;
    else if (sscanf(line, "%lf %lf %lf", &e->time.seconds, &e->time.executed[ROOF_FP32],
                    &e->time.executed[ROOF_16BIT]) >= 1 &&
             e->time.seconds > 0.0 && e->time.seconds < 1e6)
        e->outcome = OUTCOME_RIGHT;
}

static status read_line(tuning_log *l, const char *line)
{
    char verb[4];
    unsigned number;
    int used = 0;
    status st = OK;
    if (sscanf(line, "%3s %u %n", verb, &number, &used) != 2 || !used) return OK;
    if (!strcmp(verb, "try")) {
        if (number >= l->numbers && number < UINT_MAX) l->numbers = number + 1;
        st = memory_grow(&l->items, &l->capacity, l->n + 1, sizeof *l->items);
        if (st != OK || !parse_try(l, &l->items[l->n], line + used)) return st;
        l->items[l->n++].number = number;
    } else if (!strcmp(verb, "was")) {
        for (size_t i = l->n; i > 0; i--)
            if (l->items[i - 1].number == number) {
                parse_was(&l->items[i - 1], line + used);
                break;
            }
    }
    return OK;
}

status log_open(tuning_log *l, const device *d)
{
    char path[PATH_BYTES], *all = NULL;
    status st = OK;
    *l = (tuning_log){.d = d};
    TRY(path_of(path, &d->info));
    if (file_exists(path) && file_read_text(&all, path, MOST_BYTES) != OK)
        fail_clear(); /* a damaged file is not read; new lines follow its content */
    for (char *next = all; next;) TRY(read_line(l, strsep(&next, "\n")));
    char *name = strrchr(path, '/');
    *name = 0;
    TRY(file_make_folders(path));
    *name = '/';
    l->file = fopen(path, "ae");
    if (!l->file) TRY(fail(ERR_FILE, "%s: cannot write: %s", path, strerror(errno)));
    fputs("\n", l->file); /* the last line may be incomplete */
done:
    free(all);
    if (st != OK) log_close(l);
    return st;
}

void log_close(tuning_log *l)
{
    if (l->file) fclose(l->file);
    free(l->items);
    *l = (tuning_log){0};
}

bool log_has(const tuning_log *l, const candidate *c, const int *shape)
{
    for (size_t i = 0; i < l->n; i++)
        if (candidate_equal(&l->items[i].is, c) && shape_equal(l->items[i].shape, shape))
            return true;
    return false;
}

/* ---- writing ---- */

static status write_line(tuning_log *l, const char *verb, unsigned number, const char *words)
{
    if (fprintf(l->file, "%s %u %s\n", verb, number, words) < 0 || fflush(l->file) != 0)
        return fail(ERR_FILE, "cannot write the tuning log: %s", strerror(errno));
    fsync(fileno(l->file));
    return OK;
}

status log_begin(tuning_log *l, size_t *which, const candidate *c, const int *shape)
{
    char words[LINE];
    status st = memory_grow(&l->items, &l->capacity, l->n + 1, sizeof *l->items);
    if (st == OK) st = write_words(words, l->d, c, shape);
    if (st != OK) return st;
    log_entry *e = &l->items[ *which = l->n++];
    *e = (log_entry){.is = *c, .outcome = OUTCOME_DIED, .number = l->numbers++};
    memcpy(e->shape, shape, sizeof e->shape);
    return write_line(l, "try", e->number, words);
}

status log_end(tuning_log *l, size_t which, outcome o, const candidate_time *time)
{
    static const char *const names[] = {"", "wrong", "failed", "died"};
    char words[LINE];
    log_entry *e = &l->items[which];
    e->outcome = o;
    text_copy(words, sizeof words, names[o]);
    if (o == OUTCOME_RIGHT) {
        e->time = *time;
        snprintf(words, sizeof words, "%.9g %.9g %.9g", time->seconds, time->executed[ROOF_FP32],
                 time->executed[ROOF_16BIT]);
    }
    return write_line(l, "was", e->number, words);
}

void tune_forget(const device_info *info)
{
    char path[PATH_BYTES];
    if (path_of(path, info) == OK) remove(path);
}
