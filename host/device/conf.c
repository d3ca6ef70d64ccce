/* Parses the .conf files of cl/devices. See conf.h. */
#include "device/conf.h"

#include <ctype.h>
#include <fnmatch.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "device/source.h"

static const struct {
    const char *name, *what;
} quirk_table[] = {
#define QUIRK(name, what) {#name, what},
#include "device/quirks.def"
#undef QUIRK
};

const char *quirk_name(quirk_id id)
{
    return quirk_table[id].name;
}

const char *quirk_meaning(quirk_id id)
{
    return quirk_table[id].what;
}

bool quirk_has_value(quirk_id id)
{
    return !strncmp(quirk_table[id].name, "MAX_", 4);
}

/* True if the version `from` is lower than `bound`. Numbers between dots are compared; a missing
 * number is 0. */
static bool numbers_below(const char *from, const char *bound)
{
    for (;;) {
        char *from_end, *bound_end;
        unsigned long mine = strtoul(from, &from_end, 10), other = strtoul(bound, &bound_end, 10);
        if (mine != other || *bound_end != '.') return mine < other;
        from = *from_end == '.' && isdigit((unsigned char)from_end[1]) ? from_end + 1 : "";
        bound = bound_end + 1;
    }
}

/* True if the text names a lower version than the bound. The version begins where the text matches
 * the bound's text before its first digit (`?`: any character). */
static bool version_below(const char *from, const char *bound)
{
    size_t lead = strcspn(bound, "0123456789");
    for (; *from; from++) {
        size_t n = 0;
        while (n < lead && from[n] &&
               (bound[n] == '?' ||
                tolower((unsigned char)bound[n]) == tolower((unsigned char)from[n])))
            n++;
        if (n == lead && isdigit((unsigned char)from[n])) return numbers_below(from + n, bound + n);
    }
    return false;
}

status conf_match(bool *matches, char *word, const conf_subject *subject, const char *name,
                  int line_number)
{
    char *sign = strpbrk(word, "=<");
    if (!sign)
        return fail(ERR_FORMAT, "%s:%d: found \"%s\", expected key=pattern or key<version", name,
                    line_number, word);
    bool below = *sign == '<';
    *sign = 0;
    const char *value = !strcmp(word, "platform")  ? subject->platform
                        : !strcmp(word, "vendor")  ? subject->vendor
                        : !strcmp(word, "device")  ? subject->device
                        : !strcmp(word, "driver")  ? subject->driver
                        : !strcmp(word, "version") ? (subject->version ? subject->version : "")
                                                   : NULL;
    if (!value)
        return fail(ERR_FORMAT,
                    "%s:%d: found key \"%s\", expected platform, vendor, device, driver or version",
                    name, line_number, word);
    /* `?` also stands for a blank, since lines are split into words at blanks */
    if (below ? !version_below(value, sign + 1) : fnmatch(sign + 1, value, FNM_CASEFOLD) != 0)
        *matches = false;
    return OK;
}

static status apply_quirk(quirks *q, const char *word, bool matches, const char *name,
                          int line_number)
{
    size_t length = strcspn(word, "=");
    for (int i = 0; i < N_QUIRKS; i++) {
        uint64_t number = 0;
        if (strlen(quirk_table[i].name) != length || strncmp(quirk_table[i].name, word, length))
            continue;
        if (quirk_has_value((quirk_id)i)
                ? !word[length] || !text_to_uint(word + length + 1, &number) || !number ||
                      number > INT_MAX
                : word[length])
            break;
        if (matches && (!q->has[i] || (int)number < q->value[i])) {
            q->has[i] = true;
            q->from[i] = name;
            q->value[i] = (int)number;
        }
        return OK;
    }
    return fail(ERR_FORMAT, "%s:%d: unknown quirk \"%s\"", name, line_number, word);
}

/* Features of the processor are not accepted here: the processor itself is asked. */
static status apply_feature(quirks *q, const char *word, bool matches, const char *name,
                            int line_number)
{
    int i = feature_find(word, strlen(word));
    if (i < FEATURE_MMA)
        return fail(ERR_FORMAT, "%s:%d: unknown feature \"%s\"", name, line_number, word);
    if (matches) q->feature[i] = true;
    return OK;
}

/* Records that the file has a section for the device. */
static void note_file(quirks *q, const char *name)
{
    size_t used = strlen(q->files), length = strlen(name);
    if (used >= length && !strcmp(q->files + used - length, name)) return;
    snprintf(q->files + used, sizeof q->files - used, "%s%s", used ? ", " : "", name);
}

/* True if a file with this name exists. *open: it can be read and written. */
static bool is_there(const char *pattern, bool *open)
{
    glob_t found;
    *open = false;
    bool there = glob(pattern, 0, NULL, &found) == 0;
    for (size_t i = 0; there && i < found.gl_pathc; i++)
        if (access(found.gl_pathv[i], R_OK | W_OK) == 0) *open = true;
    globfree(&found);
    return there;
}

/* True if the word is a condition of an advice line. *holds: the condition is true. */
static bool is_condition(bool *holds, const char *word)
{
    const char *value = strchr(word, '=');
    size_t n = value ? (size_t)(value - word) : 0;
    bool open, there;
    if (n == 3 && !strncmp(word, "set", n)) {
        *holds = getenv(value + 1) != NULL;
    } else if (n == 5 && !strncmp(word, "unset", n)) {
        *holds = !getenv(value + 1);
    } else if (n == 6 && (!strncmp(word, "absent", n) || !strncmp(word, "closed", n))) {
        there = is_there(value + 1, &open);
        *holds = *word == 'a' ? !there : there && !open;
    } else {
        return false;
    }
    return true;
}

/* Keeps the first advice whose conditions hold. */
static void apply_advice(quirks *q, char *words, bool matches)
{
    bool holds, all = matches && !*q->advice;
    while (*words) {
        words += strspn(words, " \t\r");
        size_t n = strcspn(words, " \t\r");
        char end = words[n];
        words[n] = 0;
        bool condition = is_condition(&holds, words);
        words[n] = end;
        if (!condition) break;
        all &= holds;
        words += n;
    }
    if (all) text_copy(q->advice, sizeof q->advice, words);
}

/* Reads "VARIABLE=FOLDER". */
static status apply_cache(quirks *q, const char *word, bool matches, const char *name,
                          int line_number)
{
    const char *equals = word ? strchr(word, '=') : NULL;
    size_t n = equals ? (size_t)(equals - word) : 0;
    if (!n || n >= sizeof q->cache.variable)
        return fail(ERR_FORMAT, "%s:%d: expected cache VARIABLE=FOLDER", name, line_number);
    text_copy(q->cache.variable, n + 1, word);
    text_copy(q->cache.below, sizeof q->cache.below, equals + 1);
    q->cache.here |= matches;
    return OK;
}

static status apply_line(quirks *q, char *line, bool *matches, const conf_subject *subject,
                         const char *name, int line_number)
{
    char *save, *hash = strchr(line, '#');
    if (hash) *hash = 0;
    char *word = strtok_r(line, " \t\r", &save);
    if (!word) return OK;
    status st = OK;
    if (!strcmp(word, "match")) {
        *matches = true;
        while (st == OK && (word = strtok_r(NULL, " \t\r", &save)))
            st = conf_match(matches, word, subject, name, line_number);
        if (st == OK && *matches) note_file(q, name);
    } else if (!strcmp(word, "quirk")) {
        while (st == OK && (word = strtok_r(NULL, " \t\r", &save)))
            st = apply_quirk(q, word, *matches, name, line_number);
    } else if (!strcmp(word, "has")) {
        while (st == OK && (word = strtok_r(NULL, " \t\r", &save)))
            st = apply_feature(q, word, *matches, name, line_number);
    } else if (!strcmp(word, "advice")) {
        apply_advice(q, save, *matches);
    } else if (!strcmp(word, "cache")) {
        st = apply_cache(q, strtok_r(NULL, " \t\r", &save), *matches, name, line_number);
    } else if (strcmp(word, "tune") != 0 && strcmp(word, "install") != 0) {
        st = fail(ERR_FORMAT,
                  "%s:%d: found \"%s\", expected match, quirk, has, advice, cache, install or tune",
                  name, line_number, word);
    }
    return st;
}

status conf_apply(quirks *q, const char *conf_text, const char *name, const conf_subject *subject)
{
    char *copy, *save;
    status st = memory_strdup(&copy, conf_text);
    bool matches = false;
    int line_number = 0;
    /* strtok_r would skip empty lines, and the line count would be wrong */
    for (save = copy; st == OK && save; line_number++) {
        char *line = strsep(&save, "\n");
        st = apply_line(q, line, &matches, subject, name, line_number + 1);
    }
    free(copy);
    return st;
}

status conf_apply_embedded(quirks *q, const conf_subject *subject)
{
    status st = OK;
    for (const embedded_file *f = embedded_files; st == OK && f->name; f++) {
        size_t n = strlen(f->name);
        if (n < 5 || strcmp(f->name + n - 5, ".conf") != 0) continue;
        st = conf_apply(q, f->data, f->name, subject);
    }
    return st;
}

/* ---- packages ---- */

/* True if the line is "install WHAT ...". package = the value of DISTRIBUTION=PACKAGE in it. */
static bool read_install(char package[CONF_PACKAGE], const char *line, const char *what,
                         const char *distribution)
{
    char copy[400], *save, *word;
    snprintf(copy, sizeof copy, "%.*s", (int)strcspn(line, "#\n"), line);
    word = strtok_r(copy, " \t", &save);
    if (!word || strcmp(word, "install") != 0) return false;
    word = strtok_r(NULL, " \t", &save);
    if (!word || strcmp(word, what) != 0) return false;
    size_t n = distribution ? strlen(distribution) : 0;
    while (n && (word = strtok_r(NULL, " \t", &save)))
        if (!strncmp(word, distribution, n) && word[n] == '=')
            text_copy(package, CONF_PACKAGE, word + n + 1);
    return true;
}

bool conf_install(char package[CONF_PACKAGE], const char *what, const char *distribution)
{
    *package = 0;
    for (const embedded_file *f = embedded_files; f->name; f++)
        for (const char *line = f->data; line; line = strchr(line, '\n')) {
            line += *line == '\n';
            if (read_install(package, line, what, distribution)) return true;
        }
    return false;
}
