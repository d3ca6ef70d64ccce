/* Reads any bytes as a JPEG, WebP or BMP file. They must be refused with a message, or give a
 * picture whose values can all be read. To build and run it, see fuzz_safetensors.c. */
#include "files/picture_file.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    png p;
    volatile unsigned sum = 0;
    fail_clear();
    if (picture_file_read(&p, input_file(bytes, size)) != OK) {
        if (p.rgb || !*fail_line()) abort();
        return 0;
    }
    if (p.width < 1 || p.height < 1) abort();
    for (size_t i = 0; i < (size_t)p.width * (size_t)p.height * 3; i++) sum += p.rgb[i];
    png_free(&p);
    return 0;
}
