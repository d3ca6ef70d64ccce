/* Command-line options as data. See options.h. */
#include "cli/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/complete.h"
#include "cli/man.h"

void text_list_free(text_list *list)
{
    for (int i = 0; i < list->n; i++) free(list->items[i]);
    free(list->items);
    *list = (text_list){0};
}

static status list_add(text_list *list, const char *start, size_t length)
{
    status st =
        memory_grow(&list->items, &list->capacity, (size_t)list->n + 2, sizeof *list->items);
    if (st == OK) st = memory_alloc(&list->items[list->n], length + 1, 1);
    if (st != OK) return st;
    memcpy(list->items[list->n++], start, length);
    list->items[list->n] = NULL;
    return OK;
}

status text_list_add(text_list *list, const char *word)
{
    return list_add(list, word, strlen(word));
}

/* Splits "a, b" into "a" and "b" without the blanks. An empty name is an error. */
static status list_split(text_list *list, const char *name, const char *value)
{
    for (const char *at = value;; at++) {
        size_t n = strcspn(at, ","), end = n;
        const char *start = at;
        while (end && *start == ' ') start++, end--;
        while (end && start[end - 1] == ' ') end--;
        if (end == 0) return fail(ERR_USAGE, "--%s \"%s\": a name is missing", name, value);
        status st = list_add(list, start, end);
        if (st != OK) return st;
        at += n;
        if (!*at) return OK;
    }
}

static const char *dashes(const option *o)
{
    return o->name[1] ? "--" : "-";
}

static status out_of_range(const option *o, const char *value)
{
    return fail(ERR_USAGE, "%s%s %s: expected %s from %.15g to %.15g", dashes(o), o->name, value,
                o->kind == OPTION_INT ? "a whole number" : "a number", o->least, o->most);
}

static status set_choice(const option *o, const char *value)
{
    text all = {0};
    status st = OK;
    for (int i = 0; o->choices[i]; i++) {
        if (!strcmp(o->choices[i], value)) {
            *(int *)o->value = i;
            goto done;
        }
        TRY(text_append(&all, "%s%s", i ? ", " : "", o->choices[i]));
    }
    st = fail(ERR_USAGE, "--%s %s: expected one of %s", o->name, value, all.data);
done:
    text_free(&all);
    return st;
}

static status set_value(const option *o, const char *value)
{
    int64_t number;
    double real;
    switch (o->kind) {
    case OPTION_FLAG: *(bool *)o->value = true; return OK;
    case OPTION_INT:
        if (!text_to_int(value, &number) || (double)number < o->least || (double)number > o->most)
            return out_of_range(o, value);
        *(int *)o->value = (int)number;
        return OK;
    case OPTION_UINT64:
        if (!text_to_uint(value, o->value))
            return fail(ERR_USAGE, "--%s %s: expected a whole number from 0 to 2^64 - 1", o->name,
                        value);
        return OK;
    case OPTION_DOUBLE:
        if (!text_to_double(value, &real) || real < o->least || real > o->most)
            return out_of_range(o, value);
        *(double *)o->value = real;
        return OK;
    case OPTION_TEXT:
        if (!*value) return fail(ERR_USAGE, "--%s: is empty", o->name);
        *(const char **)o->value = value;
        return OK;
    case OPTION_TEXTS: return list_add(o->value, value, strlen(value));
    case OPTION_LIST: return list_split(o->value, o->name, value);
    case OPTION_CHOICE: return set_choice(o, value);
    case OPTION_GROUP: break;
    }
    return OK;
}

/* ---- help ---- */

/* Prints `length` characters of words, wrapped. The first line begins at column, others at indent.
 */
static void print_wrapped(const char *words, size_t length, int indent, int column)
{
    enum { RIGHT = 80 };
    const char *end = words + length;
    while (words < end) {
        int n = (int)strcspn(words, " \n");
        if (column > indent && column + 1 + n > RIGHT) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", n, words);
        column += n;
        words += n;
        while (words < end && *words == ' ') words++;
    }
    putchar('\n');
}

void options_print_indented(const char *words, int indent)
{
    printf("%*s", indent, "");
    print_wrapped(words, strlen(words), indent, indent);
}

static void print_option(const option *o, bool detailed)
{
    enum { INDENT = 26 };
    char left[80], letter[8] = "    ";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    if (strlen(o->name) == 1)
        snprintf(left, sizeof left, "  -%s %s", o->name, o->argument ? o->argument : "");
    else
        snprintf(left, sizeof left, "  %s--%s %s", letter, o->name, o->argument ? o->argument : "");
    /* without an argument, the text ends with a blank */
    left[strlen(left) - (left[strlen(left) - 1] == ' ')] = 0;
    int used = printf("%s", left);
    if (used > INDENT - 1) used = printf("\n") - 1;
    printf("%*s", INDENT - used, "");
    size_t first = strcspn(o->help, "\n");
    print_wrapped(o->help, first, INDENT, INDENT);
    if (!detailed || !o->help[first]) return;
    printf("%*s", INDENT, "");
    print_wrapped(o->help + first + 1, strlen(o->help + first + 1), INDENT, INDENT);
}

/* The character between ditcl and the command's name. */
static char joint(const command *c)
{
    return c->own_program ? '-' : ' ';
}

void options_help(const command *c, bool detailed)
{
    bool shortened = c->more != NULL;
    printf("usage: ditcl%c%s %s\n\n", joint(c), c->name, c->arguments);
    print_wrapped(c->summary, strlen(c->summary), 0, 0);
    if (c->options->kind != OPTION_GROUP) printf("\nOptions:\n");
    for (const option *o = c->options; o->name; o++) {
        if (o->kind == OPTION_GROUP)
            printf("\n%s:\n", o->help);
        else
            print_option(o, detailed);
        shortened |= strchr(o->help, '\n') != NULL;
    }
    printf("  -h, --help              show this help%s\n",
           shortened && !detailed ? "; with -v, more about each option" : "");
    if (c->details) printf("\n%s", c->details);
    if (c->more && detailed) printf("\n%s", c->more);
}

/* ---- parsing ---- */

static const option *find_option(const command *c, const char *name, size_t length)
{
    for (const option *o = c->options; o->name; o++)
        if (strlen(o->name) == length && !strncmp(o->name, name, length)) return o;
    return NULL;
}

const option *options_named(const command *c, const char *word)
{
    if (word[0] != '-' || !word[1]) return NULL;
    if (word[1] == '-') {
        size_t n = strcspn(word + 2, "=");
        return n > 1 ? find_option(c, word + 2, n) : NULL;
    }
    for (const option *o = c->options; o->name; o++)
        if (o->letter == word[1] || (o->name[0] == word[1] && !o->name[1])) return o;
    return NULL;
}

/* Former names of options, for "did you mean". */
static const struct {
    const char *was, *is;
} renamed[] = {{"class", "kernels"}};

static status unknown_option(const command *c, const char *typed)
{
    const char *names[64];
    int n = 0;
    for (const option *o = c->options; o->name && n < 63; o++)
        if (o->kind != OPTION_GROUP) names[n++] = o->name;
    names[n] = NULL;
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(typed + strspn(typed, "-"), "="),
             typed + strspn(typed, "-"));
    const char *near = text_nearest(word, names);
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
        if (!strcmp(renamed[i].was, word) && find_option(c, renamed[i].is, strlen(renamed[i].is)))
            near = renamed[i].is;
    fail(ERR_USAGE, "%s: ditcl%c%s has no such option", typed, joint(c), c->name);
    if (near)
        fail_hint("did you mean %s%s?", strlen(near) > 1 ? "--" : "-", near);
    else
        fail_hint("ditcl%c%s --help lists them", joint(c), c->name);
    return ERR_USAGE;
}

/* Parses one argument that begins with '-'. *used = whether the next argument was its value. */
static status parse_option(const command *c, const char *word, const char *next, bool *used)
{
    const option *o = options_named(c, word);
    const char *value = NULL;
    *used = false;
    if (word[1] == '-') {
        value = strchr(word, '=');
        if (value) value++;
    } else {
        if (o && word[2]) value = word + 2;
        if (o && o->kind == OPTION_FLAG && value) o = NULL;
    }
    if (!o) return unknown_option(c, word);
    if (o->kind == OPTION_FLAG) {
        if (value) return fail(ERR_USAGE, "--%s takes no value", o->name);
        return set_value(o, "");
    }
    if (!value) {
        if (!next) return fail(ERR_USAGE, "%s%s needs a value", dashes(o), o->name);
        value = next;
        *used = true;
    }
    return set_value(o, value);
}

/* Prints the help, the command's part of the manual page, or candidates for a word, if the
 * arguments ask for it. */
static bool help_asked(const command *c, int argc, char **argv)
{
    bool asked = argc == 1 && !strcmp(argv[0], "help"), detailed = false;
    if (argc > 1 && !strcmp(argv[0], "--complete")) {
        complete_command(c, argc - 1, argv + 1);
        return true;
    }
    if (argc == 1 && !strcmp(argv[0], "--man")) {
        man_command(c);
        return true;
    }
    for (int i = 0; i < argc; i++) {
        asked |= !strcmp(argv[i], "--help") || !strcmp(argv[i], "-h");
        detailed |= !strcmp(argv[i], "--verbose") || !strcmp(argv[i], "-v");
    }
    if (asked) options_help(c, detailed);
    return asked;
}

status options_parse(const command *c, int argc, char **argv, bool *helped)
{
    int given = 0;
    bool only_words = false, used;
    *helped = help_asked(c, argc, argv);
    if (*helped) return OK;
    for (int i = 0; i < argc; i++) {
        status st = OK;
        if (!only_words && !strcmp(argv[i], "--")) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
            st = parse_option(c, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used);
            if (used) i++;
        } else if (c->positional && c->positional[given]) {
            c->values[given++] = argv[i];
        } else if (c->rest) {
            st = list_add(c->extra, argv[i], strlen(argv[i]));
        } else {
            st = fail(ERR_USAGE, "%s: unexpected argument \"%.200s\"", c->name, argv[i]);
            fail_hint("usage: ditcl%c%s %s", joint(c), c->name, c->arguments);
        }
        if (st != OK) return st;
    }
    if (c->positional && c->positional[given]) {
        fail(ERR_USAGE, "%s: %s is missing", c->name, c->positional[given]);
        fail_hint("usage: ditcl%c%s %s", joint(c), c->name, c->arguments);
        return ERR_USAGE;
    }
    return OK;
}

status options_walk(const command *c, int argc, char **argv,
                    status (*visit)(void *context, const option *o, const char *value),
                    void *context)
{
    bool only_words = false;
    status st = OK;
    for (int i = 0; i < argc && st == OK; i++) {
        const char *word = argv[i], *value = NULL;
        const option *o = only_words ? NULL : options_named(c, word);
        if (!only_words && !strcmp(word, "--")) {
            only_words = true;
            continue;
        }
        if (!o) {
            st = visit(context, NULL, word);
            continue;
        }
        if (word[1] == '-')
            value = strchr(word, '=') ? strchr(word, '=') + 1 : NULL;
        else if (word[2])
            value = word + 2;
        if (o->kind != OPTION_FLAG && !value && i + 1 < argc) value = argv[++i];
        st = visit(context, o, value);
    }
    return st;
}
