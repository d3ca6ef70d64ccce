/* Status codes and the one line that explains a failure.
 *
 * Every function that can fail returns a status; fail() stores one line for the person at the
 * terminal (thread-local) and returns the code. Only main prints it. A bug is an assert, never a
 * status. */
#ifndef DITCL_BASE_STATUS_H
#define DITCL_BASE_STATUS_H

typedef enum {
    OK,
    ERR_USAGE,     /* the command line was misused: exit code 2 */
    ERR_FILE,      /* a file cannot be read or written */
    ERR_FORMAT,    /* a file's content is not what it must be */
    ERR_MEMORY,    /* host memory ran out */
    ERR_DEVICE,    /* an OpenCL call failed, or there is no such device */
    ERR_RESOURCES, /* the device or its driver ran out of memory or resources */
    ERR_LOST,      /* the device failed for good; its driver may hang, even in the process's exit */
    ERR_BUILD,     /* a kernel did not compile */
    ERR_LIMIT      /* a size is beyond what this device or program can do */
} status;

/* Stores "fmt..." as the line to print and returns code. Characters that a terminal would interpret
 * or hide are replaced (text_printable). The line is cut at 1000 bytes. */
status fail(status code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "fmt...: " in front of the stored line and returns code. */
status fail_in(status code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Stores a second line: what to do about it. Printed under the first. */
void fail_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

const char *fail_line(void);      /* "" when nothing failed */
const char *fail_hint_line(void); /* "" when there is none */
void fail_clear(void);

/* Code that cleans up after a failure calls functions that may fail too. It calls fail_keep first
 * and fail_put_back last, so that the first failure is the one printed. */
enum { FAIL_BYTES = 1000 };
typedef struct {
    char line[FAIL_BYTES], hint[FAIL_BYTES];
} failure;
void fail_keep(failure *kept);
void fail_put_back(const failure *kept);

/* Inside a function with `status st = OK;` and one `done:` label. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        st = (call);                                                                               \
        if (st != OK) goto done;                                                                   \
    } while (0)

#endif
