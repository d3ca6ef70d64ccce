/* The store's file. See store.h. */
#include "tune/store.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "device/conf.h"
#include "device/source.h"

enum { PATH_BYTES = 4096, MOST_BYTES = 1 << 24, KERNEL_FILES = 3 * MOST_IMPLS };
static const char blanks[] = " \t\r";
/* In place of a shape: all shapes that have no line of their own. */
static const char any_size[] = "any";

/* ---- names ---- */

/* "Some CPU (TM) @ 2" -> "some-cpu-tm-2.conf" */
static void file_name(char *out, size_t size, const char *of)
{
    size_t n = 0;
    for (const char *c = of; *c && n + 8 < size; c++) {
        if (isalnum((unsigned char)*c))
            out[n++] = (char)tolower((unsigned char)*c);
        else if (n && out[n - 1] != '-')
            out[n++] = '-';
    }
    while (n && out[n - 1] == '-') n--;
    snprintf(out + n, size - n, n ? ".conf" : "device.conf");
}

status store_path(char *out, size_t size, const device_info *info)
{
    char top[PATH_BYTES], folder[PATH_BYTES], name[100];
    status st = file_user_folder(top, sizeof top, FOLDER_CONFIG);
    if (st == OK) st = file_join(folder, sizeof folder, top, "devices");
    file_name(name, sizeof name, info->name);
    return st == OK ? file_join(out, size, folder, name) : st;
}

status store_kernels(char out[STORE_HASH], const char *file)
{
    char whole[HASH_TEXT];
    text source = {0};
    hash_work w;
    status st = OK;
    TRY(source_program(&source, file));
    hash_start(&w);
    hash_add_text(&w, source.data);
    hash_text(whole, hash_end(&w));
    text_copy(out, STORE_HASH, whole);
done:
    text_free(&source);
    return st;
}

/* ---- lines in memory ---- */

void store_free(store *s)
{
    free(s->lines);
    *s = (store){0};
}

static status append(store *s, const store_line *line)
{
    status st = memory_grow(&s->lines, &s->capacity, s->n + 1, sizeof *s->lines);
    if (st == OK) s->lines[s->n++] = *line;
    return st;
}

/* True if the two lines configure the same implementation, or say what serves the same shape. */
static bool same(const store_line *a, const store_line *b)
{
    if (a->serves != b->serves || a->shipped != b->shipped) return false;
    if (!a->serves) return a->is.impl == b->is.impl;
    return !strcmp(a->is.impl->op, b->is.impl->op) && a->family == b->family &&
           a->precision == b->precision && shape_equal(a->shape, b->shape);
}

status store_put_line(store *s, const store_line *line)
{
    /* a file may have several lines of a kind, of which the last counts */
    for (size_t i = s->n; i > 0; i--) {
        if (!same(&s->lines[i - 1], line)) continue;
        s->lines[i - 1] = *line;
        return OK;
    }
    return append(s, line);
}

void store_drop(store *s, size_t i)
{
    s->n--;
    memmove(&s->lines[i], &s->lines[i + 1], (s->n - i) * sizeof *s->lines);
}

status store_put(store *s, const device *d, const candidate *c, const int *shape, bool serves)
{
    store_line line = {
        .is = *c, .serves = serves, .family = d->family, .precision = d->settings.precision};
    if (shape) memcpy(line.shape, shape, sizeof line.shape);
    status st = store_kernels(line.kernels, c->impl->file);
    return st == OK ? store_put_line(s, &line) : st;
}

static bool is_for(const store_line *line, const device *d)
{
    return !line->serves || (line->family == d->family && line->precision == d->settings.precision);
}

status store_apply(const store *s, device *d)
{
    status st = OK;
    for (size_t i = 0; i < s->n && st == OK; i++) {
        const store_line *l = &s->lines[i];
        bool any = !l->shape[0];
        if (is_for(l, d))
            st = configuration_add(d, l->is.impl, any ? NULL : l->shape, l->is.config,
                                   any && l->serves);
    }
    return st;
}

/* ---- one line ---- */

typedef enum { SECTION_NONE, SECTION_OURS, SECTION_OTHER_PLATFORM, SECTION_IGNORED } section;

typedef struct {
    store *s;
    const device *d; /* null: nothing is read but sections */
    conf_subject subject;
    const char *name; /* of the file, for messages */
    int line, n_ignored;
    bool shipped; /* may speak of other devices */
    void (*warn)(const char *line);
    section now;
    struct {
        const char *file;
        char hash[STORE_HASH];
    } kernels[KERNEL_FILES]; /* files that were hashed */
    int n_kernels;
    status st; /* ERR_MEMORY: a line was lost */
} parser;

static void ignored(parser *p, const char *why)
{
    char line[1200];
    if (p->n_ignored++ >= STORE_WARNINGS || !p->warn) return;
    snprintf(line, sizeof line, "%s:%d: ignored: %s", p->name, p->line, why);
    p->warn(line);
}

/* Compares each key=pattern of a match line with the device. */
static void parse_match(parser *p, char **save)
{
    bool platform = true, this_device = true, driver = true;
    char *word;
    while ((word = strtok_r(NULL, blanks, save))) {
        bool *which = !strncmp(word, "driver=", 7)     ? &driver
                      : !strncmp(word, "platform=", 9) ? &platform
                                                       : &this_device;
        if (conf_match(which, word, &p->subject, p->name, p->line) != OK) {
            p->now = SECTION_IGNORED;
            ignored(p, fail_line());
            return;
        }
    }
    p->now = !platform               ? SECTION_OTHER_PLATFORM
             : this_device && driver ? SECTION_OURS
                                     : SECTION_IGNORED;
    if (p->now != SECTION_IGNORED || p->shipped) return;
    ignored(p, this_device ? "measured with another driver" : "measured on another device");
}

/* True if the text of the kernels has this hash. Each file is hashed once. */
static bool has_hash(parser *p, const char *file, const char *hash)
{
    int i = 0;
    while (i < p->n_kernels && strcmp(p->kernels[i].file, file) != 0) i++;
    if (i == p->n_kernels && i < KERNEL_FILES) {
        status st = store_kernels(p->kernels[i].hash, file);
        if (st == ERR_MEMORY) p->st = st;
        if (st != OK) *p->kernels[i].hash = 0; /* the kernels are missing */
        p->kernels[i].file = file;
        p->n_kernels++;
    }
    return i < KERNEL_FILES && *hash && !strcmp(p->kernels[i].hash, hash);
}

/* The index of a word in a list that ends with null; -1: it is not there. */
static int index_of(const char *word, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (!strcmp(names[i], word)) return i;
    return -1;
}

/* Family, precision and shape of a line with use=. */
static bool set_place(store_line *line, const operator* o, char *const bare[4])
{
    int n = 0, family = bare[3] ? index_of(bare[1], kernel_family_names) : -1;
    int inputs = family >= 0 ? index_of(bare[2], precision_names) : -1;
    if (inputs < 0) return false;
    line->serves = true;
    line->family = (kernel_family)family;
    line->precision = (precision)inputs;
    if (!strcmp(bare[3], any_size)) return true;
    if (!shape_parse(line->shape, bare[3])) return false;
    while (n < SHAPE_SIZES && line->shape[n]) n++;
    return n == o->n_sizes;
}

/* "MR=8"; *found: a bit for each tunable that has a value. */
static const char *set_value(candidate *c, unsigned *found, char *word)
{
    int64_t value;
    char *equals = strchr(word, '=');
    if (!equals || !text_to_int(equals + 1, &value) || value < 0 || value > 1 << 30)
        return "a value is not as NAME=1";
    *equals = 0;
    for (int i = 0; i < c->impl->n; i++) {
        if (strcmp(c->impl->tunables[i].name, word) != 0) continue;
        c->config[i] = (int)value;
        *found |= 1u << i;
        return NULL;
    }
    return "no such candidate: a value too many";
}

/* The words behind `tune`, in the order of store.h. Returns null, or why the line cannot be used.
 */
static const char *parse_tune(parser *p, store_line *line, char **save)
{
    char *bare[4] = {0}, *word = strtok_r(NULL, blanks, save), *name;
    const char *wrong = NULL;
    unsigned found = 0;
    int n = 0;
    for (; word && !strchr(word, '='); word = strtok_r(NULL, blanks, save)) {
        if (n == 4) return "a word too many";
        bare[n++] = word;
    }
    if (p->now != SECTION_OURS) return p->now == SECTION_NONE ? "no match line above" : NULL;
    const operator* o = n ? operator_find(bare[0]) : NULL;
    if (!o) return "no such operator";
    name = n == 2 ? bare[1] : "";
    *line = (store_line){.shipped = p->shipped};
    if (word && !strncmp(word, "use=", 4)) {
        name = word + 4;
        word = strtok_r(NULL, blanks, save);
        if (!set_place(line, o, bare)) return "no such shape";
    }
    line->is.impl = impl_find(o, name);
    if (!line->is.impl) return "no such implementation";
    if (word && !strncmp(word, "kernels=", 8)) {
        if (!has_hash(p, line->is.impl->file, word + 8)) return "measured with other kernels";
        text_copy(line->kernels, sizeof line->kernels, word + 8);
        word = strtok_r(NULL, blanks, save);
    }
    for (; word && !wrong; word = strtok_r(NULL, blanks, save))
        wrong = set_value(&line->is, &found, word);
    if (wrong) return wrong;
    if (found + 1 != 1u << line->is.impl->n) return "no such candidate: a value is missing";
    if (!configuration_valid(NULL, line->is.impl, line->is.config, NULL))
        return "no such candidate: not among the choices";
    if (!line->shape[0] || !is_for(line, p->d)) return NULL;
    if (!line->is.impl->supports(p->d, line->shape)) return "not for this device";
    return impl_fits(line->is.impl, p->d, line->is.config, line->shape)
               ? NULL
               : "more than this device has";
}

static void parse_line(parser *p, char *text_line)
{
    char *save, *hash = strchr(text_line, '#');
    if (hash) *hash = 0;
    char *word = strtok_r(text_line, blanks, &save);
    if (!word) return;
    if (!strcmp(word, "match")) {
        parse_match(p, &save);
    } else if (p->d && !strcmp(word, "tune")) {
        store_line line = {0};
        const char *wrong = parse_tune(p, &line, &save);
        if (wrong && !p->shipped) ignored(p, wrong);
        if (!wrong && line.is.impl && p->st == OK) p->st = append(p->s, &line);
    } else if (!p->shipped) {
        ignored(p, "expected match or tune");
    }
}

static void parse_text(parser *p, char *all)
{
    p->line = 0;
    p->now = SECTION_NONE;
    for (char *next = all; next;) {
        p->line++;
        parse_line(p, strsep(&next, "\n"));
    }
}

/* ---- files ---- */

static conf_subject subject_of(const device_info *info)
{
    return (conf_subject){.platform = info->platform,
                          .vendor = info->vendor,
                          .device = info->name,
                          .driver = info->driver,
                          .version = info->version};
}

static status load_shipped(store *s, const device *d)
{
    parser p = {.s = s, .d = d, .subject = subject_of(&d->info), .shipped = true};
    *s = (store){0};
    for (const embedded_file *f = embedded_files; f->name && p.st == OK; f++) {
        size_t n = strlen(f->name);
        char *copy;
        if (n < 5 || strcmp(f->name + n - 5, ".conf") != 0) continue;
        if ((p.st = memory_strdup(&copy, f->data)) != OK) break;
        p.name = f->name;
        parse_text(&p, copy);
        free(copy);
    }
    return p.st;
}

static status read_file(store *s, const device *d, const char *path)
{
    parser p = {
        .s = s, .d = d, .subject = subject_of(&d->info), .name = path, .warn = d->settings.warn};
    char *all = NULL, line[100];
    status st = file_read_text(&all, path, MOST_BYTES);
    if (st == OK) parse_text(&p, all);
    free(all);
    if (p.n_ignored > STORE_WARNINGS && p.warn) {
        snprintf(line, sizeof line, "and %d lines more", p.n_ignored - STORE_WARNINGS);
        p.warn(line);
    }
    return st == OK ? p.st : st;
}

status store_apply_shipped(device *d)
{
    store s;
    status st = load_shipped(&s, d);
    if (st == OK) st = store_apply(&s, d);
    store_free(&s);
    return st;
}

status store_load(store *s, const device *d)
{
    char path[PATH_BYTES];
    status st = load_shipped(s, d);
    if (st != OK) return st;
    if (store_path(path, sizeof path, &d->info) != OK || !file_exists(path)) return OK;
    st = read_file(s, d, path);
    if (st == OK || st == ERR_MEMORY) return st;
    fail_in(st, "ignored"); /* the whole file */
    if (d->settings.warn) d->settings.warn(fail_line());
    return OK;
}

status store_read(store *s, const device *d, const char *path)
{
    *s = (store){0};
    return read_file(s, d, path);
}

bool store_exists(const device_info *info)
{
    char path[PATH_BYTES];
    return store_path(path, sizeof path, info) == OK && file_exists(path);
}

/* out = a pattern that matches the value. Blanks and special characters of patterns become '?'. */
static const char *pattern(char out[256], const char *value)
{
    text_copy(out, 256, value);
    for (char *c = out; *c; c++)
        if (strchr(" *[]\\#", *c)) *c = '?';
    return out;
}

/* Appends the lines of the user's file that belong to other platforms, unchanged. */
static status keep_others(text *out, const char *path, const device_info *info)
{
    parser p = {.subject = subject_of(info), .name = path};
    char *all = NULL, copy[1000];
    if (!file_exists(path)) return OK;
    status st = file_read_text(&all, path, MOST_BYTES);
    if (st == ERR_FORMAT) return OK; /* no store: nothing to keep */
    for (char *next = all; st == OK && next;) {
        const char *line = strsep(&next, "\n");
        text_copy(copy, sizeof copy, line);
        parse_line(&p, copy);
        if (p.now == SECTION_OTHER_PLATFORM && strlen(line) < sizeof copy)
            st = text_append(out, "%s\n", line);
    }
    free(all);
    return st;
}

static status append_line(text *out, const store_line *line)
{
    const op_impl *impl = line->is.impl;
    char sizes[SHAPE_TEXT], words[CONFIG_OPTIONS];
    shape_text(sizes, line->shape);
    configuration_words(words, impl, line->is.config);
    status st = text_append(out, "tune   %s ", impl->op);
    if (st == OK && line->serves)
        st = text_append(out, "%s %s %s use=", kernel_family_names[line->family],
                         precision_names[line->precision], line->shape[0] ? sizes : any_size);
    if (st == OK) st = text_append(out, "%s", impl->name);
    if (st == OK && *line->kernels) st = text_append(out, " kernels=%s", line->kernels);
    return st == OK ? text_append(out, "%s\n", words) : st;
}

status store_text(const store *s, const device_info *info, text *out)
{
    char platform[256], name[256], driver[256];
    status st = text_append(out,
                            "# Choices that ditcl measured on this device, for this driver and "
                            "these kernels.\n# Delete the file, or a line, to have them measured "
                            "anew.\nmatch  platform=%s device=%s driver=%s\n",
                            pattern(platform, info->platform), pattern(name, info->name),
                            pattern(driver, info->driver));
    for (size_t i = 0; st == OK && i < s->n; i++)
        if (!s->lines[i].shipped) st = append_line(out, &s->lines[i]);
    return st;
}

static status write_whole(const char *path, const text *all)
{
    char folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    status st = file_make_folders(folder);
    return st == OK ? file_out_text(path, all->data) : st;
}

status store_save(const store *s, const device_info *info)
{
    char path[PATH_BYTES];
    text all = {0};
    status st = OK;
    TRY(store_path(path, sizeof path, info));
    TRY(store_text(s, info, &all));
    TRY(keep_others(&all, path, info));
    TRY(write_whole(path, &all));
done:
    text_free(&all);
    return st;
}

status store_forget(const device_info *info)
{
    char path[PATH_BYTES];
    text all = {0};
    status st = OK;
    TRY(store_path(path, sizeof path, info));
    TRY(keep_others(&all, path, info));
    if (all.length)
        TRY(write_whole(path, &all));
    else if (file_exists(path) && remove(path) != 0)
        st = fail(ERR_FILE, "%s: cannot be removed: %s", path, strerror(errno));
done:
    text_free(&all);
    return st;
}
