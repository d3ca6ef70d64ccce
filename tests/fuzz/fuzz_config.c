/* Reads any text as each JSON file of a model folder. It must be refused with a message, or give a
 * configuration within the limits of config.h, from which a schedule is made or refused. To build
 * and run it, see fuzz_safetensors.c. */
#include <string.h>

#include "checkpoint/classes.h"
#include "checkpoint/config.h"
#include "input.h"
#include "sample/schedule.h"

static void parse_dit(const char *json)
{
    dit_config c;
    if (config_parse_dit(&c, json, "input", NULL) != OK) return;
    if (c.heads < 1 || c.head_dim < 1 || c.head_dim > 128 || c.width % 4) abort();
    if ((long long)c.heads * c.head_dim != c.width || c.depth < 1 || c.n_classes < 1) abort();
    if (c.patch < 1 || c.latent_size < c.patch || c.latent_size % c.patch) abort();
    if (c.out_channels != c.in_channels && c.out_channels != 2 * c.in_channels) abort();
}

static void parse_vae(const char *json)
{
    vae_config c;
    if (config_parse_vae(&c, json, "input", NULL) != OK) return;
    if (c.n_levels < 1 || c.n_levels > VAE_MAX_LEVELS || c.groups < 1) abort();
    for (int i = 0; i < c.n_levels; i++)
        if (c.channels[i] < 1 || c.channels[i] % c.groups) abort();
    if (c.layers_per_block < 1 || c.latent_channels < 1 || c.scaling_factor == 0) abort();
}

static void parse_schedule(const char *json)
{
    schedule_config c, settled;
    schedule s;
    if (config_parse_schedule(&c, json, "input", NULL) != OK) return;
    if (!memchr(c.class_name, 0, sizeof c.class_name)) abort();
    for (int kind = 0; kind < 4 * N_SAMPLERS; kind++) {
        const schedule_options options = {.arithmetic = COMPAT_DIFFUSERS,
                                          .sampler = (sampler_kind)(kind / 4),
                                          .steps = "5",
                                          .eta = kind & 2 ? 0 : 0.5,
                                          .learned = kind & 1,
                                          .invert = kind / 4 == SAMPLER_DDIM && kind & 2};
        if (schedule_init(&s, &c, &options) != OK) continue;
        if (config_resolve_schedule(&settled, &c, options.sampler) != OK) abort();
        int n_train = settled.n_train;
        config_free_schedule(&settled);
        if (n_train < 1) abort();
        /* -1 is what diffusers has behind some trailing spacings */
        for (int i = 0; i < s.n_rows; i++)
            if (!(s.rows[i].timestep >= -1 && s.rows[i].timestep < (float)(2 * n_train))) abort();
        schedule_free(&s);
    }
    config_free_schedule(&c);
}

static void parse_names(const char *json)
{
    class_names names;
    int number = 0;
    if (config_parse_names(&names, json, "input", 1000) != OK) return;
    static const char *const typed[] = {"7", "a", "cat", "", "grey fox", ",", "a,b, c,null", "all"};
    const class_choice among = {&names, 999, true, true};
    for (size_t i = 0; i < sizeof typed / sizeof *typed; i++)
        for (const char *at = typed[i]; at;) {
            if (config_next_class(&number, &at, &among) != OK) break;
            if (number < CLASS_ALL || number >= 1000) abort();
        }
    config_free_names(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const parse[])(const char *) = {parse_dit, parse_vae, parse_schedule,
                                                  parse_names};
    char *json = malloc(size + 1);
    if (!json) return 0;
    if (size) memcpy(json, bytes, size);
    json[size] = 0;
    for (int i = 0; i < 4; i++) parse[i](json);
    free(json);
    return 0;
}
