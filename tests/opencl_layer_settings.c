/* Reads DITCL_LAYER. See opencl_layer_settings.h. */
#include "opencl_layer_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME(name) #name,
const char *const call_names[] = {CALLS(NAME)};
struct layer_settings set;

static void misunderstood(const char *setting)
{
    fprintf(stderr, "opencl_layer: DITCL_LAYER: \"%s\" is not understood\n", setting);
    _exit(99);
}

/* CALL:N, CALL:N+ or CALL:N:CODE */
static void add_rule(int what, const char *setting, char *value)
{
    char *number = strchr(value, ':'), *end;
    rule *r = &set.rules[set.n_rules++];
    if (!number || set.n_rules > MOST_RULES) misunderstood(setting);
    *number++ = 0;
    *r = (rule){.what = what, .call = ANY_CALL, .code = CL_OUT_OF_RESOURCES};
    if (strcmp(value, "any")) {
        r->call = 0;
        while (r->call < N_CALLS && strcmp(call_names[r->call], value)) r->call++;
        if (r->call == N_CALLS) misunderstood(setting);
    }
    r->first = r->last = strtoul(number, &end, 10);
    if (*end == '+') {
        r->last = (unsigned long)-1;
        end++;
    }
    if (*end == ':') r->code = (cl_int)strtol(end + 1, &end, 10);
    if (*end || !r->first) misunderstood(setting);
}

static size_t sized(const char *setting, const char *value, int shift)
{
    char *end;
    size_t n = strtoul(value, &end, 10);
    if (!*value || *end || !n) misunderstood(setting);
    return n << shift;
}

static void understand(char *setting)
{
    char *value = strchr(setting, '='), shown[TEXT_BYTES];
    const struct {
        const char *name;
        char *text;
    } texts[] = {
        {"name", set.name},         {"vendor", set.vendor},       {"driver", set.driver},
        {"version", set.version},   {"platform", set.platform},   {"log", set.log},
        {"builds", set.builds},     {"c_version", set.c_version}, {"wrong", set.wrong},
        {"launches", set.launches}, {"only", set.only},           {"crash_on", set.crash_on},
        {"hang_on", set.hang_on},   {"prelude", set.prelude}};
    const struct {
        const char *name;
        size_t *size;
        int shift;
    } sizes[] = {{"memory", &set.memory, 20}, {"largest", &set.largest, 20},
                 {"group", &set.group, 0},    {"kernel_group", &set.kernel_group, 0},
                 {"slow", &set.slow, 0},      {"watchdog", &set.watchdog, 0},
                 {"dpas", &set.dpas, 0}};
    static const char *const faults[] = {"fail", "hang", "crash"};
    snprintf(shown, sizeof shown, "%s", setting);
    if (!strcmp(setting, "child"))
        set.child = true;
    else if (!strcmp(setting, "no_images"))
        set.no_images = true;
    else if (!strcmp(setting, "stuck"))
        set.stuck = true;
    else if (!strcmp(setting, "no_fp16"))
        set.no_fp16 = true;
    else if (!value || strlen(value) >= TEXT_BYTES)
        misunderstood(shown);
    if (!value) return;
    *value++ = 0;
    for (int i = 0; i < 3; i++)
        if (!strcmp(setting, faults[i])) {
            add_rule(i, shown, value);
            return;
        }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!strcmp(setting, sizes[i].name)) {
            *sizes[i].size = sized(shown, value, sizes[i].shift);
            return;
        }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (strcmp(setting, texts[i].name)) continue;
        strcpy(texts[i].text, value);
        char *colon = texts[i].text == set.wrong ? strchr(set.wrong, ':') : NULL;
        if (!colon) return;
        set.wrong_argument = (int)(sized(shown, colon + 1, 0) % MOST_ARGUMENTS);
        *colon = 0;
        return;
    }
    if (!strcmp(setting, "lose"))
        set.lost_at = sized(shown, value, 0);
    else if (!strcmp(setting, "units"))
        set.units = (cl_uint)sized(shown, value, 0);
    else if (!strcmp(setting, "local") && !strcmp(value, "none"))
        set.local_none = true;
    else if (!strcmp(setting, "local") && !strcmp(value, "global"))
        set.local_global = true;
    else if (!strcmp(setting, "local"))
        set.local = sized(shown, value, 10);
    else if (strcmp(setting, "type"))
        misunderstood(shown);
    else if (!strcmp(value, "cpu"))
        set.type = CL_DEVICE_TYPE_CPU;
    else if (!strcmp(value, "gpu"))
        set.type = CL_DEVICE_TYPE_GPU;
    else if (!strcmp(value, "accelerator"))
        set.type = CL_DEVICE_TYPE_ACCELERATOR;
    else
        misunderstood(shown);
}

void layer_read_settings(void)
{
    static char copy[1 << 13];
    const char *all = getenv("DITCL_LAYER");
    if (!all || strlen(all) >= sizeof copy) return;
    strcpy(copy, all);
    char *rest = copy;
    for (char *one; (one = strsep(&rest, ";"));)
        if (*one) understand(one);
}
