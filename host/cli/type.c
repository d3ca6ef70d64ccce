/* The options that say what a single file is. */
#include "cli/cli.h"

const char *const cli_model_types[] = {"dit", "sit", NULL};

status cli_settle_type(model_request *request, const type_choice *choice)
{
    request->flow = choice->type == 1;
    request->path = (flow_path)choice->path;
    request->predicts = flow_predictions[choice->prediction];
    if (!request->flow && (choice->path || choice->prediction))
        return fail(ERR_USAGE, "--path and --prediction: only --model-type sit has them");
    return OK;
}
