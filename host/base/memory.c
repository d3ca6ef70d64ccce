/* Checked host memory. See memory.h. */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

bool size_mul(size_t a, size_t b, size_t *out)
{
    if (a != 0 && b > SIZE_MAX / a) return false;
    *out = a * b;
    return true;
}

bool size_add(size_t a, size_t b, size_t *out)
{
    if (b > SIZE_MAX - a) return false;
    *out = a + b;
    return true;
}

status memory_alloc(void *p, size_t count, size_t item_size)
{
    size_t bytes;
    void *memory = NULL;
    if (size_mul(count, item_size, &bytes)) memory = calloc(bytes ? bytes : 1, 1);
    memcpy(p, &memory, sizeof memory);
    if (!memory)
        return fail(ERR_MEMORY, "out of memory: cannot allocate %zu x %zu bytes", count, item_size);
    return OK;
}

status memory_grow(void *p, size_t *capacity, size_t need, size_t item_size)
{
    if (need <= *capacity) return OK;
    size_t count = *capacity ? *capacity : 16, bytes;
    while (count < need) {
        if (count > SIZE_MAX / 2)
            return fail(ERR_MEMORY, "out of memory: cannot allocate %zu elements", need);
        count *= 2;
    }
    void *memory;
    memcpy(&memory, p, sizeof memory);
    if (!size_mul(count, item_size, &bytes) || !(memory = realloc(memory, bytes)))
        return fail(ERR_MEMORY, "out of memory: cannot allocate %zu x %zu bytes", count, item_size);
    memcpy(p, &memory, sizeof memory);
    *capacity = count;
    return OK;
}

status memory_strdup(char **out, const char *s)
{
    status st = memory_alloc(out, strlen(s) + 1, 1);
    if (st == OK) strcpy(*out, s);
    return st;
}

static uint64_t left_under(int resource, uint64_t used)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

uint64_t memory_left(void)
{
    /* fields of /proc/self/statm, in pages: size, resident, shared, text, lib (0), data */
    unsigned long long all = 0, data = 0, page = (unsigned long long)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%llu %*u %*u %*u %*u %llu", &all, &data) != 2) all = data = 0;
    if (file) fclose(file);
    uint64_t addresses = left_under(RLIMIT_AS, all * page);
    uint64_t values = left_under(RLIMIT_DATA, data * page);
    return addresses < values ? addresses : values;
}
