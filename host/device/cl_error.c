/* OpenCL error codes by name. */
#include <stdio.h>

#include "device/opencl.h"

#define CODE(name)                                                                                 \
    {                                                                                              \
        name, #name                                                                                \
    }
static const struct {
    cl_int code;
    const char *name;
} codes[] = {
    CODE(CL_DEVICE_NOT_FOUND),
    CODE(CL_DEVICE_NOT_AVAILABLE),
    CODE(CL_COMPILER_NOT_AVAILABLE),
    CODE(CL_MEM_OBJECT_ALLOCATION_FAILURE),
    CODE(CL_OUT_OF_RESOURCES),
    CODE(CL_OUT_OF_HOST_MEMORY),
    CODE(CL_PROFILING_INFO_NOT_AVAILABLE),
    CODE(CL_BUILD_PROGRAM_FAILURE),
    CODE(CL_MAP_FAILURE),
    CODE(CL_MISALIGNED_SUB_BUFFER_OFFSET),
    CODE(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
    CODE(CL_INVALID_VALUE),
    CODE(CL_INVALID_DEVICE_TYPE),
    CODE(CL_INVALID_PLATFORM),
    CODE(CL_INVALID_DEVICE),
    CODE(CL_INVALID_CONTEXT),
    CODE(CL_INVALID_QUEUE_PROPERTIES),
    CODE(CL_INVALID_COMMAND_QUEUE),
    CODE(CL_INVALID_HOST_PTR),
    CODE(CL_INVALID_MEM_OBJECT),
    CODE(CL_INVALID_BINARY),
    CODE(CL_INVALID_BUILD_OPTIONS),
    CODE(CL_INVALID_PROGRAM),
    CODE(CL_INVALID_PROGRAM_EXECUTABLE),
    CODE(CL_INVALID_KERNEL_NAME),
    CODE(CL_INVALID_KERNEL_DEFINITION),
    CODE(CL_INVALID_KERNEL),
    CODE(CL_INVALID_ARG_INDEX),
    CODE(CL_INVALID_ARG_VALUE),
    CODE(CL_INVALID_ARG_SIZE),
    CODE(CL_INVALID_KERNEL_ARGS),
    CODE(CL_INVALID_WORK_DIMENSION),
    CODE(CL_INVALID_WORK_GROUP_SIZE),
    CODE(CL_INVALID_WORK_ITEM_SIZE),
    CODE(CL_INVALID_GLOBAL_OFFSET),
    CODE(CL_INVALID_EVENT_WAIT_LIST),
    CODE(CL_INVALID_EVENT),
    CODE(CL_INVALID_OPERATION),
    CODE(CL_INVALID_BUFFER_SIZE),
    CODE(CL_INVALID_GLOBAL_WORK_SIZE),
};

const char *cl_error_name(cl_int code)
{
    static _Thread_local char unknown[24];
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].code == code) return codes[i].name;
    snprintf(unknown, sizeof unknown, "error %d", (int)code);
    return unknown;
}

status cl_fail(const char *call, cl_int code)
{
    if (code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES ||
        code == CL_OUT_OF_HOST_MEMORY) {
        fail(ERR_RESOURCES, "%s: %s: the device ran out of memory or resources", call,
             cl_error_name(code));
        fail_hint("try fewer pictures at once (--batch 1), or another device");
        return ERR_RESOURCES;
    }
    return fail(ERR_DEVICE, "%s: %s", call, cl_error_name(code));
}

static bool is_loss(cl_int code)
{
    return code == CL_OUT_OF_RESOURCES || code == CL_DEVICE_NOT_AVAILABLE ||
           code == CL_INVALID_COMMAND_QUEUE || code == CL_INVALID_CONTEXT ||
           code == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST;
}

status cl_fail_device(device *d, const char *call, cl_int code)
{
    device_handles *h = d->handles;
    if (!is_loss(code)) return cl_fail(call, code);
    fail(ERR_LOST, "%s: %s: the device was lost%s; queued last: %s %s (%s)", call,
         cl_error_name(code), code == CL_OUT_OF_RESOURCES ? " or ran out of resources" : "",
         h->last ? "kernel" : "a product of", h->last ? h->last->name : "CLBlast",
         *d->announced.name ? d->announced.name : "no operator");
    fail_hint("give it less at once: --max-launch-ms 20, --batch 1, a smaller picture or model; or "
              "another device");
    h->lost = true;
    fail_keep(&h->loss);
    return ERR_LOST;
}

status cl_fail_lost(const device *d)
{
    fail_put_back(&d->handles->loss);
    return ERR_LOST;
}
