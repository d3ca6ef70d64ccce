/* Measured choices. See store.h. */
#include "device/store.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"
#include "device/conf.h"
#include "device/source.h"

enum { PATH_BYTES = 4096, MOST_BYTES = 1 << 24, MOST_VALUE = 1 << 30 };
static const char blanks[] = " \t\r";

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
    free(s->buckets);
    *s = (store){0};
}

/* FNV-1a of the line's key; n_buckets is a power of two. */
static size_t *bucket(const store *s, const char *op, const char *shape, bool shipped)
{
    uint64_t h = 0xcbf29ce484222325u + shipped;
    for (const char *c = op; *c; c++) h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    h *= 0x100000001b3u;
    for (const char *c = shape; *c; c++) h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    return &s->buckets[(h ^ h >> 32) & (s->n_buckets - 1)];
}

/* Puts line i into its bucket. */
static void add_to_bucket(store *s, size_t i)
{
    store_line *line = &s->lines[i];
    size_t *first = bucket(s, line->op, line->shape, line->shipped);
    line->next = *first;
    *first = i + 1;
}

static void take_from_bucket(store *s, size_t i)
{
    store_line *line = &s->lines[i];
    size_t *at = bucket(s, line->op, line->shape, line->shipped);
    while (*at != i + 1) at = &s->lines[*at - 1].next;
    *at = line->next;
}

/* Room for one line more, in at least as many buckets as lines. */
static status grow(store *s)
{
    size_t *buckets, n = s->n_buckets ? 2 * s->n_buckets : 64;
    status st = memory_grow(&s->lines, &s->capacity, s->n + 1, sizeof *s->lines);
    if (st != OK || s->n < s->n_buckets) return st;
    st = memory_alloc(&buckets, n, sizeof *buckets);
    if (st != OK) return st;
    free(s->buckets);
    s->buckets = buckets;
    s->n_buckets = n;
    for (size_t i = 0; i < s->n; i++) add_to_bucket(s, i);
    return OK;
}

static store_line *find(const store *s, const char *op, const char *shape, bool shipped)
{
    if (!s->n_buckets) return NULL;
    for (size_t i = *bucket(s, op, shape, shipped); i; i = s->lines[i - 1].next) {
        store_line *line = &s->lines[i - 1];
        if (line->shipped == shipped && !strcmp(line->op, op) && !strcmp(line->shape, shape))
            return line;
    }
    return NULL;
}

store_line *store_find(const store *s, const char *op, const char *shape)
{
    store_line *users = find(s, op, shape, false);
    return users ? users : find(s, op, shape, true);
}

status store_put(store *s, const store_line *line)
{
    store_line *there = find(s, line->op, line->shape, line->shipped);
    if (there) {
        size_t next = there->next;
        *there = *line;
        there->next = next;
        return OK;
    }
    status st = grow(s);
    if (st != OK) return st;
    s->lines[s->n] = *line;
    add_to_bucket(s, s->n++);
    return OK;
}

void store_drop(store *s, store_line *line)
{
    size_t i = (size_t)(line - s->lines), last = s->n - 1;
    take_from_bucket(s, i);
    if (i != last) {
        take_from_bucket(s, last);
        *line = s->lines[last];
        add_to_bucket(s, i);
    }
    s->n--;
}

/* ---- parsing ---- */

typedef enum { SECTION_NONE, SECTION_OURS, SECTION_OTHER_PLATFORM, SECTION_IGNORED } section;

typedef struct {
    store *s;
    conf_subject subject;
    const char *name; /* of the file, for messages */
    int line;
    bool shipped; /* may speak of other devices */
    void (*warn)(const char *line);
    section now;
    status st; /* ERR_MEMORY: a line was lost */
} parser;

static void ignored(parser *p, const char *why)
{
    char line[1200];
    if (p->s->n_ignored++ >= STORE_WARNINGS || !p->warn) return;
    snprintf(line, sizeof line, "%s:%d: ignored: %s", p->name, p->line, why);
    p->warn(line);
}

/* Whether key=pattern is true of this device, for each key. */
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

static bool made_of(const char *word, int (*kind)(int))
{
    if (!*word || strlen(word) >= STORE_WORD) return false;
    for (; *word; word++)
        if (!kind((unsigned char)*word) && !isdigit((unsigned char)*word) && *word != '_')
            return false;
    return true;
}

static bool parse_hash(char out[STORE_HASH], const char *value)
{
    if (strlen(value) != STORE_HASH - 1 || strspn(value, "0123456789abcdef") != STORE_HASH - 1)
        return false;
    text_copy(out, STORE_HASH, value);
    return true;
}

/* "MR=8" */
static bool parse_value(store_line *line, const char *word, const char *equals)
{
    int64_t value;
    store_value *v = &line->values[line->n_values];
    if (line->n_values == STORE_VALUES || (size_t)(equals - word) >= sizeof v->name) return false;
    snprintf(v->name, sizeof v->name, "%.*s", (int)(equals - word), word);
    if (!made_of(v->name, isupper) || !text_to_int(equals + 1, &value)) return false;
    if (value < 0 || value > MOST_VALUE) return false;
    v->value = (int)value;
    line->n_values++;
    return true;
}

/* "gemm cpu kernels=... MR=8"; null, or what is wrong with it. A line that only names what serves a
 * shape needs no values. */
static const char *parse_tune(store_line *line, char **save)
{
    char *word = strtok_r(NULL, blanks, save);
    *line = (store_line){0};
    if (!word || !made_of(word, islower)) return "no operator behind tune";
    text_copy(line->op, sizeof line->op, word);
    while ((word = strtok_r(NULL, blanks, save))) {
        const char *equals = strchr(word, '=');
        size_t used = strlen(line->shape);
        if (equals && !strncmp(word, "kernels=", 8)) {
            if (!parse_hash(line->kernels, equals + 1)) return "kernels= is no hash";
        } else if (equals && !strncmp(word, "use=", 4)) {
            if (!made_of(equals + 1, islower)) return "use= names no implementation";
            text_copy(line->use, sizeof line->use, equals + 1);
        } else if (equals) {
            if (!parse_value(line, word, equals)) return "a value is not as NAME=1";
        } else {
            int n = snprintf(line->shape + used, sizeof line->shape - used, "%s%s", used ? " " : "",
                             word);
            if (!made_of(word, islower) || (size_t)n >= sizeof line->shape - used)
                return "a word is neither a shape nor NAME=1";
        }
    }
    return line->n_values || *line->use ? NULL : "no values";
}

static void parse_line(parser *p, char *text_line)
{
    char *save, *hash = strchr(text_line, '#');
    if (hash) *hash = 0;
    char *word = strtok_r(text_line, blanks, &save);
    if (!word) return;
    if (!strcmp(word, "match")) {
        parse_match(p, &save);
    } else if (!strcmp(word, "tune")) {
        store_line line;
        const char *wrong = parse_tune(&line, &save);
        if (!wrong && p->now == SECTION_NONE) wrong = "no match line above";
        if (wrong) {
            ignored(p, wrong);
        } else if (p->now == SECTION_OURS) {
            const char *slash = strrchr(p->name, '/');
            line.shipped = p->shipped;
            snprintf(line.from, sizeof line.from, "%.50s:%d", slash ? slash + 1 : p->name, p->line);
            if (p->st == OK) p->st = store_put(p->s, &line);
        }
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

static void load_shipped(parser *p)
{
    for (const embedded_file *f = embedded_files; f->name; f++) {
        size_t n = strlen(f->name);
        char *copy;
        if (n < 5 || strcmp(f->name + n - 5, ".conf") != 0) continue;
        if (p->st == OK) p->st = memory_strdup(&copy, f->data);
        if (p->st != OK) return;
        p->name = f->name;
        p->shipped = true;
        parse_text(p, copy);
        free(copy);
    }
}

static conf_subject subject_of(const device_info *info)
{
    return (conf_subject){.platform = info->platform,
                          .vendor = info->vendor,
                          .device = info->name,
                          .driver = info->driver,
                          .version = info->version};
}

static status read_file(parser *p, const char *path)
{
    char *all = NULL, line[100];
    status st = file_read_text(&all, path, MOST_BYTES);
    p->name = path;
    p->shipped = false;
    if (st == OK) parse_text(p, all);
    free(all);
    if (p->s->n_ignored > STORE_WARNINGS && p->warn) {
        snprintf(line, sizeof line, "and %d lines more", p->s->n_ignored - STORE_WARNINGS);
        p->warn(line);
    }
    return st == OK ? p->st : st;
}

status store_shipped(store *s, const device_info *info)
{
    parser p = {.s = s, .subject = subject_of(info)};
    *s = (store){0};
    load_shipped(&p);
    return p.st;
}

status store_load(store *s, const device_info *info, void (*warn)(const char *line))
{
    char path[PATH_BYTES];
    parser p = {.s = s, .subject = subject_of(info), .warn = warn};
    status st = store_shipped(s, info);
    if (st != OK) return st;
    if (store_path(path, sizeof path, info) != OK || !file_exists(path)) return OK;
    st = read_file(&p, path);
    if (st == OK || st == ERR_MEMORY) return st;
    s->n_ignored++; /* all of it */
    fail_in(st, "ignored");
    if (warn) warn(fail_line());
    return OK;
}

status store_read(store *s, const char *path, const device_info *info,
                  void (*warn)(const char *line))
{
    parser p = {.s = s, .subject = subject_of(info), .warn = warn};
    *s = (store){0};
    return read_file(&p, path);
}

bool store_exists(const device_info *info)
{
    char path[PATH_BYTES];
    return store_path(path, sizeof path, info) == OK && file_exists(path);
}

/* out = value as a pattern that means it alone: words end at blanks, and some characters match. */
static const char *pattern(char out[256], const char *value)
{
    text_copy(out, 256, value);
    for (char *c = out; *c; c++)
        if (strchr(" *[]\\#", *c)) *c = '?';
    return out;
}

/* What the user's file says of other platforms, as it is. */
static status keep_others(text *out, const char *path, const device_info *info)
{
    store none = {0};
    parser p = {.s = &none, .subject = subject_of(info), .name = path};
    char *all = NULL, copy[1000];
    if (!file_exists(path)) return OK;
    status st = file_read_text(&all, path, MOST_BYTES);
    if (st == ERR_FORMAT) return OK; /* no settings of ours */
    for (char *next = all; st == OK && next;) {
        const char *line = strsep(&next, "\n");
        text_copy(copy, sizeof copy, line);
        parse_line(&p, copy);
        if (p.now == SECTION_OTHER_PLATFORM && strlen(line) < sizeof copy)
            st = text_append(out, "%s\n", line);
    }
    free(all);
    store_free(&none);
    return st;
}

static status append_line(text *out, const store_line *line)
{
    status st = text_append(out, "tune   %s%s%s", line->op, *line->shape ? " " : "", line->shape);
    if (st == OK && *line->use) st = text_append(out, " use=%s", line->use);
    if (st == OK && *line->kernels) st = text_append(out, " kernels=%s", line->kernels);
    for (int i = 0; st == OK && i < line->n_values; i++)
        st = text_append(out, " %s=%d", line->values[i].name, line->values[i].value);
    return st == OK ? text_append(out, "\n") : st;
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
    file_out out = {0};
    status st = OK;
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    TRY(file_make_folders(folder));
    TRY(file_out_open(&out, path));
    fputs(all->data, out.stream);
    TRY(file_out_finish(&out));
    TRY(file_out_commit(&out, 1));
done:
    file_out_discard(&out);
    return st;
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
