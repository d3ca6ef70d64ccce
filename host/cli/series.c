/* Seeds of a series, and the choice of its pictures. See series.h. */
#include "cli/series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"

enum { MOST = 1000000 };

/* Parses "7" or "100-120" of n bytes. */
static bool parse_range(uint64_t *first, uint64_t *last, const char *typed, size_t n)
{
    char part[64];
    if (n >= sizeof part) return false;
    memcpy(part, typed, n);
    part[n] = 0;
    char *dash = strchr(part, '-');
    if (dash) *dash = 0;
    if (!text_to_uint(part, first)) return false;
    *last = *first;
    return !dash || (text_to_uint(dash + 1, last) && *last >= *first);
}

/* *list = the numbers of "5,9,100-120", at most `most` each. */
static status parse_list(uint64_t **list, int *n, const char *name, const char *typed,
                         uint64_t most)
{
    size_t capacity = 0, length;
    uint64_t first, last;
    status st = OK;
    *n = 0;
    for (const char *at = typed;; at += length + 1) {
        length = strcspn(at, ",");
        if (!parse_range(&first, &last, at, length) || last > most)
            return fail(ERR_USAGE,
                        "--%s %.60s: expected numbers from 0 to %llu, or ranges such as 100-120, "
                        "with commas between them",
                        name, typed, (unsigned long long)most);
        if (last - first >= (uint64_t)(MOST - *n))
            return fail(ERR_USAGE, "--%s %.60s: more than %d pictures are too many", name, typed,
                        MOST);
        int more = (int)(last - first) + 1;
        TRY(memory_grow(list, &capacity, (size_t)(*n + more), sizeof **list));
        for (int i = 0; i < more; i++) (*list)[*n + i] = first + (uint64_t)i;
        *n += more;
        if (!at[length]) break;
    }
done:
    return st;
}

/* A seed of 32 bits: PyTorch's generator for CPUs uses no more. */
static status draw_seed(uint64_t *seed)
{
    uint32_t bits;
    if (getentropy(&bits, sizeof bits) != 0)
        return fail(ERR_FILE, "--seed random: the system gives no random numbers");
    *seed = bits;
    return OK;
}

static status apply_seed(const series_args *args, drawing_request *q)
{
    if (!args->seed) return OK;
    if (!strcmp(args->seed, "random")) return draw_seed(&q->seed);
    if (text_to_uint(args->seed, &q->seed)) return OK;
    return fail(ERR_USAGE, "--seed %.60s: expected a whole number from 0 to 2^64 - 1, or random",
                args->seed);
}

static status apply_seeds(series_args *args, drawing_request *q)
{
    int n;
    if (!args->seeds) return OK;
    if (args->seed)
        return fail(ERR_USAGE, "--seed and --seeds exclude each other: --seeds has every seed");
    if (q->per_class != 1)
        return fail(ERR_USAGE, "-n %d: --seeds has one seed for each picture of a class",
                    q->per_class);
    status st = parse_list(&args->each, &n, "seeds", args->seeds, UINT64_MAX);
    q->seeds = args->each;
    if (st == OK) q->per_class = n;
    return st;
}

static status apply_pick(series_args *args, drawing_request *q)
{
    uint64_t *numbers = NULL;
    status st = OK;
    if (!args->pick || !strcmp(args->pick, "all")) return OK;
    TRY(parse_list(&numbers, &q->n_picks, "pick", args->pick, MOST - 1));
    TRY(memory_alloc(&args->picks, (size_t)q->n_picks, sizeof *args->picks));
    for (int i = 0; i < q->n_picks; i++) args->picks[i] = (int)numbers[i];
    q->picks = args->picks;
done:
    free(numbers);
    return st;
}

status series_apply(series_args *args, drawing_request *q)
{
    status st = apply_seed(args, q);
    if (st == OK) st = apply_seeds(args, q);
    return st == OK ? apply_pick(args, q) : st;
}

void series_announce(const series_args *args, const drawing_request *q, bool quiet)
{
    if (args->seed && !strcmp(args->seed, "random") && !quiet)
        fprintf(stderr, "seed %llu\n", (unsigned long long)q->seed);
}

void series_free(series_args *args)
{
    free(args->each);
    free(args->picks);
    *args = (series_args){0};
}
