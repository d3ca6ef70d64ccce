/* The manual page. See man.h. */
#include "cli/man.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/environment.h"
#include "cli/surroundings.h"

/* Prints n characters of words. A line that begins with . or ' would be a macro, and a plain -
 * would become a hyphen. */
static void put_text(const char *words, size_t n)
{
    bool line_begins = true;
    for (const char *c = words; c < words + n; c++) {
        if (line_begins && (*c == '.' || *c == '\'')) fputs("\\&", stdout);
        line_begins = *c == '\n';
        if (*c == '\\')
            fputs("\\e", stdout);
        else if (*c == '-')
            fputs("\\-", stdout);
        else
            putchar(*c);
    }
}

static void put_line(const char *words)
{
    put_text(words, strlen(words));
    putchar('\n');
}

/* Paragraphs of --help. An indented line is an example, which keeps its layout. */
static void put_paragraphs(const char *words)
{
    bool example = false;
    puts(".PP");
    for (const char *line = words; *line;) {
        size_t n = strcspn(line, "\n");
        bool indented = !strncmp(line, "  ", 2);
        if (indented != example) puts(indented ? ".PP\n.RS 4\n.nf" : ".fi\n.RE\n.PP");
        example = indented;
        if (n == 0 && line[1]) puts(".PP");
        put_text(line + (indented ? 2 : 0), n - (indented ? 2 : 0));
        if (n) putchar('\n');
        line += n + (line[n] == '\n');
    }
    if (example) puts(".fi\n.RE");
}

static void put_option(const option *o)
{
    size_t first = strcspn(o->help, "\n");
    const char *dashes = o->name[1] ? "\\-\\-" : "\\-";
    printf(".TP\n");
    if (o->letter) printf("\\fB\\-%c\\fR, ", o->letter);
    printf("\\fB%s", dashes);
    put_text(o->name, strlen(o->name));
    printf("\\fR");
    if (o->argument) {
        printf(" \\fI");
        put_text(o->argument, strlen(o->argument));
        printf("\\fR");
    }
    putchar('\n');
    put_text(o->help, first);
    putchar('\n');
    if (!o->help[first]) return;
    puts(".br");
    put_line(o->help + first + 1);
}

void man_command(const command *c)
{
    printf(".SS %s\n\\fBditcl %s\\fR ", c->name, c->name);
    put_line(c->arguments);
    puts(".PP");
    put_line(c->summary);
    for (const option *o = c->options; o->name; o++) {
        if (o->kind == OPTION_GROUP)
            printf(".PP\n\\fI%s\\fR\n", o->help);
        else
            put_option(o);
    }
    if (c->more) put_paragraphs(c->more);
    if (c->details) put_paragraphs(c->details);
}

void man_begin(void)
{
    puts(
        ".TH DITCL 1 \"\" \"ditcl " DITCL_VERSION "\" \"User Commands\"\n"
        ".nh\n.ad l\n"
        ".SH NAME\n"
        "ditcl \\- sample diffusion transformers (DiT) on any OpenCL device\n"
        ".SH SYNOPSIS\n"
        ".B ditcl\n"
        ".I COMMAND\n"
        "[\\fIARGUMENT\\fR...] [\\fIOPTION\\fR...]\n"
        ".SH DESCRIPTION\n"
        "ditcl draws pictures with class\\-conditional diffusion transformers (DiT, SiT) and the\n"
        "Stable Diffusion VAE. It computes on any device with OpenCL 1.2. It also checks, "
        "measures\n"
        "and tunes its kernels on a device.\n"
        ".PP\n"
        "\\fBditcl\\fR \\fICOMMAND\\fR \\fB\\-\\-help\\fR prints a short form of what follows, "
        "and\n"
        "\\fBditcl \\-\\-version\\fR the versions of ditcl and its parts. Brackets after an option "
        "have its default.\n"
        "An option of one letter may be followed by its value without a space, and an option of a\n"
        "word by = and the value. Everything after \\-\\- is an argument.\n"
        ".SH COMMANDS");
}

static void put_variable(const char *name, const char *what)
{
    printf(".TP\n.B %s\n", name);
    put_line(what);
}

static void put_file(const char *name, const char *what)
{
    printf(".TP\n.I %s\n", name);
    put_line(what);
}

void man_end(void)
{
    puts(".SH ENVIRONMENT\n"
         "An empty value counts as unset. A value that is not allowed is an error.");
    environment_visit(put_variable);
    puts(".SH FILES");
    surroundings_files(put_file);
    puts(".SH EXIT STATUS");
    surroundings_codes(put_variable);
    puts(".SH SEE ALSO\n"
         ".BR clinfo (1)");
}
