/* The stored line of the last failure. See status.h. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static _Thread_local char line[FAIL_BYTES];
static _Thread_local char hint[FAIL_BYTES];

status fail(status code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    text_printable(line, sizeof line, line);
    hint[0] = 0;
    return code;
}

status fail_in(status code, const char *fmt, ...)
{
    char joined[FAIL_BYTES];
    va_list args;
    va_start(args, fmt);
    int used = vsnprintf(joined, sizeof joined, fmt, args);
    va_end(args);
    if (used < 0) return code;
    size_t front = strlen(joined), room = sizeof line - front;
    if (room > 3) {
        memmove(line + front + 2, line, room - 3);
        memcpy(line, joined, front);
        memcpy(line + front, ": ", 2);
        line[sizeof line - 1] = 0;
    }
    text_printable(line, sizeof line, line);
    return code;
}

void fail_hint(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(hint, sizeof hint, fmt, args);
    va_end(args);
    text_printable(hint, sizeof hint, hint);
}

const char *fail_line(void)
{
    return line;
}

const char *fail_hint_line(void)
{
    return hint;
}

void fail_clear(void)
{
    line[0] = hint[0] = 0;
}

void fail_keep(failure *kept)
{
    memcpy(kept->line, line, sizeof line);
    memcpy(kept->hint, hint, sizeof hint);
}

void fail_put_back(const failure *kept)
{
    memcpy(line, kept->line, sizeof line);
    memcpy(hint, kept->hint, sizeof hint);
}
