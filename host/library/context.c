/* Contexts: errors, the log, cancelling; and what all functions share. See inside.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "base/worker.h"
#include "library/inside.h"

/* Later codes of status.h would need a place in ditcl_code. */
_Static_assert((int)ERR_USAGE == DITCL_ERROR_USAGE && (int)ERR_FILE == DITCL_ERROR_FILE &&
                   (int)ERR_FORMAT == DITCL_ERROR_FORMAT && (int)ERR_MEMORY == DITCL_ERROR_MEMORY &&
                   (int)ERR_DEVICE == DITCL_ERROR_DEVICE &&
                   (int)ERR_RESOURCES == DITCL_ERROR_RESOURCES &&
                   (int)ERR_LOST == DITCL_ERROR_LOST && (int)ERR_BUILD == DITCL_ERROR_BUILD &&
                   (int)ERR_LIMIT == DITCL_ERROR_LIMIT && (int)ERR_CANCELLED == DITCL_CANCELLED,
               "the codes of status.h are those of ditcl.h");

/* The context that this thread has entered; null: none. Functions of other folders call
 * library_note without a context. */
static _Thread_local ditcl *entered;

const char *ditcl_version(void)
{
    return DITCL_VERSION;
}

ditcl *ditcl_create(void)
{
    ditcl *c = calloc(1, sizeof *c);
    if (c) c->users = 1;
    return c;
}

void library_release(ditcl *c)
{
    if (--c->users > 0) return;
    if (c->listed) device_list_free(&c->devices);
    free(c);
}

void ditcl_destroy(ditcl *c)
{
    if (c) library_release(c);
}

const char *ditcl_error(const ditcl *c)
{
    return c->last.line;
}

const char *ditcl_error_hint(const ditcl *c)
{
    return c->last.hint;
}

void ditcl_set_log(ditcl *c, ditcl_log_function log, void *context)
{
    c->log = log;
    c->log_context = context;
}

void ditcl_cancel(ditcl *c, int on)
{
    atomic_store(&c->cancelled, on);
}

status library_goes_on(ditcl *c)
{
    return atomic_exchange(&c->cancelled, 0) ? fail(ERR_CANCELLED, "cancelled") : OK;
}

/* ---- calls ---- */

void library_enter(ditcl *c)
{
    fail_clear();
    entered = c;
    worker_use_program(NULL);
}

void library_enter_device(ditcl_device *the_device)
{
    library_enter(the_device->of);
    if (*the_device->program) worker_use_program(the_device->program);
}

ditcl_code library_leave(ditcl *c, status st)
{
    if (st == OK) fail_clear();
    fail_keep(&c->last);
    entered = NULL;
    worker_use_program(NULL);
    return (ditcl_code)st;
}

static void say(ditcl_log_level level, const char *line)
{
    if (entered && entered->log) entered->log(entered->log_context, level, TEXT_SHOWN(line));
}

void library_note(const char *line)
{
    say(DITCL_LOG_NOTE, line);
}

void library_warn(const char *line)
{
    say(DITCL_LOG_WARNING, line);
}

/* ---- structs ---- */

enum { LARGEST_STRUCT = 65536 };

static status struct_size(size_t *size, const void *given, const char *name)
{
    memcpy(size, given, sizeof *size);
    if (*size >= sizeof *size && *size <= LARGEST_STRUCT) return OK;
    fail(ERR_USAGE, "%s: its size is %zu, so it was not initialised", name, *size);
    fail_hint("call %s_init(&it, sizeof it) first", name);
    return ERR_USAGE;
}

status library_take(void *out, size_t known, const void *given, const char *name)
{
    size_t size;
    status st = struct_size(&size, given, name);
    if (st != OK) return st;
    memcpy(out, given, size < known ? size : known);
    memcpy(out, &known, sizeof known);
    for (size_t i = known; i < size; i++)
        if (((const char *)given)[i])
            return fail(ERR_USAGE, "%s: byte %zu is set, and ditcl %s knows %zu bytes", name, i,
                        DITCL_VERSION, known);
    return OK;
}

status library_give(void *given, const void *answer, size_t known, const char *name)
{
    size_t size;
    status st = struct_size(&size, given, name);
    if (st != OK) return st;
    library_init(given, size, answer, known);
    return OK;
}

void library_init(void *out, size_t size, const void *defaults, size_t known)
{
    if (size < sizeof size) return;
    memset(out, 0, size);
    memcpy(out, defaults, size < known ? size : known);
    memcpy(out, &size, sizeof size);
}

status library_word(int *index, int none, const char *word, const char *const *names,
                    const char *what)
{
    text all = {0};
    status st = OK;
    *index = none;
    if (!word) return OK;
    for (int i = 0; names[i]; i++) {
        *index = i;
        if (!strcmp(word, names[i])) return OK;
    }
    for (int i = 0; names[i]; i++) TRY(text_append(&all, "%s%s", i ? ", " : "", names[i]));
    st = fail(ERR_USAGE, "%s \"%.80s\": expected one of %s", what, word, all.data);
done:
    text_free(&all);
    return st;
}
