/* Colours on a terminal. See colour.h. */
#include "cli/colour.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool colour_shown(FILE *to)
{
    const char *refused = getenv("NO_COLOR"), *terminal = getenv("TERM");
    if (refused && *refused) return false;
    return terminal && *terminal && strcmp(terminal, "dumb") != 0 && isatty(fileno(to));
}

const char *colour_on(FILE *to, colour c)
{
    static const char *const begins[] = {"", "\033[32m", "\033[31m", "\033[33m"};
    return colour_shown(to) ? begins[c] : "";
}

const char *colour_off(FILE *to)
{
    return colour_shown(to) ? "\033[0m" : "";
}

void colour_verdict(FILE *to, const char *line)
{
    static const char right[] = "  ok", wrong[] = "  WRONG";
    size_t n = strlen(line);
    bool good = n >= strlen(right) && !strcmp(line + n - strlen(right), right);
    const char *bad = strstr(line, wrong);
    const char *at = good ? line + n - 2 : bad ? bad + 2 : line + n;
    int length = good ? 2 : bad ? 5 : 0;
    fprintf(to, "%.*s%s%.*s%s%s\n", (int)(at - line), line,
            colour_on(to, good  ? COLOUR_GOOD
                          : bad ? COLOUR_BAD
                                : COLOUR_NONE),
            length, at, colour_off(to), at + length);
    fflush(to); /* a case may take long, and stdout may be a pipe */
}
