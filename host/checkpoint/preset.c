/* Recommended settings. See preset.h. */
#include "checkpoint/preset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "checkpoint/find.h"
#include "checkpoint/samplers.h"

enum { MOST_BYTES = 1 << 16 };
static const char blanks[] = " \t\r";

bool preset_interval(double *low, double *high, const char *typed)
{
    char first[40];
    size_t comma = strcspn(typed, ",");
    snprintf(first, sizeof first, "%.*s", (int)comma, typed);
    return comma < sizeof first && typed[comma] && text_to_double(first, low) &&
           text_to_double(typed + comma + 1, high) && *low <= *high;
}

static bool is_guidance(double *guidance, const char *value)
{
    return text_to_double(value, guidance) && *guidance >= 0 && *guidance <= 1000;
}

static bool is_sampler(int *sampler, const char *value)
{
    for (int i = 0; i < N_SAMPLERS; i++)
        if (!strcmp(sampler_names[i], value)) *sampler = i;
    return *sampler >= 0;
}

/* Takes one setting. *expected = what its value must be, or null if it is. False: no such setting,
 * or it stands twice. */
static bool take(preset *p, const char *word, const char *value, const char **expected)
{
    double low, high;
    bool good = true, fresh = true;
    if (!strcmp(word, "sampler")) {
        fresh = p->sampler < 0;
        good = is_sampler(&p->sampler, value);
        *expected = "the name of a sampler";
    } else if (!strcmp(word, "steps")) {
        fresh = !*p->steps;
        good = strspn(value, "ddim0123456789,") == strlen(value);
        text_copy(p->steps, sizeof p->steps, value);
        *expected = "the steps as for --steps";
    } else if (!strcmp(word, "cfg")) {
        fresh = p->guidance < 0;
        good = is_guidance(&p->guidance, value);
        *expected = "a number from 0 to 1000";
    } else if (!strcmp(word, "guidance-interval")) {
        fresh = !*p->interval;
        good = preset_interval(&low, &high, value);
        text_copy(p->interval, sizeof p->interval, value);
        *expected = "two timesteps, LO,HI";
    } else {
        return false;
    }
    if (good) *expected = NULL;
    return fresh;
}

/* line: one line of the file, which is cut into words. */
static status take_line(preset *p, char *line, const char *path, int number)
{
    const char *expected = NULL;
    line[strcspn(line, "#")] = 0;
    char *rest, *word = strtok_r(line, blanks, &rest);
    char *value = word ? strtok_r(NULL, blanks, &rest) : NULL;
    if (!word) return OK;
    if (!value || strtok_r(NULL, blanks, &rest) || strlen(value) >= PRESET_WORD)
        return fail(ERR_FORMAT, "%s:%d: %.60s: expected one value behind it", path, number, word);
    if (!take(p, word, value, &expected))
        return fail(ERR_FORMAT,
                    "%s:%d: found \"%.60s\", expected sampler, steps, cfg or guidance-interval, "
                    "each once",
                    path, number, word);
    if (!expected) return OK;
    return fail(ERR_FORMAT, "%s:%d: %s %s: expected %s", path, number, word, value, expected);
}

status preset_read(preset *p, const char *folder)
{
    char path[FIND_PATH_BYTES], *words = NULL;
    int number = 1;
    *p = (preset){.sampler = -1, .guidance = -1};
    if (!file_is_folder(folder)) return OK;
    status st = file_join(path, sizeof path, folder, PRESET_FILE);
    if (st != OK || !file_exists(path)) return st;
    p->there = true;
    TRY(file_read_text(&words, path, MOST_BYTES));
    for (char *line = words, *next; line; line = next, number++) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        TRY(take_line(p, line, path, number));
    }
done:
    free(words);
    return st;
}
