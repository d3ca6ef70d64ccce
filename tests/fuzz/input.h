/* The fuzzer's bytes as a file: the parsers under test take a path, as they do in the program. */
#ifndef DITCL_TESTS_FUZZ_INPUT_H
#define DITCL_TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A file in memory with this content; the path is valid until the next call. */
static inline const char *input_file(const uint8_t *bytes, size_t size)
{
    static int fd = -1;
    static char path[40];
    if (fd < 0) fd = memfd_create("input", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, bytes, size, 0) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

#endif
