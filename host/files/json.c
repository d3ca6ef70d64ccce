/* JSON from outside. See json.h. */
#include "files/json.h"

#include <stdlib.h>
#include <string.h>

/* A tensor in a header is about ten values, so this is room for 100000 tensors. */
enum { MOST_VALUES = 1 << 20 };

static _Thread_local bool ran_out;

static void *watched_malloc(size_t size)
{
    void *memory = malloc(size);
    if (!memory) ran_out = true;
    return memory;
}

void json_watch(void)
{
    ran_out = false;
    json_set_alloc_funcs(watched_malloc, free);
}

bool json_ran_out(void)
{
    return ran_out;
}

/* An upper bound of the number of values: the characters that open a container or separate values.
 */
static size_t count_values(const char *text, size_t size)
{
    size_t n = 0;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted)
            n += c == '{' || c == '[' || c == ',';
    }
    return n;
}

static const char mark[] = "\xef\xbb\xbf";

void json_strip_mark(char *text)
{
    size_t n = sizeof mark - 1;
    if (strncmp(text, mark, n) == 0) memmove(text, text + n, strlen(text + n) + 1);
}

status json_read(json_t **root, const char *text, size_t size, const char *path, const char *part)
{
    json_error_t error;
    *root = NULL;
    if (!part && size >= sizeof mark - 1 && memcmp(text, mark, sizeof mark - 1) == 0) {
        text += sizeof mark - 1;
        size -= sizeof mark - 1;
    }
    if (count_values(text, size) > MOST_VALUES)
        return fail(ERR_FORMAT, "%s: %s%sholds more than %d values, far more than any known file",
                    path, part ? part : "", part ? " " : "", MOST_VALUES);
    json_watch();
    *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (json_ran_out()) {
        json_decref(*root);
        *root = NULL;
        return fail(ERR_MEMORY, "%s: out of memory for %zu bytes of JSON", path, size);
    }
    if (*root) return OK;
    if (part)
        return fail(ERR_FORMAT, "%s: %s, byte %d: %s", path, part, error.position, error.text);
    return fail(ERR_FORMAT, "%s: not valid JSON: %s (line %d, column %d)", path, error.text,
                error.line, error.column);
}
