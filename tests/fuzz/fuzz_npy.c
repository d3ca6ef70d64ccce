/* Reads any bytes as a .npy file. They must be refused with a message, or give an array of finite
 * values whose size is the product of its dimensions. To build and run it, see fuzz_safetensors.c.
 */
#include "base/fp16.h"
#include "files/npy.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    npy array;
    size_t count = 1;
    fail_clear();
    if (npy_read(&array, input_file(bytes, size)) != OK) {
        if (array.data || !*fail_line()) abort();
        return 0;
    }
    if (array.n_dims > NPY_MAX_DIMS || array.count > size / 2) abort();
    for (int i = 0; i < array.n_dims; i++) count *= array.dims[i];
    if (count != array.count) abort();
    for (size_t i = 0; i < count; i++)
        if (!float_is_finite(array.data[i])) abort();
    npy_free(&array);
    return 0;
}
