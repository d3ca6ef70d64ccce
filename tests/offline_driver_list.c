/* The list of kernels that were built with the offline driver, and the files that are written
 * for them. See offline_driver.c. */
#include "offline_driver.h"

#include <ctype.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static offline_kernel *first, **last = &first;

/* ---- programs ---- */

/* FNV-1a */
static uint64_t hash(uint64_t h, const char *text)
{
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    return h;
}

/* NAME of the source's line `#line 1 "cl/NAME"`, or "". */
static char *file_of(const char *source)
{
    static const char mark[] = "#line 1 \"cl/";
    const char *at = strstr(source, mark);
    return at ? strndup(at + sizeof mark - 1, strcspn(at + sizeof mark - 1, "\"\n")) : strdup("");
}

static bool write_source(const offline_kernel *k, const char *source)
{
    char path[2 * OFFLINE_TEXT];
    if (!*offline.folder || !*k->file) return true;
    snprintf(path, sizeof path, "%s/%s", offline.folder, k->source);
    FILE *out = fopen(path, "w");
    bool good = out && fputs(source, out) >= 0;
    if (out && fclose(out)) good = false;
    if (!good) perror(path);
    return good;
}

offline_kernel *offline_list_kernel(const char *source, const char *options, const char *name)
{
    offline_kernel *k = calloc(1, sizeof *k);
    if (!k) return NULL;
    *k = (offline_kernel){
        .file = file_of(source), .name = strdup(name), .options = strdup(options), .n_args = -1};
    strcpy(k->config, offline.config);
    strcpy(k->precision, offline.precision);
    if (!k->file || !k->name || !k->options) return NULL;
    uint64_t h = hash(hash(0xcbf29ce484222325u, source), options);
    snprintf(k->source, sizeof k->source, "%.*s-%012llx.cl", (int)(strcspn(k->file, ".") % 40),
             k->file, (unsigned long long)(h & 0xffffffffffffu));
    bool is_new = true;
    for (offline_kernel *other = first; other; other = other->next) {
        if (strcmp(other->source, k->source)) continue;
        is_new = false;
        if (strcmp(other->name, name)) continue;
        free(k->file);
        free(k->name);
        free(k->options);
        free(k);
        return other;
    }
    if (is_new && !write_source(k, source)) return NULL;
    *last = k;
    last = &k->next;
    return k;
}

void offline_write_index(void)
{
    char path[2 * OFFLINE_TEXT];
    if (!*offline.folder || !first) return;
    snprintf(path, sizeof path, "%s/index.tsv", offline.folder);
    FILE *out = fopen(path, "w");
    if (!out) {
        perror(path);
        return;
    }
    fprintf(out, "source\tfile\tkernel\tconfig\tprecision\twork_group\toptions\n");
    for (const offline_kernel *k = first; k; k = k->next)
        if (*k->file)
            fprintf(out, "%s\t%s\t%s\t%s\t%s\t%zu\t%s\n", k->source, k->file, k->name, k->config,
                    k->precision, k->group, k->options);
    if (fclose(out)) perror(path);
}

/* ---- arguments ---- */

enum { MOST_WORDS = 256 };

/* Runs the C preprocessor on the source, with the options that define macros. *text = its output,
 * or null. */
static void run_preprocessor(char **text, FILE *in, FILE *out, char *options)
{
    char *words[MOST_WORDS] = {DITCL_CC, "-E", "-P", "-undef", "-w", "-D__OPENCL_VERSION__=120"};
    int n = 6, code;
    pid_t child;
    posix_spawn_file_actions_t actions;
    for (char *word; (word = strsep(&options, " "));)
        if (!strncmp(word, "-D", 2) && n < MOST_WORDS - 4) words[n++] = word;
    words[n++] = "-x";
    words[n++] = "c";
    words[n] = "-";
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(in), 0);
    posix_spawn_file_actions_adddup2(&actions, fileno(out), 1);
    bool good = !posix_spawnp(&child, DITCL_CC, &actions, NULL, words, environ) &&
                waitpid(child, &code, 0) == child && code == 0;
    posix_spawn_file_actions_destroy(&actions);
    if (!good) return;
    fseek(out, 0, SEEK_END);
    long bytes = ftell(out);
    rewind(out);
    *text = bytes >= 0 ? calloc((size_t)bytes + 1, 1) : NULL;
    if (*text && fread(*text, 1, (size_t)bytes, out) != (size_t)bytes) **text = 0;
}

static char *preprocess(const char *source, const char *options)
{
    FILE *in = tmpfile(), *out = tmpfile();
    char *copy = strdup(options), *text = NULL;
    if (in && out && copy && fputs(source, in) >= 0 && !fflush(in)) {
        rewind(in);
        run_preprocessor(&text, in, out, copy);
    }
    if (in) fclose(in);
    if (out) fclose(out);
    free(copy);
    return text;
}

/* The opening bracket after "void NAME", or null. */
static const char *parameters_of(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = text; (at = strstr(at, name)); at += n) {
        const char *before = at, *behind = at + n;
        while (before > text && isspace((unsigned char)before[-1])) before--;
        while (isspace((unsigned char)*behind)) behind++;
        if (*behind == '(' && before != at && before - text >= 4 && !memcmp(before - 4, "void", 4))
            return behind;
    }
    return NULL;
}

int offline_count_arguments(const char *source, const char *options, const char *name)
{
    char *text = preprocess(source, options);
    const char *at = text ? parameters_of(text, name) : NULL;
    int commas = 0, depth = 0;
    bool any = false;
    for (; at && *at; at++) {
        depth += (*at == '(') - (*at == ')');
        if (!depth) break;
        commas += depth == 1 && *at == ',';
        any |= isalpha((unsigned char)*at);
    }
    bool found = at && *at;
    free(text);
    return !found ? -1 : any ? commas + 1 : 0;
}
