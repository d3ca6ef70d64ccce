/* Status codes, and the one line that explains a failure.
 *
 * Every function that can fail returns a status. fail() stores one line for the user (thread-local)
 * and returns the code. Only main prints the line. A bug is an assert, never a status. */
#ifndef DITCL_BASE_STATUS_H
#define DITCL_BASE_STATUS_H

typedef enum {
    OK,
    ERR_USAGE,     /* the command line is wrong: exit code 2 */
    ERR_FILE,      /* a file cannot be read or written */
    ERR_FORMAT,    /* a file's content is wrong */
    ERR_MEMORY,    /* host memory ran out */
    ERR_DEVICE,    /* an OpenCL call failed, or there is no such device */
    ERR_RESOURCES, /* the device or its driver ran out of memory or resources */
    ERR_LOST,  /* the device failed for good; its driver may hang, even while the process exits */
    ERR_BUILD, /* a kernel did not compile */
    ERR_LIMIT, /* a size exceeds what this device or program can handle */
    ERR_CANCELLED /* the caller of a run stopped it */
} status;

/* Stores "fmt..." as the line to print and returns code. Characters that a terminal would interpret
 * or hide are replaced (text_printable). The line is cut at 1000 bytes. */
status fail(status code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "fmt...: " in front of the stored line and returns code. */
status fail_in(status code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Stores a second line, which says what to do. main prints it under the first. */
void fail_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

const char *fail_line(void);      /* "" if nothing failed */
const char *fail_hint_line(void); /* "" if there is no hint */
void fail_clear(void);

/* Code that cleans up after a failure may call functions that fail. It calls fail_keep first and
 * fail_put_back last, so that main prints the first failure. */
enum { FAIL_BYTES = 1000 };
typedef struct {
    char line[FAIL_BYTES], hint[FAIL_BYTES];
} failure;
void fail_keep(failure *kept);
void fail_put_back(const failure *kept);

/* Needs `status st = OK;` and one `done:` label in the function. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        st = (call);                                                                               \
        if (st != OK) goto done;                                                                   \
    } while (0)

#endif
