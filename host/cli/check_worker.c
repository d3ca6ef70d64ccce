/* The child process of first-use checks (check/checker.h). */
#include <stdio.h>

#include "base/worker.h"
#include "check/checker_child.h"
#include "cli/cli.h"

status cli_check_worker(int argc, char **argv)
{
    device_choice on = {.bare = true, .unprobed = true};
    const option options[] = {OPTIONS_DEVICE(&on), {0}};
    const command c = {.name = "check-worker",
                       .arguments = "",
                       .summary = "Runs kernels for another ditcl.",
                       .options = options};
    bool helped;
    device d = {0};
    FILE *replies = NULL;
    status st = OK;
    TRY(options_parse(&c, argc, argv, &helped));
    replies = helped ? NULL : fdopen(WORKER_REPLIES, "w");
    if (!replies) TRY(fail(ERR_USAGE, "check-worker: only ditcl starts it"));
    st = cli_open_device(&d, &on, true);
    if (st == OK)
        st = checker_serve(&d, stdin, replies);
    else
        fprintf(replies, "%.400s\n", fail_line());
done:
    if (replies) fclose(replies);
    device_close(&d);
    return st;
}
