/* A child process that runs this program. See worker.h. */
#include "base/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

enum { PATH_BYTES = 4096 };
static const double STOP_SECONDS = 2.0, PAUSE_SECONDS = 5.0;

static _Thread_local const char *named_program;

void worker_use_program(const char *path)
{
    named_program = path;
}

/* The program of the child: the one that was named; else this program; for a test program, the
 * ditcl in the same folder. */
static status find_program(char out[PATH_BYTES])
{
    if (named_program) {
        text_copy(out, PATH_BYTES, named_program);
        if (access(out, X_OK) == 0) return OK;
        return fail(ERR_FILE, "%s: cannot be executed: %s", out, strerror(errno));
    }
    ssize_t n = readlink("/proc/self/exe", out, PATH_BYTES - 16);
    if (n < 0) return fail(ERR_FILE, "/proc/self/exe: %s", strerror(errno));
    out[n] = 0;
    char *name = strrchr(out, '/');
    if (!name) return fail(ERR_FILE, "/proc/self/exe: found \"%s\", expected a path", out);
    if (!strcmp(name, "/ditcl"))
        strcpy(out, "/proc/self/exe"); /* works even if the file was replaced */
    else
        strcpy(name, "/ditcl");
    if (access(out, X_OK) == 0) return OK;
    return fail(ERR_FILE, "%s: cannot be executed: %s", out, strerror(errno));
}

/* Runs in the child, so it calls only functions that are safe after fork(). */
static void exec_program(const char *program, const char *const *argv, int in, int out,
                         pid_t parent)
{
    int nowhere = open("/dev/null", O_RDWR);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || nowhere < 0) _exit(127); /* the parent died meanwhile */
    /* copies first: dup2 could overwrite one of the descriptors */
    int in_copy = fcntl(in, F_DUPFD, 10), out_copy = fcntl(out, F_DUPFD, 10);
    if (in_copy < 0 || out_copy < 0 || dup2(in_copy, STDIN_FILENO) < 0 ||
        dup2(nowhere, STDOUT_FILENO) < 0 || dup2(nowhere, STDERR_FILENO) < 0 ||
        dup2(out_copy, WORKER_REPLIES) < 0)
        _exit(127);
    close(in_copy);
    close(out_copy);
    execv(program, (char *const *)(const void *)argv);
    _exit(127);
}

status worker_start(worker *w, const char *const *args)
{
    const char *argv[WORKER_ARGS + 2] = {"ditcl"};
    int to[2], from[2];
    char program[PATH_BYTES];
    *w = (worker){0};
    status st = find_program(program);
    if (st != OK) return st;
    for (int i = 0; args[i] && i < WORKER_ARGS; i++) argv[i + 1] = args[i];
    /* a socket, since writing to a pipe whose reader ended raises SIGPIPE */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, to) != 0)
        return fail(ERR_FILE, "cannot create a pipe: %s", strerror(errno));
    if (pipe2(from, O_CLOEXEC) != 0) {
        close(to[0]), close(to[1]);
        return fail(ERR_FILE, "cannot create a pipe: %s", strerror(errno));
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) exec_program(program, argv, to[0], from[1], parent);
    close(to[0]);
    close(from[1]);
    w->to = to[1];
    w->from = from[0];
    w->pid = pid > 0 ? pid : 0;
    if (pid > 0) return OK;
    close(w->to);
    close(w->from);
    return fail(ERR_FILE, "cannot create a child process: %s", strerror(errno));
}

void worker_stop(worker *w)
{
    if (!w->pid) return;
    kill(w->pid, SIGKILL);
    /* A child that hangs inside a kernel driver may never end, so the wait is limited. */
    for (double until = clock_seconds() + STOP_SECONDS; clock_seconds() < until;) {
        pid_t gone = waitpid(w->pid, NULL, WNOHANG);
        if (gone == w->pid || (gone < 0 && errno != EINTR)) break;
        usleep(1000);
    }
    close(w->to);
    close(w->from);
    *w = (worker){0};
}

bool worker_say(worker *w, const char *fmt, ...)
{
    char line[WORKER_LINE];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, args);
    va_end(args);
    if (!w->pid || n < 0 || n >= WORKER_LINE - 1) return false;
    line[n++] = '\n';
    return send(w->to, line, (size_t)n, MSG_NOSIGNAL) == n;
}

/* Takes one whole line from the bytes read so far. */
static bool take_line(worker *w, char line[WORKER_LINE])
{
    char *end = memchr(w->pending, '\n', w->n_pending);
    if (!end) return false;
    size_t n = (size_t)(end - w->pending);
    memcpy(line, w->pending, n);
    line[n] = 0;
    w->n_pending -= n + 1;
    memmove(w->pending, end + 1, w->n_pending);
    return true;
}

worker_answer worker_hear(worker *w, char line[WORKER_LINE], double seconds)
{
    double until = clock_seconds() + seconds;
    if (!w->pid) return WORKER_DIED;
    while (!take_line(w, line)) {
        struct pollfd ready = {.fd = w->from, .events = POLLIN};
        double asked = clock_seconds(), left = until - asked;
        int n = poll(&ready, 1, left > 1.0 ? 1000 : left > 0 ? (int)(left * 1e3) + 1 : 0);
        if (n < 0 && errno != EINTR) return WORKER_DIED;
        if (n <= 0 && left <= 0) return WORKER_HUNG;
        double pause = clock_seconds() - asked;
        if (pause > PAUSE_SECONDS) until += pause; /* this process or the machine was suspended */
        if (n <= 0) continue;
        ssize_t got = read(w->from, w->pending + w->n_pending, sizeof w->pending - w->n_pending);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return WORKER_DIED; /* also if the line is too long */
        w->n_pending += (size_t)got;
    }
    return WORKER_SAID;
}
