/* ditcl check: every kernel against its double-precision reference, on the user's own device. */
#include <stdio.h>

#include "cli/cli.h"
#include "trials/trial.h"

status cli_check(int argc, char **argv)
{
    device_choice on = {0};
    int seed = 1;
    bool quick = false, helped;
    text_list operators = {0};
    const option options[] = {
        {"seed", 's', OPTION_INT, &seed, "S", "random seed of the inputs [1]", 0, 2147483647, NULL},
        {"quick", 0, OPTION_FLAG, &quick, NULL, "small shapes only, for emulators", 0, 0, NULL},
        OPTIONS_DEVICE(&on),
        {0},
    };
    const command c = {
        .name = "check",
        .arguments = "[OPERATOR...] [--device SEL]",
        .summary = "Compares the device's kernels with references in double precision: fresh "
                   "random inputs, poisoned outputs, odd sizes. OPERATOR: gemm, attention, conv, "
                   "...; without one, all are checked.",
        .options = options,
        .rest = true,
        .extra = &operators,
    };
    device d = {0};
    trial_tally all = {0};
    status st = OK;
    TRY(options_parse(&c, argc, argv, &helped));
    if (helped) goto done;
    on.no_cache = true; /* the compiler's work is part of what is checked */
    TRY(cli_open_device(&d, &on, false));
    TRY(trial_check_all(&d, (const char *const *)operators.items, operators.n, (unsigned)seed,
                        quick, stdout, &all));
    if (all.failed) {
        st = fail(ERR_DEVICE, "%d of %d checks failed on device %d (%s)", all.failed, all.cases,
                  d.info.index, d.info.name);
        fail_hint("please report it with the lines above and ditcl devices -v");
    } else {
        printf("%d checks passed\n", all.cases);
    }
done:
    device_close(&d);
    text_list_free(&operators);
    return st;
}
