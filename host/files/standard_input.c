/* Pictures from standard input. See picture_file.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/picture_file.h"

enum { LARGEST = 1 << 29, AT_ONCE = 1 << 16 };

/* Copies standard input to a file that has no name. */
static status copy_to(FILE *file)
{
    static char bytes[AT_ONCE];
    size_t total = 0;
    ssize_t n;
    while ((n = read(STDIN_FILENO, bytes, sizeof bytes)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(ERR_FILE, "standard input: %s", strerror(errno));
        total += (size_t)n;
        if (total > LARGEST)
            return fail(ERR_LIMIT, "standard input: is larger than %d MB", LARGEST >> 20);
        if (fwrite(bytes, 1, (size_t)n, file) != (size_t)n)
            return fail(ERR_FILE, "standard input: cannot be kept in a temporary file: %s",
                        strerror(errno));
    }
    if (!total) return fail(ERR_FILE, "standard input: is empty, expected a picture");
    if (fflush(file) || dup2(fileno(file), STDIN_FILENO) < 0)
        return fail(ERR_FILE, "standard input: cannot be kept in a temporary file: %s",
                    strerror(errno));
    return OK;
}

status picture_file_input(const char **path)
{
    struct stat info;
    if (strcmp(*path, "-") != 0) return OK;
    if (isatty(STDIN_FILENO)) {
        fail(ERR_USAGE, "-: standard input is a terminal, expected a picture");
        fail_hint("pipe a picture into ditcl, or name a file");
        return ERR_USAGE;
    }
    *path = "/dev/stdin";
    if (fstat(STDIN_FILENO, &info) == 0 && S_ISREG(info.st_mode)) return OK;
    FILE *file = tmpfile();
    if (!file)
        return fail(ERR_FILE, "standard input: cannot be kept in a temporary file: %s",
                    strerror(errno));
    status st = copy_to(file);
    fclose(file);
    return st;
}
