/* Runs the command that argv[1] names. Only this file prints errors and sets the exit code. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/colour.h"
#include "cli/complete.h"
#include "cli/man.h"
#include "cli/surroundings.h"
#include "cli/version.h"

static const struct {
    const char *group; /* the heading above it in the help, or null */
    const char *name;
    status (*run)(int argc, char **argv);
    const char *what;
} commands[] = {
    {"Pictures", "sample", cli_sample, "draw pictures of classes"},
    {NULL, "decode", cli_decode, "turn latents into pictures"},
    {NULL, "encode", cli_encode, "turn a picture into latents"},
    {"Models", "info", cli_info, "describe a model: sizes, parameters, Gflops, memory"},
    {NULL, "convert", cli_convert, "write a model in another layout"},
    {NULL, "init", cli_init, "write a network with fresh weights"},
    {"Devices and speed", "devices", cli_devices, "list the OpenCL devices"},
    {NULL, "doctor", cli_doctor, "say why there is no device, and how to mend it"},
    {NULL, "check", cli_check, "compare every kernel with its double-precision reference"},
    {NULL, "bench", cli_bench, "measure the device, its operators and forward passes"},
    {NULL, "tune", cli_tune, "find the fastest kernels for a device and a model"},
    {"Shell", "completion", cli_completion, "print the completion script of a shell"},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

/* What may stand in the place of a command. */
static const struct {
    const char *word, *what;
} words_alone[] = {{"help", "explain a command"},
                   {"--help", "list the commands"},
                   {"--man", "print the manual page"},
                   {"--version", "print versions of ditcl and its parts"}};
enum { N_WORDS = sizeof words_alone / sizeof *words_alone };

static void print_help(void)
{
    printf("ditcl %s: diffusion transformers (DiT) on any OpenCL device\n\n"
           "usage: ditcl COMMAND [ARGUMENT...] [OPTION...]\n",
           DITCL_VERSION);
    for (int i = 0; i < N_COMMANDS; i++) {
        if (commands[i].group) printf("\n%s:\n", commands[i].group);
        printf("  %-11s %s\n", commands[i].name, commands[i].what);
    }
    printf("\nHelp:\n"
           "  ditcl COMMAND --help      explain a command (also: ditcl help COMMAND)\n"
           "  ditcl COMMAND --help -v   say more about each option\n"
           "  ditcl --man | man -l -    show the manual page\n"
           "  ditcl help environment    list environment variables, files, exit codes\n"
           "  ditcl --version           print versions of ditcl and its parts\n"
           "\nExamples:\n"
           "  ditcl sample emoji --class all --out pictures.png\n"
           "  ditcl sample facebook/DiT-XL-2-256 --class 207 --device gpu --out dog.png\n"
           "  ditcl info --arch DiT-XL/2\n"
           "  ditcl bench --arch DiT-XL/2\n");
}

static status print_man(void)
{
    char *const asked = "--man";
    status st = OK;
    man_begin();
    for (int i = 0; i < N_COMMANDS && st == OK; i++) st = commands[i].run(1, &(char *){asked});
    man_end();
    return st;
}

/* Runs the command of this name. prefix: "help " if the user typed ditcl help NAME, otherwise "".
 */
static status run_command(const char *name, int argc, char **argv, const char *prefix)
{
    const char *names[N_COMMANDS + 1] = {0};
    for (int i = 0; i < N_COMMANDS; i++) {
        if (!strcmp(name, commands[i].name)) return commands[i].run(argc, argv);
        names[i] = commands[i].name;
    }
    const char *near = text_nearest(name, names);
    fail(ERR_USAGE, "%.200s: no such command", name);
    if (near)
        fail_hint("did you mean ditcl %s%s?", prefix, near);
    else
        fail_hint("ditcl --help lists them");
    return ERR_USAGE;
}

/* Prints what the last of the words after ditcl could become. */
static status run_complete(int n, char **words)
{
    bool help = n == 2 && !strcmp(words[0], "help");
    if (n == 1 || help) {
        for (int i = 0; i < N_COMMANDS; i++)
            complete_put("", words[n - 1], commands[i].name, commands[i].what);
        for (int i = 0; i < N_WORDS && !help; i++)
            complete_put("", words[0], words_alone[i].word, words_alone[i].what);
        if (help) complete_put("", words[1], "environment", "variables, files, exit codes");
        return OK;
    }
    for (int i = 0; i < N_COMMANDS && n; i++) {
        if (strcmp(words[0], commands[i].name) != 0) continue;
        words[0] = "--complete";
        return commands[i].run(n, words);
    }
    return OK;
}

static bool is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

/* ditcl help [COMMAND]. argc, argv: the arguments after help. */
static status run_help(int argc, char **argv)
{
    char *const asked = "--help";
    if (argc > 1) {
        fail(ERR_USAGE, "ditcl help: unexpected argument \"%.200s\"", argv[1]);
        fail_hint("usage: ditcl help [COMMAND]");
        return ERR_USAGE;
    }
    if (argc == 1 && !strcmp(argv[0], "environment")) {
        surroundings_print();
        return OK;
    }
    if (argc == 1 && !is_help(argv[0])) return run_command(argv[0], 1, &(char *){asked}, "help ");
    print_help();
    return OK;
}

static status run(int argc, char **argv)
{
    if (argc < 2) {
        fail(ERR_USAGE, "no command given");
        fail_hint("ditcl --help lists them");
        return ERR_USAGE;
    }
    if (is_help(argv[1])) return run_help(argc - 2, argv + 2);
    if (!strcmp(argv[1], "--version")) {
        version_print();
        return OK;
    }
    if (!strcmp(argv[1], "--man")) return print_man();
    if (!strcmp(argv[1], "--complete")) return run_complete(argc - 2, argv + 2);
    if (!strcmp(argv[1], "tune-worker")) return cli_tune_worker(argc - 2, argv + 2);
    if (!strcmp(argv[1], "check-worker")) return cli_check_worker(argc - 2, argv + 2);
    if (!strcmp(argv[1], "report-worker")) return cli_report_worker(argc - 2, argv + 2);
    return run_command(argv[1], argc - 2, argv + 2, "");
}

/* Opens /dev/null for each standard stream that is closed. Otherwise an output file could get the
 * number of a closed stream, and messages would go into it. /dev/null is read-only, so printing
 * still fails. */
static void occupy_closed_streams(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDONLY);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO) close(fd);
}

/* Gives a pipe or file a buffer for the longest help, so that main writes it and learns why that
 * fails. */
static void enlarge_buffer(void)
{
    static char buffer[1 << 16];
    if (!isatty(STDOUT_FILENO)) setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
}

int main(int argc, char **argv)
{
    occupy_closed_streams();
    enlarge_buffer();
    file_guard_signals();
    status st = run(argc, argv);
    errno = EIO;
    if (st == OK && (fflush(stdout) || ferror(stdout)))
        st = fail(ERR_FILE, "cannot write to standard output: %s", strerror(errno));
    if (st == OK) return 0;
    fprintf(stderr, "%sditcl:%s %s\n", colour_on(stderr, COLOUR_BAD), colour_off(stderr),
            fail_line());
    if (*fail_hint_line()) fprintf(stderr, "       %s\n", fail_hint_line());
    if (st == ERR_LOST) { /* the driver may hang when it is unloaded */
        fflush(stdout);
        _exit(1);
    }
    return st == ERR_USAGE ? 2 : 1;
}
