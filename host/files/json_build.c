/* Building JSON. See json_build.h. */
#include "files/json_build.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "files/json.h"

/* ---- the first failure ---- */

static void take_failure(json_build *b, status st)
{
    if (b->st != OK || st == OK) return;
    b->st = st;
    text_copy(b->line, sizeof b->line, fail_line());
}

static void no_memory(json_build *b)
{
    take_failure(b, fail(ERR_MEMORY, "out of memory for JSON"));
}

/* ---- the root ---- */

static json_t *begin_root(json_build *b, json_t *root)
{
    *b = (json_build){.root = root};
    if (!root) no_memory(b);
    return root;
}

json_t *json_build_begin(json_build *b)
{
    json_watch();
    return begin_root(b, json_object());
}

json_t *json_build_begin_array(json_build *b)
{
    json_watch();
    return begin_root(b, json_array());
}

status json_build_read(json_build *b, const char *json, const char *path, const char *part)
{
    *b = (json_build){0};
    take_failure(b, json_read(&b->root, json, strlen(json), path, part));
    if (b->root && !json_is_object(b->root))
        take_failure(b, fail(ERR_FORMAT, "%s: has no JSON object ({...})", path));
    return b->st;
}

void json_build_free(json_build *b)
{
    json_decref(b->root);
    b->root = NULL;
}

/* ---- values ---- */

/* Takes ownership of value; null means that memory ran out. Returns value, or null. */
static json_t *put_value(json_build *b, json_t *in, const char *key, json_t *value)
{
    if (b->st != OK) {
        json_decref(value);
        return NULL;
    }
    if (json_is_object(in) && !text_is_utf8(key)) {
        json_decref(value);
        take_failure(b, fail(ERR_FORMAT, "the name %.100s is not UTF-8", key));
        return NULL;
    }
    int bad =
        json_is_array(in) ? json_array_append_new(in, value) : json_object_set_new(in, key, value);
    if (bad) no_memory(b);
    return bad ? NULL : value;
}

json_t *json_put_object(json_build *b, json_t *in, const char *key)
{
    return put_value(b, in, key, json_object());
}

json_t *json_put_array(json_build *b, json_t *in, const char *key)
{
    return put_value(b, in, key, json_array());
}

void json_put_int(json_build *b, json_t *in, const char *key, json_int_t value)
{
    put_value(b, in, key, json_integer(value));
}

void json_put_real(json_build *b, json_t *in, const char *key, double value)
{
    put_value(b, in, key, isfinite(value) ? json_real(value) : json_null());
}

void json_put_bool(json_build *b, json_t *in, const char *key, bool value)
{
    put_value(b, in, key, json_boolean(value));
}

void json_put_null(json_build *b, json_t *in, const char *key)
{
    put_value(b, in, key, json_null());
}

void json_put_text(json_build *b, json_t *in, const char *key, const char *value)
{
    if (!text_is_utf8(value))
        take_failure(
            b, fail(ERR_FORMAT, "%.80s: \"%.80s\" is not UTF-8", key ? key : "an element", value));
    else
        put_value(b, in, key, json_string(value));
}

void json_put_name(json_build *b, json_t *in, const char *key, const char *value)
{
    text valid = {0};
    int32_t code;
    status st = text_append(&valid, "%s", "");
    while (*value && st == OK) {
        size_t n = text_decode(value, &code);
        st = code == TEXT_NO_UTF8 ? text_append(&valid, "\xEF\xBF\xBD")
                                  : text_append(&valid, "%.*s", (int)n, value);
        value += n;
    }
    take_failure(b, st);
    if (st == OK) json_put_text(b, in, key, valid.data);
    text_free(&valid);
}

void json_put_json(json_build *b, json_t *in, const char *key, const char *json)
{
    json_t *value = NULL;
    status st = json_read(&value, json, strlen(json), key ? key : "an element", NULL);
    take_failure(b, st);
    if (st == OK) put_value(b, in, key, value);
}

/* ---- the text ---- */

typedef struct {
    text *out;
    status st; /* kept here, since jansson goes on after some failed writes */
} pieces;

static int append_piece(const char *piece, size_t size, void *context)
{
    pieces *p = context;
    if (p->st == OK) p->st = text_append(p->out, "%.*s", (int)size, piece);
    return p->st == OK ? 0 : -1;
}

status json_append(text *out, const json_t *value, size_t flags)
{
    pieces p = {out, OK};
    json_watch();
    if (json_dump_callback(value, append_piece, &p, flags) || p.st != OK || json_ran_out())
        return fail(ERR_MEMORY, "out of memory for JSON");
    return OK;
}

status json_build_text(json_build *b, text *out, size_t flags)
{
    if (b->st != OK) return fail(b->st, "%s", b->line);
    if (json_ran_out()) return fail(ERR_MEMORY, "out of memory for JSON");
    return json_append(out, b->root, flags);
}

/* Only strings can contain such characters, and a string may write any character as \u. */
static void print_escaped(const char *s, FILE *to)
{
    while (*s) {
        int32_t code;
        size_t n = text_decode(s, &code);
        bool plain = text_is_shown(code) || code == '\n';
        if (plain)
            fwrite(s, 1, n, to);
        else if (code < 0x10000)
            fprintf(to, "\\u%04x", (unsigned)code);
        else
            fprintf(to, "\\u%04x\\u%04x", 0xD800u | (unsigned)(code - 0x10000) >> 10,
                    0xDC00u | ((unsigned)code & 0x3FF));
        s += n;
    }
}

status json_build_print(json_build *b, FILE *to, size_t flags)
{
    text all = {0};
    status st = json_build_text(b, &all, flags);
    if (st == OK) {
        print_escaped(all.data, to);
        fputc('\n', to);
        errno = EIO; /* for a write that failed earlier */
        if (fflush(to) || ferror(to))
            st = fail(ERR_FILE, "cannot write to standard output: %s", strerror(errno));
    }
    text_free(&all);
    return st;
}
