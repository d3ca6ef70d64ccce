/* The test program: every suite in one Check runner.
 *
 *     ditcl-tests [-s SEED] unit|device|kernels|configs|models|SUITE...
 *
 * unit: the suites without a device. device: those that need one, which are kernels, configs
 * (configurations of implementations) and models. DITCL_TEST_PLATFORM is a part of the name of the
 * platform to test on. DITCL_TEST_SMALL=1 chooses fewer and smaller cases, for an emulator.
 * DITCL_TEST_CONFIGS=N tests one configuration in N; the seed chooses which.
 *
 * The seed is 1 if neither -s nor DITCL_TEST_SEED gives one, so that two runs test the same.
 * DITCL_TEST_SEED=random takes one from the clock. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "suites.h"

static const struct {
    const char *name, *groups;
    Suite *(*make)(void);
} suites[] = {
    {"begin", "unit", suite_begin},
    {"cache", "unit", suite_cache},
    {"checkpoints", "unit", suite_checkpoints},
    {"conf", "unit", suite_conf},
    {"config", "unit", suite_config},
    {"files", "unit", suite_files},
    {"init", "unit", suite_init},
    {"json", "unit", suite_json},
    {"kinds", "unit", suite_kinds},
    {"outputs", "unit", suite_outputs},
    {"paper", "unit", suite_paper},
    {"png", "unit", suite_png},
    {"ptx", "unit", suite_ptx},
    {"rng", "unit", suite_rng},
    {"safetensors", "unit", suite_safetensors},
    {"schedule", "unit", suite_schedule},
    {"store", "unit", suite_store},
    {"text", "unit", suite_text},
    {"waves", "unit", suite_waves},
    {"program", "device kernels", suite_program},
    {"fit", "device configs", suite_fit},
    {"flush", "device configs", suite_flush},
    {"gemm", "device configs", suite_gemm},
    {"ops", "device kernels", suite_ops},
    {"slices", "device kernels", suite_slices},
    {"variants", "device configs", suite_variants},
    {"memory", "device models", suite_memory},
    {"models", "device models", suite_models},
    {"pictures", "device models", suite_pictures},
    {"compat", "device models", suite_compat},
    {"matrix", "emulator", suite_matrix},
    {"tiles", "emulator", suite_tiles}, /* needs tests/amx_emulator.c preloaded */
};

enum { N_SUITES = sizeof suites / sizeof *suites };

unsigned test_seed;

static int misused(void)
{
    fprintf(stderr, "usage: [DITCL_TEST_SEED=SEED|random] ditcl-tests [-s SEED] "
                    "unit|device|SUITE...; suites:");
    for (int i = 0; i < N_SUITES; i++) fprintf(stderr, " %s", suites[i].name);
    fprintf(stderr, "\n");
    return 2;
}

/* *seed = DITCL_TEST_SEED. False if its value is neither a number nor random. */
static bool seed_from_environment(uint64_t *seed)
{
    const char *value = getenv("DITCL_TEST_SEED");
    *seed = 1;
    if (!value || !*value) return true;
    if (strcmp(value, "random") != 0) return text_to_uint(value, seed);
    *seed = (uint64_t)time(NULL) % 100000;
    return true;
}

/* Whether word is one of the words of `groups`. */
static bool in_group(const char *groups, const char *word)
{
    size_t n = strlen(word), first = strcspn(groups, " ");
    if (n == first && !strncmp(groups, word, n)) return true;
    return groups[first] && !strcmp(groups + first + 1, word);
}

int main(int argc, char **argv)
{
    SRunner *runner = srunner_create(NULL);
    uint64_t seed;
    int n = 0;
    if (!seed_from_environment(&seed)) return misused();
    for (int a = 1; a < argc; a++) {
        int found = 0;
        if (!strcmp(argv[a], "-s")) {
            if (++a == argc || !text_to_uint(argv[a], &seed)) return misused();
            continue;
        }
        for (int i = 0; i < N_SUITES; i++)
            if (!strcmp(argv[a], suites[i].name) || in_group(suites[i].groups, argv[a])) {
                srunner_add_suite(runner, suites[i].make());
                found++;
            }
        if (!found) return misused();
        n += found;
    }
    if (!n) return misused();
    test_seed = (unsigned)seed;
    printf("seed %u\n", test_seed);
    fflush(stdout);
    /* an OpenCL device does not work in a forked child */
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
