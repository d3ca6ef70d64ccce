/* ditcl completion: prints the script that lets a shell complete ditcl's arguments. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/complete.h"

/* Each script asks `ditcl --complete` for candidates, one a line: the word, a tab, what it means.
 */

static const char for_bash[] =
    "# bash completion of ditcl\n"
    "_ditcl()\n"
    "{\n"
    "    local cur=$2 line files= IFS=$' \\t\\n'\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r line; do\n"
    "        if [ \"$line\" = " COMPLETE_FILES " ]; then files=1; continue; fi\n"
    "        COMPREPLY+=(\"$(printf %q \"${line%%$'\\t'*}\")\")\n"
    "    done < <(\"$1\" --complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
    "    if [ -n \"$files\" ]; then\n"
    "        compopt -o filenames\n"
    "        while IFS= read -r line; do COMPREPLY+=(\"$line\"); done < <(compgen -f -- \"$cur\")\n"
    "    fi\n"
    "}\n"
    "complete -F _ditcl ditcl\n";

static const char for_zsh[] =
    "#compdef ditcl\n"
    "# zsh completion of ditcl\n"
    "_ditcl()\n"
    "{\n"
    "    local line files= tab=$'\\t'\n"
    "    local -a names shown\n"
    "    for line in \"${(@f)$($words[1] --complete \"${(@Q)words[2,CURRENT]}\" 2>/dev/null)}\"; "
    "do\n"
    "        case $line in\n"
    "        '') continue ;;\n"
    "        " COMPLETE_FILES ") files=1; continue ;;\n"
    "        esac\n"
    "        names+=(\"${line%%$tab*}\")\n"
    "        shown+=(\"${line/$tab/  -- }\")\n"
    "    done\n"
    "    compadd -l -d shown -a names\n"
    "    [[ -z $files ]] || _files\n"
    "}\n"
    "if [[ $funcstack[1] == _ditcl ]]; then _ditcl \"$@\"; else compdef _ditcl ditcl; fi\n";

static const char for_fish[] = "# fish completion of ditcl\n"
                               "function __ditcl_complete\n"
                               "    set -l words (commandline -opc) (commandline -ct)\n"
                               "    for line in ($words[1] --complete $words[2..-1] 2>/dev/null)\n"
                               "        if test \"$line\" = " COMPLETE_FILES "\n"
                               "            __fish_complete_path (commandline -ct)\n"
                               "        else\n"
                               "            echo $line\n"
                               "        end\n"
                               "    end\n"
                               "end\n"
                               "complete -c ditcl -f -a '(__ditcl_complete)'\n";

const char *const completion_shells[] = {"bash", "zsh", "fish", NULL};
static const char *const scripts[] = {for_bash, for_zsh, for_fish};

static status print_script(const char *shell)
{
    for (int i = 0; completion_shells[i]; i++) {
        if (strcmp(completion_shells[i], shell) != 0) continue;
        fputs(scripts[i], stdout);
        return OK;
    }
    return fail(ERR_USAGE, "completion %.80s: expected bash, zsh or fish", shell);
}

status cli_completion(int argc, char **argv)
{
    const char *shell = NULL;
    const option options[] = {{0}};
    const char *const positional[] = {"SHELL", NULL};
    const command c = {
        .name = "completion",
        .arguments = "bash|zsh|fish",
        .summary = "Prints the script that lets a shell complete commands, options, models, "
                   "classes and devices. An installed ditcl needs none of the following.",
        .details = "Examples:\n"
                   "  ditcl completion bash > ~/.local/share/bash-completion/completions/ditcl\n"
                   "  ditcl completion zsh > ~/.zfunc/_ditcl        # ~/.zfunc is in fpath\n"
                   "  ditcl completion fish > ~/.config/fish/completions/ditcl.fish\n",
        .positional = positional,
        .values = &shell,
        .options = options,
    };
    bool helped;
    status st = options_parse(&c, argc, argv, &helped);
    return st == OK && !helped ? print_script(shell) : st;
}
