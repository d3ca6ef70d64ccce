/* Reads any bytes as a safetensors file. They must be refused with a message, or all values can be
 * read.
 *
 *   CC=clang cmake -B build-fuzz -DDITCL_FUZZ=ON && cmake --build build-fuzz -j
 *   build-fuzz/fuzz_safetensors -max_len=4096 -max_total_time=300 FOUND \
 *     tests/fuzz/corpus/safetensors
 *
 * FOUND is an empty folder outside the tree. libFuzzer keeps inputs there that reach new code. */
#include <string.h>

#include "base/text.h"
#include "files/safetensors.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    tensor_file file;
    char shape[64];
    size_t n_bytes = 0;
    volatile float sum = 0;
    fail_clear();
    if (safetensors_open(&file, input_file(bytes, size)) != OK) {
        if (file.n_tensors || !*fail_line()) abort();
        return 0;
    }
    for (size_t i = 0; i < file.n_tensors; i++) {
        const tensor *t = &file.tensors[i];
        if (tensor_find(&file, t->name) != t) abort();
        text_shape(shape, sizeof shape, t->dims, t->n_dims);
        if (t->type == DTYPE_OTHER) continue;
        n_bytes += tensor_bytes(t);
        for (size_t k = 0; k < t->count; k++) {
            float value;
            tensor_to_float(&value, t, k, 1);
            sum = sum + value;
        }
    }
    if (n_bytes > size) abort(); /* they overlap */
    tensor_file_close(&file);
    return 0;
}
